#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "report/parts.h"

namespace trit::report {
namespace {

// In the child: what it prints goes to the files. Only calls that are safe behind fork().
[[noreturn]] void become(char* const* arguments, const char* out, const char* err) {
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  const int out_file = open(out, flags, 0666), err_file = open(err, flags, 0666);
  if (out_file >= 0 && err_file >= 0 && dup2(out_file, STDOUT_FILENO) >= 0 &&
      dup2(err_file, STDERR_FILENO) >= 0)
    execv("/proc/self/exe", arguments);
  _exit(127);
}

}  // namespace

Outcome run_trit(const Arguments& arguments, const Path& folder) {
  const std::string out = (folder / "out").string(), err = (folder / "err").string();
  Arguments words = arguments;
  words.insert(words.begin(), "trit");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) failure("a process cannot be started: {}", std::strerror(errno));
  if (child == 0) become(pointers.data(), out.c_str(), err.c_str());
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) failure("a process cannot be waited for: {}", std::strerror(errno));
  }
  if (WIFSIGNALED(status))
    return {128 + WTERMSIG(status), "", fmt::format("ended by signal {}", WTERMSIG(status))};
  return {WEXITSTATUS(status), read_text(out), read_text(err)};
}

}  // namespace trit::report
