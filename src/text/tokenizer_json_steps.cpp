// The steps of tokenizer.json around the model: normalizer, pre_tokenizer, decoder.

#include <fmt/format.h>

#include "base/error.h"
#include "text/splitter.h"
#include "text/token_splits.h"
#include "text/tokenizer_json_parts.h"

namespace trit {
namespace {

// `key` of `root`, a Sequence of steps or one step, as a list.
std::vector<Json> steps_of(const Json& root, const char* key, const char* list,
                           std::string_view where) {
  if (!has(root, key)) return {};
  const Json& part = object_at(root, key, where);
  if (type_of(part, where) != "Sequence") return {part};
  const Json& steps = array_at(part, list, where);
  return {steps.begin(), steps.end()};
}

std::string quoted(const char* what, std::string_view name) {
  return fmt::format("{} '{}'", what, printable(name));
}

// A literal text as a regular expression.
std::string escaped(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool word = (c >= '0' && c <= '9') || (c | 32) >= 'a' || (c & 0x80) != 0 || c == ' ';
    if (!word || std::string_view("[\\]^`{|}~").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

std::string split_pattern(const Json& split, std::string_view where) {
  const Json& pattern = object_at(split, "pattern", where);
  const std::string behavior = json_string(split, "behavior", where);
  refuse(behavior != "Isolated", quoted("Split behavior", behavior), where);
  refuse(json_bool_or(split, "invert", where, false), "an inverted Split", where);
  if (has(pattern, "String")) return escaped(json_string(pattern, "String", where));
  refuse(!has(pattern, "Regex"), "a Split whose pattern is neither Regex nor String", where);
  return json_string(pattern, "Regex", where);
}

std::string punctuation_pattern(const Json& part, std::string_view where) {
  const std::string behavior = json_string_or(part, "behavior", where, "Isolated");
  refuse(behavior != "Isolated" && behavior != "Contiguous",
         quoted("Punctuation behavior", behavior), where);
  return std::string(R"([\p{P}$+<=>^`|~])") + (behavior == "Contiguous" ? "+" : "");
}

void read_byte_level(const Json& part, TokenizerSpec& spec, std::string_view where) {
  refuse(json_bool_or(part, "add_prefix_space", where, true), "add_prefix_space", where);
  if (json_bool_or(part, "use_regex", where, true)) spec.patterns.emplace_back(kGpt2Pattern);
  refuse(spec.patterns.empty(), "a ByteLevel pre-tokenizer without Split and without use_regex",
         where);
}

void read_pre_tokenizer(const Json& root, TokenizerSpec& spec, std::string_view where) {
  object_at(root, "pre_tokenizer", where);
  bool bytes = false;
  for (const Json& step : steps_of(root, "pre_tokenizer", "pretokenizers", where)) {
    const std::string type = type_of(step, where);
    refuse(bytes, "a pre_tokenizer after ByteLevel", where);
    if (type == "ByteLevel") {
      read_byte_level(step, spec, where);
      bytes = true;
    } else if (type == "Split") {
      spec.patterns.push_back(split_pattern(step, where));
    } else if (type == "Digits") {
      const bool single = json_bool_or(step, "individual_digits", where, false);
      spec.patterns.emplace_back(single ? R"(\p{N})" : R"(\p{N}+)");
    } else {
      refuse(type != "Punctuation", quoted("pre_tokenizer", type), where);
      spec.patterns.push_back(punctuation_pattern(step, where));
    }
  }
  refuse(!bytes, "a pre_tokenizer without ByteLevel", where);
}

void read_normal_form(const Json& root, TokenizerSpec& spec, std::string_view where) {
  for (const Json& step : steps_of(root, "normalizer", "normalizers", where)) {
    const std::string type = type_of(step, where);
    refuse(type != "NFC", quoted("normalizer", type), where);
    spec.nfc = true;
  }
}

// The spaces of SentencePiece as normalizers: Prepend, then Replace.
SpacePrefix normalizer_prefix(const std::vector<Json>& steps, std::string_view where) {
  SpacePrefix prefix = SpacePrefix::kNone;
  bool replaced = false;
  for (const Json& step : steps) {
    const std::string type = type_of(step, where);
    refuse(replaced, "a normalizer after Replace", where);
    if (type == "Prepend") {
      refuse(json_string(step, "prepend", where) != kSpaceSymbol, "Prepend of anything but U+2581",
             where);
      prefix = SpacePrefix::kAlways;
      continue;
    }
    refuse(type != "Replace", quoted("normalizer", type), where);
    refuse(json_string(object_at(step, "pattern", where), "String", where) != " " ||
               json_string(step, "content", where) != kSpaceSymbol,
           "Replace of anything but spaces by U+2581", where);
    replaced = true;
  }
  refuse(!replaced, "a normalizer that leaves spaces", where);
  return prefix;
}

SpacePrefix metaspace_prefix(const Json& part, std::string_view where) {
  const std::string type = type_of(part, where);
  refuse(type != "Metaspace", quoted("pre_tokenizer", type), where);
  refuse(json_string_or(part, "replacement", where, std::string(kSpaceSymbol)) != kSpaceSymbol,
         "a Metaspace of anything but U+2581", where);
  refuse(json_bool_or(part, "split", where, true), "a Metaspace that splits", where);
  const std::string scheme = json_string_or(part, "prepend_scheme", where, "always");
  if (scheme == "first") return SpacePrefix::kStart;
  if (scheme == "always") return SpacePrefix::kEach;
  refuse(scheme != "never", quoted("prepend_scheme", scheme), where);
  return SpacePrefix::kNone;
}

void read_spaces(const Json& root, TokenizerSpec& spec, std::string_view where) {
  const std::vector<Json> normalizers = steps_of(root, "normalizer", "normalizers", where);
  if (!normalizers.empty()) {
    spec.space_prefix = normalizer_prefix(normalizers, where);
    refuse(has(root, "pre_tokenizer"), "a pre_tokenizer beside a normalizer of spaces", where);
  } else {
    spec.space_prefix = metaspace_prefix(object_at(root, "pre_tokenizer", where), where);
  }
}

}  // namespace

void read_text_steps(const Json& root, TokenizerSpec& spec, std::string_view where) {
  const bool byte_level = spec.model == TokenizerModel::kByteLevel;
  if (byte_level) {
    read_normal_form(root, spec, where);
    read_pre_tokenizer(root, spec, where);
  } else {
    read_spaces(root, spec, where);
  }
  if (!has(root, "decoder")) return;
  const std::string decoder = type_of(root.at("decoder"), where);
  refuse(byte_level ? decoder != "ByteLevel" : decoder != "Sequence" && decoder != "Metaspace",
         quoted("decoder", decoder), where);
}

}  // namespace trit
