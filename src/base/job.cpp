#include <unistd.h>

#include <array>
#include <cstdio>
#include <vector>

#include "base/collectives.h"
#include "base/error.h"

namespace trit {

void fail_job(int rank, const Error& error) {
  std::fprintf(stderr, "trit: rank %d: %s\n", rank, error.what());
  abort_job(static_cast<int>(error.code()));
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

int rank_on_host(Collectives& job) {
  using Name = std::array<char, 256>;
  Name mine{};
  host_name().copy(mine.data(), mine.size() - 1);
  std::vector<Name> all(static_cast<size_t>(job.size()));
  job.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
  int before = 0;
  for (int r = 0; r < job.rank(); ++r) before += all[static_cast<size_t>(r)] == mine ? 1 : 0;
  return before;
}

}  // namespace trit
