#pragma once
// The group of one, and how a program knows that it is not alone.

#include "base/collectives.h"

namespace trit {

Collectives& single_rank();
// Whether this process has an environment that mpirun (Open MPI, MPICH, Slurm's srun with PMI) made.
bool started_by_mpi();

}  // namespace trit
