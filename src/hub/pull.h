#pragma once
// A repository's files into the cache.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "hub/client.h"
#include "hub/repo.h"
#include "hub/settings.h"

namespace trit {

struct PullOptions {
  HubSettings hub;
  HttpLimits limits;
  RetryPolicy retry;     // its wait must be set
  bool dry_run = false;  // ask what there is; write nothing
  std::function<bool()> stop = [] { return false; };
  // `done` of the file's `total` bytes are there; called often.
  std::function<void(const std::string& file, uint64_t done, uint64_t total)> progress =
      [](const std::string&, uint64_t, uint64_t) {};
  // A line for the user: another process is at it.
  std::function<void(const std::string& line)> note = [](const std::string&) {};
};

struct PulledFile {
  std::string name;
  uint64_t bytes = 0;
  bool cached = false;  // was there before
};

struct PullReport {
  std::string commit;
  Path path;  // what trit opens: the snapshot, or the GGUF file in it
  std::vector<PulledFile> files;
  uint64_t bytes() const;          // of all files
  uint64_t missing_bytes() const;  // of those that were not cached
};

// Downloads what trit reads of `repo` and is not in the cache yet (hub/choose.h), and notes which commit
// its revision means once all is there. Offline, what the cache has. Throws Stopped when the user wishes
// to stop: the next pull goes on where it was; Error otherwise.
PullReport pull(const RepoName& repo, const PullOptions& options);

}  // namespace trit
