#pragma once
// The program as a user runs it: a process with its output and exit code.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"

namespace trit {

struct Outcome {
  int code = -1;  // exit code, or 128 + the signal
  std::string out, err;
};

inline std::string text_of(const Path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A running `trit` with its output in files of `directory`, which is also where it runs.
class Process {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  // max_file_bytes: larger files cannot be written (a full disk); 0: no limit. `input`: the file that
  // standard input reads.
  Process(const Path& directory, const std::vector<std::string>& arguments,
          const Environment& environment = {}, rlim_t max_file_bytes = 0,
          const std::string& input = "/dev/null")
      : directory_(directory) {
    pid_ = fork();
    if (pid_ == 0) run(arguments, environment, max_file_bytes, input);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const { kill(pid_, number); }
  bool running() {
    if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
    return !ended_;
  }
  Outcome wait() {
    if (!ended_) waitpid(pid_, &status_, 0);
    ended_ = true;
    const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    return {code, text_of(directory_ / ".stdout"), text_of(directory_ / ".stderr")};
  }

 private:
  [[noreturn]] void run(const std::vector<std::string>& arguments, const Environment& environment,
                        rlim_t max_file_bytes, const std::string& input) const {
    if (chdir(directory_.c_str()) != 0) _exit(125);
    dup2(open(input.c_str(), O_RDONLY), STDIN_FILENO);
    dup2(open(".stdout", O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
    dup2(open(".stderr", O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    if (max_file_bytes > 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{max_file_bytes, max_file_bytes};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    std::vector<char*> argv = {const_cast<char*>("trit")};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(TRIT_BINARY, argv.data());
    _exit(126);
  }
  Path directory_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

}  // namespace trit
