#include "hub/choose.h"

#include <set>

#include "base/error.h"
#include "base/json.h"

namespace trit {
namespace {

// Beside the weights; all are small.
constexpr std::string_view kDescriptions[] = {
    "config.json",           "generation_config.json",  "tokenizer.json",     "tokenizer.model",
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"};
constexpr size_t kMaxListed = 20;  // names in an error

std::vector<std::string> gguf_files(const RepoListing& listing) {
  std::vector<std::string> files;
  for (const std::string& file : listing.files) {
    if (file.ends_with(".gguf")) files.push_back(file);
  }
  return files;
}

std::string list_of(const std::vector<std::string>& files) {
  std::string text;
  for (size_t i = 0; i < files.size() && i < kMaxListed; ++i) {
    text += text.empty() ? "" : ", ";
    text += printable(files[i]);
  }
  if (files.size() > kMaxListed) text += fmt::format(" and {} more", files.size() - kMaxListed);
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<std::string> choose_files(const RepoListing& listing, const RepoName& repo) {
  const std::vector<std::string> ggufs = gguf_files(listing);
  if (!repo.file.empty()) {
    if (!listing.has(repo.file)) {
      bad_input("{}: it has no file '{}'; its GGUF files: {}", repo.id, printable(repo.file),
                list_of(ggufs));
    }
    return {repo.file};
  }
  const bool whole = listing.has(kWeightsFile), sharded = listing.has(kIndexFile);
  if (listing.has("config.json") && (whole || sharded)) {
    std::vector<std::string> files;
    // trit opens model.safetensors where there is one, so an index beside it leads nowhere.
    if (!whole) files.emplace_back(kIndexFile);
    for (const std::string_view file : kDescriptions) {
      if (listing.has(file)) files.emplace_back(file);
    }
    if (whole) files.emplace_back(kWeightsFile);
    return files;
  }
  if (ggufs.size() == 1) return ggufs;
  if (ggufs.size() > 1) {
    bad_input("{}: it has {} GGUF files; name one as {}:FILE: {}", repo.id, ggufs.size(), repo.id,
              list_of(ggufs));
  }
  bad_input("{}: nothing in it that trit reads: config.json with {}, or a GGUF file", repo.id,
            kWeightsFile);
}

std::vector<std::string> shards_of(std::string_view index, std::string_view where) {
  const Json json = parse_json(index, where);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object())
    bad_input("{}: weight_map is no object; it must name each tensor's file", where);
  std::set<std::string> shards;
  for (const Json& shard : *map) {
    if (!shard.is_string() || !is_safe_file_name(shard.get_ref<const std::string&>())) {
      bad_input("{}: weight_map names '{}'; it must be a file beside the index", where,
                printable(shard.is_string() ? shard.get<std::string>() : shard.type_name()));
    }
    shards.insert(shard.get<std::string>());
  }
  return {shards.begin(), shards.end()};
}

}  // namespace trit
