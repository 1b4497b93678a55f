#pragma once
// The cache of the Hugging Face hub, laid out as huggingface_hub does, so that Python tools and trit
// share it:
//
//   CACHEDIR.TAG
//   .locks/models--ORG--NAME/<etag>.lock           flock()ed while the blob is written
//   models--ORG--NAME/refs/<revision>              the commit that a branch or tag meant last
//   models--ORG--NAME/blobs/<etag>                 contents, named by their hash
//   models--ORG--NAME/blobs/<etag>.incomplete      the part that has come so far
//   models--ORG--NAME/snapshots/<commit>/<file> -> ../../blobs/<etag>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace trit {

// One repository in the cache. Makes folders when it writes, none when it is asked.
class RepoCache {
 public:
  // `id` is ORG/NAME as parse_repo checked it.
  RepoCache(Path root, std::string_view id);

  // `etag` is a content hash, `commit` a commit, `file` a safe file name (hub/hash.h, hub/repo.h).
  Path blob(std::string_view etag) const;
  Path incomplete(std::string_view etag) const;
  Path lock(std::string_view etag) const;
  Path snapshot(std::string_view commit) const;

  // The revision itself when it is a commit; otherwise what refs/ says, if it says anything. Throws Error
  // naming a ref that holds no commit.
  std::optional<std::string> commit_of(std::string_view revision) const;

  // The folders that a download needs, and CACHEDIR.TAG. Throws Error when they cannot be made.
  void make_folders() const;
  // Notes that `revision` means `commit`; nothing for a commit.
  void write_ref(std::string_view revision, std::string_view commit) const;
  // Puts the blob `etag` into the snapshot under the name `file`, in place of what was there.
  void link(std::string_view commit, std::string_view file, std::string_view etag) const;

 private:
  Path root_, folder_, locks_;
};

// The lock that huggingface_hub takes too, held while it lives: who holds it writes the blob. Waits for
// another holder, and calls `waiting` once when it must. A signal ends the wait when `stop` says so:
// the lock is then not held.
class BlobLock {
 public:
  BlobLock(const Path& path, const std::function<void()>& waiting,
           const std::function<bool()>& stop);
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;
  ~BlobLock();
  bool held() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace trit
