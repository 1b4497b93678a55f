#pragma once
// Which files of a repository trit reads.

#include <string>
#include <string_view>
#include <vector>

#include "hub/client.h"
#include "hub/repo.h"

namespace trit {

inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";
inline constexpr std::string_view kWeightsFile = "model.safetensors";
inline constexpr size_t kMaxIndexBytes = size_t{16} << 20;

// The files to fetch, in this order. When kIndexFile is among them it is the first, and the shards it
// names come behind the others.
//
// The GGUF file that `repo` names, alone; else configuration, tokenizer and safetensors weights; else the
// one GGUF file that there is. Throws Error when the named file is missing, when there are several GGUF
// files (it lists them), or when there is nothing that trit reads.
std::vector<std::string> choose_files(const RepoListing& listing, const RepoName& repo);

// The shards that the index (its text; `where` it came from) names, sorted, each once. Throws Error when it
// is no such index, or names what would leave its folder.
std::vector<std::string> shards_of(std::string_view index, std::string_view where);

}  // namespace trit
