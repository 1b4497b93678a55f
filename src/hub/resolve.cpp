#include "hub/resolve.h"

#include <algorithm>

#include "base/error.h"
#include "hub/choose.h"
#include "hub/settings.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

bool is_there(const Path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);  // through links: a link to a missing blob is not there
}

[[noreturn]] void refuse_part(const Path& missing, const RepoName& repo) {
  bad_input("{}: only a part of it is in the cache ({} is missing); 'trit pull {}' gets the rest",
            repo.text(), missing.string(), repo.text());
}

// The files of a snapshot as a listing, so that one rule chooses among them.
RepoListing list_snapshot(const Path& snapshot, const std::string& commit) {
  RepoListing listing{commit, {}};
  std::error_code error;
  for (fs::recursive_directory_iterator it(snapshot, error), end; !error && it != end;
       it.increment(error)) {
    std::string name = it->path().lexically_relative(snapshot).string();
    if (is_safe_file_name(name) && !it->is_directory(error)) listing.files.push_back(name);
  }
  std::ranges::sort(listing.files);
  return listing;
}

}  // namespace

Path model_in_cache(const RepoCache& cache, const std::string& commit, const RepoName& repo) {
  const Path snapshot = cache.snapshot(commit);
  const auto require = [&](const std::string& file) {
    if (!is_there(snapshot / file)) refuse_part(snapshot / file, repo);
  };
  if (!repo.file.empty()) {
    require(repo.file);
    return snapshot / repo.file;
  }
  const RepoListing listing = list_snapshot(snapshot, commit);
  // A download that broke off before the weights has left a configuration alone.
  const bool hollow = !listing.has(kWeightsFile) && !listing.has(kIndexFile);
  const bool has_gguf = std::ranges::any_of(
      listing.files, [](const std::string& file) { return file.ends_with(".gguf"); });
  if (hollow && !has_gguf) refuse_part(snapshot / kWeightsFile, repo);
  const std::vector<std::string> files = choose_files(listing, repo);
  for (const std::string& file : files) require(file);
  if (files.front() == kIndexFile) {
    const Path index = snapshot / kIndexFile;
    for (const std::string& shard : shards_of(read_text(index, kMaxIndexBytes), index.string()))
      require(shard);
  }
  return files.front().ends_with(".gguf") ? snapshot / files.front() : snapshot;
}

Path resolve_model(const std::string& argument) {
  if (is_there(argument) || !is_repo_name(argument)) return argument;
  const RepoName repo = parse_repo(argument);
  const Path folder = hub_cache_folder();
  const RepoCache cache(folder, repo.id);
  const std::optional<std::string> commit = cache.commit_of(repo.revision);
  if (!commit || !is_there(cache.snapshot(*commit))) {
    bad_input("{}: no such file, and no such model in the cache {}; to download it: trit pull {}",
              argument, folder.string(), argument);
  }
  return model_in_cache(cache, *commit, repo);
}

}  // namespace trit
