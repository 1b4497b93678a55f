#pragma once
// Models by the name of their repository, out of the cache and without the network.

#include <string>

#include "base/file.h"
#include "hub/cache.h"
#include "hub/repo.h"

namespace trit {

// What a command's model argument means: a path that exists is itself; the name of a repository is its model
// in the cache. Throws Error that says how to pull it when it is not there, or not wholly. What is no
// name of a repository comes back as it is, for the caller to complain about.
Path resolve_model(const std::string& argument);

// The model in the snapshot `commit`: the directory, or a GGUF file in it, chosen as choose_files() does.
// Throws Error when it is not wholly there.
Path model_in_cache(const RepoCache& cache, const std::string& commit, const RepoName& repo);

}  // namespace trit
