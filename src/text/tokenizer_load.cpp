// Tokenizer::load and Tokenizer::save: the tokenizer's files in a Hugging Face directory.

#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_model.h"

namespace trit {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr const char* kJson = "tokenizer.json";
constexpr const char* kModel = "tokenizer.model";
constexpr const char* kConfig = "tokenizer_config.json";
constexpr const char* kAdded = "added_tokens.json";

// The id of the token that `config` names under `key`; `fallback` when it names none.
int32_t role(const Json& config, const char* key, const TokenizerSpec& spec, std::string_view where,
             int32_t fallback) {
  if (!has(config, key)) return fallback;
  const Json& value = config.at(key);
  const std::string name =
      value.is_object() ? json_string(value, "content", where) : json_string(config, key, where);
  const SpelledToken spelled = token_of_spelling(spec.model, name);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const TokenKind kind = spec.kinds[id];
    const bool added = kind == TokenKind::kSpecial || kind == TokenKind::kAdded;
    if (added ? spec.tokens[id] == name : kind == spelled.kind && spec.tokens[id] == spelled.bytes)
      return static_cast<int32_t>(id);
  }
  bad_input("{}: {} '{}' is not in the vocabulary", where, key, printable(name));
}

void add_token(TokenizerSpec& spec, int64_t id, const Json& token, std::string_view where) {
  const auto size = static_cast<int64_t>(spec.tokens.size());
  if (id < 0 || id > size) {
    bad_input("{}: an added token has the id {}; the next free one is {}", where, id, size);
  }
  if (id == size) {
    spec.tokens.emplace_back();
    spec.kinds.emplace_back();
    if (!spec.scores.empty()) spec.scores.push_back(0);
  }
  set_added_token(spec, static_cast<int32_t>(id), token, where);
}

// "added_tokens_decoder": {"128000": {"content": "<|begin_of_text|>", "special": true, ...}, ...}
void add_decoder_tokens(const Json& config, TokenizerSpec& spec, std::string_view where) {
  std::map<int64_t, const Json*> tokens;
  for (const auto& [name, token] : object_at(config, "added_tokens_decoder", where).items()) {
    const bool digits = !name.empty() && name.size() < 10 &&
                        name.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || !token.is_object()) {
      bad_input("{}: added_tokens_decoder must map ids to objects; '{}' does not", where,
                printable(name));
    }
    tokens.emplace(std::stoll(name), &token);
  }
  for (const auto& [id, token] : tokens) add_token(spec, id, *token, where);
}

// added_tokens.json, of older directories: {"<pad>": 32000, ...}
void add_listed_tokens(std::string_view json, TokenizerSpec& spec, std::string_view where) {
  const Json list = parse_json(json, where);
  if (!list.is_object()) bad_input("{}: not a JSON object", where);
  std::map<int64_t, std::string> tokens;
  for (const auto& [content, id] : list.items()) {
    tokens.emplace(json_int(list, content.c_str(), where, 0, INT32_MAX), content);
  }
  for (const auto& [id, content] : tokens) {
    const bool known = id < static_cast<int64_t>(spec.tokens.size()) &&
                       spec.tokens[static_cast<size_t>(id)] == content;
    if (!known) add_token(spec, id, {{"content", content}}, where);
  }
}

TokenizerSpec read_spec(const Path& directory, std::string_view where) {
  if (std::filesystem::exists(directory / kJson))
    return parse_tokenizer_json(read_text(directory / kJson, kMaxFileBytes), where);
  TokenizerSpec spec = parse_tokenizer_model(read_text(directory / kModel, kMaxFileBytes), where);
  const Path added = directory / kAdded, config = directory / kConfig;
  if (std::filesystem::exists(config)) {
    const std::string name = config.string();
    const Json json = parse_json(read_text(config, kMaxFileBytes), name);
    if (json.is_object() && has(json, "added_tokens_decoder")) add_decoder_tokens(json, spec, name);
  }
  if (std::filesystem::exists(added))
    add_listed_tokens(read_text(added, kMaxFileBytes), spec, added.string());
  return spec;
}

}  // namespace

void apply_tokenizer_config(std::string_view json, TokenizerSpec& spec, std::string_view where) {
  const Json config = parse_json(json, where);
  if (!config.is_object()) bad_input("{}: not a JSON object", where);
  spec.bos_id = role(config, "bos_token", spec, where, spec.bos_id);
  spec.eos_id = role(config, "eos_token", spec, where, spec.eos_id);
  spec.pad_id = role(config, "pad_token", spec, where, spec.pad_id);
  spec.add_bos = json_bool_or(config, "add_bos_token", where, spec.add_bos && spec.bos_id >= 0);
}

bool has_tokenizer(const Path& directory) {
  return std::filesystem::exists(directory / kJson) || std::filesystem::exists(directory / kModel);
}

Tokenizer Tokenizer::load(const Path& directory) {
  const bool model = !std::filesystem::exists(directory / kJson) && has_tokenizer(directory);
  const std::string where = (directory / (model ? kModel : kJson)).string();
  if (!has_tokenizer(directory)) bad_input("{}: no such file, nor {}", where, kModel);
  TokenizerSpec spec = read_spec(directory, where);
  const Path config = directory / kConfig;
  if (std::filesystem::exists(config))
    apply_tokenizer_config(read_text(config, kMaxFileBytes), spec, config.string());
  return Tokenizer(std::move(spec), where);
}

void Tokenizer::save(const Path& directory) const {
  const Path path = directory / kJson;
  write_text(path, tokenizer_json(spec(), path.string()));
  write_text(directory / kConfig, tokenizer_config_json(spec()));
}

}  // namespace trit
