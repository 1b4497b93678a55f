#include "base/rank_guard.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <string_view>

#include "base/collectives.h"
#include "base/error.h"
#include "base/single_rank.h"

namespace trit {
namespace {

std::atomic<int64_t>* step_of_rank = nullptr;  // in memory that both processes have

const char* first_set(std::initializer_list<const char*> names, const char* otherwise) {
  for (const char* name : names) {
    if (const char* value = std::getenv(name)) return value;
  }
  return otherwise;
}

[[noreturn]] void wait_for(pid_t rank) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) std::signal(signal, SIG_IGN);
  prctl(PR_SET_NAME, "trit-guard");
  int status = 0;
  while (waitpid(rank, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  const char* number = first_set({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}, "?");
  std::fprintf(stderr, "trit: rank %s on %s died in step %lld: signal %d (%s)\n", number,
               host_name().c_str(), static_cast<long long>(step_of_rank->load()), WTERMSIG(status),
               strsignal(WTERMSIG(status)));
  _exit(static_cast<int>(ExitCode::kFailure));
}

}  // namespace

void guard_rank() {
  const std::string_view ranks = first_set({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, "1");
  if (!started_by_mpi() || ranks == "1" || step_of_rank != nullptr) return;
  void* memory = mmap(nullptr, sizeof(std::atomic<int64_t>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;  // goes unguarded
  step_of_rank = new (memory) std::atomic<int64_t>(0);
  std::fflush(nullptr);
  const pid_t waiting = getpid(), rank = fork();
  if (rank > 0) wait_for(rank);
  if (rank < 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != waiting) _exit(static_cast<int>(ExitCode::kFailure));
}

void rank_is_at_step(int64_t step) {
  if (step_of_rank != nullptr) step_of_rank->store(step);
}

}  // namespace trit
