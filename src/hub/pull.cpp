#include "hub/pull.h"

#include <system_error>

#include "base/error.h"
#include "hub/cache.h"
#include "hub/choose.h"
#include "hub/resolve.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

ClientOptions client_options(const PullOptions& options) {
  return {options.hub.endpoint, options.hub.token, options.limits, options.retry, options.stop};
}

class Pull {
 public:
  Pull(const RepoName& repo, const PullOptions& options)
      : repo_(repo),
        options_(options),
        cache_(options.hub.cache, repo.id),
        client_(client_options(options), repo) {}

  PullReport run() {
    const RepoListing listing = client_.list();
    report_.commit = listing.commit;
    if (!options_.dry_run) cache_.make_folders();
    const std::vector<std::string> files = choose_files(listing, repo_);
    for (const std::string& file : files) fetch(file);
    if (files.front() == kIndexFile) {
      for (const std::string& shard : shards()) {
        if (!listing.has(shard)) {
          bad_input("{}: {} names '{}', which the repository has not", repo_.id, kIndexFile,
                    printable(shard));
        }
        fetch(shard);
      }
    }
    if (options_.dry_run) {
      report_.path = cache_.snapshot(listing.commit);
    } else {
      report_.path = model_in_cache(cache_, listing.commit, repo_);
      cache_.write_ref(repo_.revision, listing.commit);
    }
    return std::move(report_);
  }

 private:
  Path pointer(std::string_view file) const { return cache_.snapshot(report_.commit) / file; }

  // The index is in the cache by now, unless nothing may be written.
  std::vector<std::string> shards() {
    const Path file = pointer(kIndexFile);
    std::error_code ignored;
    return shards_of(fs::exists(file, ignored)
                         ? read_text(file, kMaxIndexBytes)
                         : client_.read(report_.commit, std::string(kIndexFile), kMaxIndexBytes),
                     fmt::format("{}: {}", repo_.id, kIndexFile));
  }

  void fetch(const std::string& file) {
    if (options_.stop()) throw Stopped();
    std::error_code missing;
    // What a commit holds never changes.
    if (const uint64_t bytes = fs::file_size(pointer(file), missing); !missing) {
      report_.files.push_back({file, bytes, true});
      return;
    }
    const RemoteFile remote = client_.describe(report_.commit, file);
    const bool cached = has_blob(remote);
    if (!options_.dry_run) {
      if (!cached) download(remote);
      cache_.link(report_.commit, file, remote.etag);
    }
    report_.files.push_back({file, remote.size, cached});
  }

  bool has_blob(const RemoteFile& remote) const {
    std::error_code missing;
    return fs::file_size(cache_.blob(remote.etag), missing) == remote.size && !missing;
  }

  void download(const RemoteFile& remote) {
    const BlobLock lock(
        cache_.lock(remote.etag),
        [&] { options_.note(fmt::format("{}: another process downloads it", remote.name)); },
        options_.stop);
    if (!lock.held()) throw Stopped();
    if (has_blob(remote)) return;
    const Path incomplete = cache_.incomplete(remote.etag);
    client_.download(report_.commit, remote, incomplete,
                     [&](uint64_t done) { options_.progress(remote.name, done, remote.size); });
    std::error_code error;
    fs::rename(incomplete, cache_.blob(remote.etag), error);
    if (error) failure("{}: cannot rename: {}", incomplete.string(), error.message());
  }

  const RepoName& repo_;
  const PullOptions& options_;
  RepoCache cache_;
  HubClient client_;
  PullReport report_;
};

PullReport pull_offline(const RepoName& repo, const PullOptions& options) {
  const RepoCache cache(options.hub.cache, repo.id);
  const std::optional<std::string> commit = cache.commit_of(repo.revision);
  if (!commit) {
    bad_input("{}: it is not in the cache {}, and HF_HUB_OFFLINE forbids to download it",
              repo.text(), options.hub.cache.string());
  }
  return {*commit, model_in_cache(cache, *commit, repo), {}};
}

}  // namespace

uint64_t PullReport::bytes() const {
  uint64_t sum = 0;
  for (const PulledFile& file : files) sum += file.bytes;
  return sum;
}

uint64_t PullReport::missing_bytes() const {
  uint64_t sum = 0;
  for (const PulledFile& file : files) sum += file.cached ? 0 : file.bytes;
  return sum;
}

PullReport pull(const RepoName& repo, const PullOptions& options) {
  return options.hub.offline ? pull_offline(repo, options) : Pull(repo, options).run();
}

}  // namespace trit
