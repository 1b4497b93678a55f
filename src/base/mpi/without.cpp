// Builds without MPI: every program is alone.

#include "base/collectives.h"
#include "base/error.h"
#include "base/single_rank.h"

namespace trit {

Collectives& world() {
  if (started_by_mpi()) failure("mpirun started this program, which was built without MPI");
  return single_rank();
}
void abort_job(int) {}

}  // namespace trit
