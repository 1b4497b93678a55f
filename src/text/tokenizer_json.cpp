// Reading tokenizer.json: the model, its tokens, and what goes before a text.

#include <fmt/format.h>

#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_level.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_model.h"

namespace trit {

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

SpelledToken token_of_spelling(TokenizerModel model, std::string_view spelling) {
  if (model == TokenizerModel::kByteLevel)
    return {from_byte_level(spelling).value_or(""), TokenKind::kNormal};
  const int byte = byte_of_spelling(spelling);
  if (byte >= 0) return {std::string(1, static_cast<char>(byte)), TokenKind::kByte};
  return {without_space_symbols(spelling), TokenKind::kNormal};
}

void set_added_token(TokenizerSpec& spec, int32_t id, const Json& token, std::string_view where) {
  const std::string content = json_string(token, "content", where);
  if (content.empty()) bad_input("{}: an added token is empty", where);
  const bool special = json_bool_or(token, "special", where, false);
  spec.tokens[static_cast<size_t>(id)] = content;
  spec.kinds[static_cast<size_t>(id)] = special ? TokenKind::kSpecial : TokenKind::kAdded;
  const AddedTokenOptions options{json_bool_or(token, "single_word", where, false),
                                  json_bool_or(token, "lstrip", where, false),
                                  json_bool_or(token, "rstrip", where, false)};
  spec.added_options.erase(id);
  if (options != AddedTokenOptions()) spec.added_options.emplace(id, options);
}

namespace {

// Reads one tokenizer.json into a TokenizerSpec.
class SpecReader {
 public:
  SpecReader(const Json& root, std::string_view where) : root_(root), where_(where) {}
  TokenizerSpec read();

 private:
  void check_model(const Json& model) const;
  void read_added();
  void read_vocab();
  void read_unknown(const Json& model);
  size_t free_place(int64_t id, const std::string& name) const;
  void read_merges();
  void read_post_processor(const Json& part);

  const Json& root_;
  std::string_view where_;
  TokenizerSpec spec_;
  std::unordered_map<std::string, int64_t> added_;
};

TokenizerSpec SpecReader::read() {
  if (!root_.is_object()) bad_input("{}: not a JSON object", where_);
  const Json& model = object_at(root_, "model", where_);
  check_model(model);
  if (json_bool_or(model, "byte_fallback", where_, false))
    spec_.model = TokenizerModel::kSentencePiece;
  spec_.ignore_merges = json_bool_or(model, "ignore_merges", where_, false);
  read_text_steps(root_, spec_, where_);
  read_added();
  read_vocab();
  read_unknown(model);
  read_merges();
  if (has(root_, "post_processor")) read_post_processor(root_.at("post_processor"));
  return std::move(spec_);
}

void SpecReader::check_model(const Json& model) const {
  const std::string type = json_string_or(model, "type", where_, "BPE");
  refuse(type != "BPE", fmt::format("model type '{}' (only BPE)", printable(type)), where_);
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    refuse(!json_string_or(model, affix, where_, "").empty(), affix, where_);
  }
  refuse(json_number_or(model, "dropout", where_, 0) != 0, "dropout", where_);
}

size_t SpecReader::free_place(int64_t id, const std::string& name) const {
  const auto size = static_cast<int64_t>(spec_.tokens.size());
  if (id < 0 || id >= size || !spec_.tokens[static_cast<size_t>(id)].empty()) {
    bad_input("{}: token '{}' has the id {}; ids must be 0 ... {}, each once", where_,
              printable(name), id, size - 1);
  }
  return static_cast<size_t>(id);
}

void SpecReader::read_added() {
  const Json none = Json::array();
  const Json& added = has(root_, "added_tokens") ? array_at(root_, "added_tokens", where_) : none;
  const Json& vocab = object_at(object_at(root_, "model", where_), "vocab", where_);
  size_t size = vocab.size();
  for (const Json& token : added) {
    if (!token.is_object()) bad_input("{}: added_tokens holds something else than objects", where_);
    const std::string content = json_string(token, "content", where_);
    const int64_t id = json_int(token, "id", where_, 0, INT32_MAX);
    if (!added_.emplace(content, id).second) {
      bad_input("{}: added token '{}' occurs twice", where_, printable(content));
    }
    size += !vocab.contains(content);
  }
  spec_.tokens.resize(size);
  spec_.kinds.resize(size);
  for (const Json& token : added) {
    const std::string content = json_string(token, "content", where_);
    const size_t id = free_place(added_.at(content), content);
    set_added_token(spec_, static_cast<int32_t>(id), token, where_);
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
    SpelledToken token = token_of_spelling(spec_.model, name);
    if (token.bytes.empty()) {
      bad_input("{}: token '{}' (id {}) is not in the byte-level alphabet", where_, printable(name),
                id);
    }
    const size_t place = free_place(id, name);
    spec_.tokens[place] = std::move(token.bytes);
    spec_.kinds[place] = token.kind;
  }
}

// SentencePiece's unknown token stands for nothing, also when it is no added token.
void SpecReader::read_unknown(const Json& model) {
  if (spec_.model != TokenizerModel::kSentencePiece || !has(model, "unk_token")) return;
  const std::string name = json_string(model, "unk_token", where_);
  const Json& vocab = model.at("vocab");
  const auto found = vocab.find(name);
  if (found == vocab.end()) {
    bad_input("{}: unk_token '{}' is not in vocab", where_, printable(name));
  }
  spec_.unk_id = found->get<int32_t>();
  TokenKind& kind = spec_.kinds[static_cast<size_t>(spec_.unk_id)];
  if (kind != TokenKind::kAdded) kind = TokenKind::kSpecial;
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

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view json, std::string_view where) {
  const Json root = parse_json(json, where);
  return SpecReader(root, where).read();
}

}  // namespace trit
