// Tokenizer::load and Tokenizer::save: the tokenizer.json of Hugging Face's `tokenizers` and the
// tokenizer_config.json of transformers.

#include <fmt/format.h>

#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "text/byte_level.h"
#include "text/splitter.h"
#include "text/tokenizer.h"

namespace trit {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;

bool has(const Json& object, const char* key) {
  return object.contains(key) && !object.at(key).is_null();
}

const Json& object_at(const Json& parent, const char* key, std::string_view where) {
  if (!has(parent, key) || !parent.at(key).is_object()) {
    bad_input("{}: '{}' is missing or no object", where, key);
  }
  return parent.at(key);
}

const Json& array_at(const Json& parent, const char* key, std::string_view where) {
  if (!has(parent, key) || !parent.at(key).is_array()) {
    bad_input("{}: '{}' is missing or no array", where, key);
  }
  return parent.at(key);
}

std::string type_of(const Json& part, std::string_view where) {
  if (!part.is_object()) bad_input("{}: '{}' is no object", where, printable(part.dump()));
  return json_string(part, "type", where);
}

void refuse(bool condition, std::string_view construct, std::string_view where) {
  if (condition) bad_input("{}: {} is not supported", where, construct);
}

// Reads one tokenizer.json into a TokenizerSpec.
class SpecReader {
 public:
  SpecReader(const Json& root, std::string_view where) : root_(root), where_(where) {}
  TokenizerSpec read();

 private:
  void read_added();
  void read_vocab();
  void place(int64_t id, std::string bytes, TokenKind kind, const std::string& name);
  void read_merges();
  void read_pre_tokenizer();
  std::string split_pattern(const Json& split) const;
  void check_byte_level(const Json& part, bool use_regex) const;
  void read_post_processor(const Json& part);

  const Json& root_;
  std::string_view where_;
  TokenizerSpec spec_;
  std::unordered_map<std::string, int64_t> added_;
};

TokenizerSpec SpecReader::read() {
  if (!root_.is_object()) bad_input("{}: not a JSON object", where_);
  refuse(has(root_, "normalizer"), "a normalizer", where_);
  if (has(root_, "decoder")) {
    const std::string decoder = type_of(root_.at("decoder"), where_);
    refuse(decoder != "ByteLevel", fmt::format("decoder '{}'", printable(decoder)), where_);
  }
  const Json& model = object_at(root_, "model", where_);
  const std::string type = json_string_or(model, "type", where_, "BPE");
  refuse(type != "BPE", fmt::format("model type '{}' (only BPE)", printable(type)), where_);
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    refuse(!json_string_or(model, affix, where_, "").empty(), affix, where_);
  }
  refuse(json_number_or(model, "dropout", where_, 0) != 0, "dropout", where_);
  refuse(json_bool_or(model, "byte_fallback", where_, false), "byte_fallback", where_);
  spec_.ignore_merges = json_bool_or(model, "ignore_merges", where_, false);
  read_added();
  read_vocab();
  read_merges();
  read_pre_tokenizer();
  if (has(root_, "post_processor")) read_post_processor(root_.at("post_processor"));
  return std::move(spec_);
}

void SpecReader::place(int64_t id, std::string bytes, TokenKind kind, const std::string& name) {
  const auto size = static_cast<int64_t>(spec_.tokens.size());
  if (id < 0 || id >= size || !spec_.tokens[static_cast<size_t>(id)].empty()) {
    bad_input("{}: token '{}' has the id {}; ids must be 0 ... {}, each once", where_,
              printable(name), id, size - 1);
  }
  spec_.tokens[static_cast<size_t>(id)] = std::move(bytes);
  spec_.kinds[static_cast<size_t>(id)] = kind;
}

void SpecReader::read_added() {
  if (has(root_, "added_tokens")) {
    for (const Json& token : array_at(root_, "added_tokens", where_)) {
      if (!token.is_object())
        bad_input("{}: added_tokens holds something else than objects", where_);
      const std::string content = json_string(token, "content", where_);
      for (const char* option : {"single_word", "lstrip", "rstrip"}) {
        refuse(json_bool_or(token, option, where_, false),
               fmt::format("'{}' of added token '{}'", option, printable(content)), where_);
      }
      if (content.empty()) bad_input("{}: an added token is empty", where_);
      const int64_t id = json_int(token, "id", where_, 0, INT32_MAX);
      if (!added_.emplace(content, id).second) {
        bad_input("{}: added token '{}' occurs twice", where_, printable(content));
      }
    }
  }
  const Json& vocab = object_at(object_at(root_, "model", where_), "vocab", where_);
  size_t size = vocab.size();
  for (const auto& [content, id] : added_) size += !vocab.contains(content);
  spec_.tokens.resize(size);
  spec_.kinds.resize(size);
  if (added_.empty()) return;
  for (const Json& token : root_.at("added_tokens")) {
    const std::string content = json_string(token, "content", where_);
    const bool special = json_bool_or(token, "special", where_, false);
    place(added_.at(content), content, special ? TokenKind::kSpecial : TokenKind::kAdded, content);
  }
}

void SpecReader::read_vocab() {
  for (const auto& [name, value] : root_.at("model").at("vocab").items()) {
    if (!value.is_number_integer()) {
      bad_input("{}: the id of token '{}' is no integer", where_, printable(name));
    }
    const auto id = value.get<int64_t>();
    const auto added = added_.find(name);
    if (added != added_.end()) {
      if (added->second == id) continue;
      bad_input("{}: token '{}' has the id {} in vocab and {} in added_tokens", where_,
                printable(name), id, added->second);
    }
    std::optional<std::string> bytes = from_byte_level(name);
    if (!bytes || bytes->empty()) {
      bad_input("{}: token '{}' (id {}) is not in the byte-level alphabet", where_, printable(name),
                id);
    }
    place(id, std::move(*bytes), TokenKind::kNormal, name);
  }
}

// A merge is "left right" or ["left", "right"].
std::optional<std::pair<std::string, std::string>> merge_parts(const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair{merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (!merge.is_string()) return std::nullopt;
  const auto text = merge.get<std::string>();
  const size_t space = text.find(' ');
  if (space == std::string::npos) return std::nullopt;
  return std::pair{text.substr(0, space), text.substr(space + 1)};
}

void SpecReader::read_merges() {
  const Json& vocab = root_.at("model").at("vocab");
  const auto id_of = [&](const std::string& name, size_t rank) {
    const auto found = vocab.find(name);
    if (found == vocab.end()) {
      bad_input("{}: merge {} names '{}', which is not in vocab", where_, rank, printable(name));
    }
    return found->get<int32_t>();
  };
  for (const Json& merge : array_at(root_.at("model"), "merges", where_)) {
    const size_t rank = spec_.merges.size();
    const auto parts = merge_parts(merge);
    if (!parts) bad_input("{}: merge {} is no pair of tokens", where_, rank);
    spec_.merges.emplace_back(id_of(parts->first, rank), id_of(parts->second, rank));
  }
}

void SpecReader::check_byte_level(const Json& part, bool use_regex) const {
  refuse(json_bool_or(part, "add_prefix_space", where_, true), "add_prefix_space", where_);
  refuse(json_bool_or(part, "use_regex", where_, true) != use_regex,
         use_regex ? "a ByteLevel pre-tokenizer without Split and without use_regex"
                   : "a Split followed by ByteLevel with use_regex",
         where_);
}

std::string SpecReader::split_pattern(const Json& split) const {
  const Json& pattern = object_at(split, "pattern", where_);
  refuse(!pattern.contains("Regex"), "a Split whose pattern is no Regex", where_);
  const std::string behavior = json_string(split, "behavior", where_);
  refuse(behavior != "Isolated", fmt::format("Split behavior '{}'", printable(behavior)), where_);
  refuse(json_bool_or(split, "invert", where_, false), "an inverted Split", where_);
  return json_string(pattern, "Regex", where_);
}

void SpecReader::read_pre_tokenizer() {
  const Json& part = object_at(root_, "pre_tokenizer", where_);
  const std::string type = type_of(part, where_);
  if (type == "ByteLevel") {
    check_byte_level(part, true);
    spec_.pattern = kGpt2Pattern;
    return;
  }
  refuse(type != "Sequence", fmt::format("pre_tokenizer '{}'", printable(type)), where_);
  const Json& steps = array_at(part, "pretokenizers", where_);
  refuse(steps.size() != 2 || type_of(steps[0], where_) != "Split" ||
             type_of(steps[1], where_) != "ByteLevel",
         "a pre_tokenizer Sequence other than Split, ByteLevel", where_);
  spec_.pattern = split_pattern(steps[0]);
  check_byte_level(steps[1], false);
}

// Only one question is asked of it: does a text start with a special token?
void SpecReader::read_post_processor(const Json& part) {
  const std::string type = type_of(part, where_);
  if (type == "Sequence") {
    for (const Json& step : array_at(part, "processors", where_)) {
      refuse(type_of(step, where_) == "Sequence", "a Sequence of post-processors in another",
             where_);
      read_post_processor(step);
    }
    return;
  }
  if (type == "ByteLevel") return;
  refuse(type != "TemplateProcessing", fmt::format("post_processor '{}'", printable(type)), where_);
  const Json& single = array_at(part, "single", where_);
  if (single.empty() || !single[0].is_object() || !has(single[0], "SpecialToken")) return;
  const std::string bos = json_string(object_at(single[0], "SpecialToken", where_), "id", where_);
  const auto found = added_.find(bos);
  if (found == added_.end()) {
    bad_input("{}: post_processor names '{}', which is no added token", where_, printable(bos));
  }
  spec_.bos_id = static_cast<int32_t>(found->second);
  spec_.add_bos = true;
}

// The id of the token that `config` names under `key`; `fallback` when it names none.
int32_t role(const Json& config, const char* key, const TokenizerSpec& spec, std::string_view where,
             int32_t fallback) {
  if (!has(config, key)) return fallback;
  const Json& value = config.at(key);
  const std::string name =
      value.is_object() ? json_string(value, "content", where) : json_string(config, key, where);
  const std::optional<std::string> bytes = from_byte_level(name);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const bool normal = spec.kinds[id] == TokenKind::kNormal;
    if (normal ? spec.tokens[id] == bytes : spec.tokens[id] == name)
      return static_cast<int32_t>(id);
  }
  bad_input("{}: {} '{}' is not in the vocabulary", where, key, printable(name));
}

void read_config(const Path& path, TokenizerSpec& spec) {
  const std::string where = path.string();
  const Json config = parse_json(read_text(path, kMaxFileBytes), where);
  if (!config.is_object()) bad_input("{}: not a JSON object", where);
  spec.bos_id = role(config, "bos_token", spec, where, spec.bos_id);
  spec.eos_id = role(config, "eos_token", spec, where, -1);
  spec.pad_id = role(config, "pad_token", spec, where, -1);
  spec.add_bos = json_bool_or(config, "add_bos_token", where, spec.add_bos);
}

Json model_json(const TokenizerSpec& spec, std::string_view where) {
  Json vocab = Json::object(), merges = Json::array();
  for (int32_t id = 0; id < static_cast<int32_t>(spec.tokens.size()); ++id) {
    if (!vocab.emplace(token_spelling(spec, id), id).second) {
      bad_input("{}: two tokens are spelled '{}', which tokenizer.json cannot tell apart", where,
                printable(token_spelling(spec, id)));
    }
  }
  for (const auto& [left, right] : spec.merges) {
    merges.push_back(token_spelling(spec, left) + " " + token_spelling(spec, right));
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

Json added_tokens_json(const TokenizerSpec& spec) {
  Json tokens = Json::array();
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.kinds[id] == TokenKind::kNormal) continue;
    tokens.push_back({{"id", id},
                      {"content", spec.tokens[id]},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", spec.kinds[id] == TokenKind::kSpecial}});
  }
  return tokens;
}

Json byte_level_json(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json pre_tokenizer_json(const TokenizerSpec& spec) {
  if (spec.pattern == kGpt2Pattern) return byte_level_json(true);
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", spec.pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level_json(false)})}};
}

Json post_processor_json(const TokenizerSpec& spec) {
  if (!spec.add_bos) return byte_level_json(true);
  const std::string bos = token_spelling(spec, spec.bos_id);
  const auto special = [&](int type) {
    return Json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  const Json entry = {
      {"id", bos}, {"ids", Json::array({spec.bos_id})}, {"tokens", Json::array({bos})}};
  const Json prefix = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({special(0), sequence("A", 0)})},
      {"pair", Json::array({special(0), sequence("A", 0), special(1), sequence("B", 1)})},
      {"special_tokens", {{bos, entry}}}};
  return {{"type", "Sequence"}, {"processors", Json::array({byte_level_json(true), prefix})}};
}

Json config_json(const TokenizerSpec& spec) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"add_bos_token", spec.add_bos}};
  const auto name = [&](const char* key, int32_t id) {
    if (id >= 0) config[key] = token_spelling(spec, id);
  };
  name("bos_token", spec.bos_id);
  name("eos_token", spec.eos_id);
  name("pad_token", spec.pad_id);
  return config;
}

}  // namespace

Tokenizer Tokenizer::load(const Path& directory) {
  const Path path = directory / "tokenizer.json", config = directory / "tokenizer_config.json";
  const std::string where = path.string();
  const Json root = parse_json(read_text(path, kMaxFileBytes), where);
  TokenizerSpec spec = SpecReader(root, where).read();
  if (std::filesystem::exists(config)) read_config(config, spec);
  return Tokenizer(std::move(spec), where);
}

void Tokenizer::save(const Path& directory) const {
  const Path path = directory / "tokenizer.json";
  const Json root = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens_json(spec())},
                     {"normalizer", nullptr},
                     {"pre_tokenizer", pre_tokenizer_json(spec())},
                     {"post_processor", post_processor_json(spec())},
                     {"decoder", byte_level_json(true)},
                     {"model", model_json(spec(), path.string())}};
  write_text(path, root.dump(1) + "\n");
  write_text(directory / "tokenizer_config.json", config_json(spec()).dump(1) + "\n");
}

}  // namespace trit
