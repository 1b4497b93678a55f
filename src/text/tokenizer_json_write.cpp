// Writing tokenizer.json and tokenizer_config.json, as transformers writes them.

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "text/splitter.h"
#include "text/token_splits.h"
#include "text/tokenizer_json.h"

namespace trit {
namespace {

const std::string kSymbol(kSpaceSymbol);

Json model_json(const TokenizerSpec& spec, std::string_view where) {
  Json vocab = Json::object(), merges = Json::array();
  for (int32_t id = 0; id < static_cast<int32_t>(spec.tokens.size()); ++id) {
    if (!vocab.emplace(token_spelling(spec, id), id).second) {
      bad_input("{}: two tokens are spelled '{}', which tokenizer.json cannot tell apart", where,
                printable(token_spelling(spec, id)));
    }
  }
  const bool fallback = spec.model == TokenizerModel::kSentencePiece;
  for (const auto& [left, right] :
       spec.scores.empty() ? spec.merges
                           : merges_by_rank(spec, score_ranks(spec.scores, where), where)) {
    merges.push_back(token_spelling(spec, left) + " " + token_spelling(spec, right));
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", spec.unk_id < 0 ? Json() : Json(token_spelling(spec, spec.unk_id))},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", fallback},
          {"byte_fallback", fallback},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

Json added_tokens_json(const TokenizerSpec& spec) {
  Json tokens = Json::array();
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.kinds[i] == TokenKind::kNormal || spec.kinds[i] == TokenKind::kByte) continue;
    const auto found = spec.added_options.find(static_cast<int32_t>(i));
    const AddedTokenOptions options =
        found == spec.added_options.end() ? AddedTokenOptions() : found->second;
    tokens.push_back({{"id", i},
                      {"content", spec.tokens[i]},
                      {"single_word", options.single_word},
                      {"lstrip", options.lstrip},
                      {"rstrip", options.rstrip},
                      {"normalized", false},
                      {"special", spec.kinds[i] == TokenKind::kSpecial}});
  }
  return tokens;
}

Json byte_level_json(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

// ByteLevel splits by GPT-2's pattern itself when that is the last one.
Json byte_level_pre_tokenizer_json(const TokenizerSpec& spec) {
  const bool use_regex = spec.patterns.back() == kGpt2Pattern;
  Json steps = Json::array();
  for (size_t i = 0; i < spec.patterns.size() - use_regex; ++i) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", spec.patterns[i]}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  if (steps.empty()) return byte_level_json(true);
  steps.push_back(byte_level_json(use_regex));
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

Json replace_json(const std::string& pattern, const std::string& content) {
  return {{"type", "Replace"}, {"pattern", {{"String", pattern}}}, {"content", content}};
}

void set_space_steps(Json& root, const TokenizerSpec& spec) {
  const bool each = spec.space_prefix == SpacePrefix::kEach;
  if (each || spec.space_prefix == SpacePrefix::kStart) {
    root["pre_tokenizer"] = {{"type", "Metaspace"},
                             {"replacement", kSymbol},
                             {"prepend_scheme", each ? "always" : "first"},
                             {"split", false}};
  } else {
    Json steps = Json::array();
    if (spec.space_prefix == SpacePrefix::kAlways)
      steps.push_back({{"type", "Prepend"}, {"prepend", kSymbol}});
    steps.push_back(replace_json(" ", kSymbol));
    root["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
  }
  Json decoders =
      Json::array({replace_json(kSymbol, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (spec.space_prefix != SpacePrefix::kNone)
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  root["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
}

void set_byte_level_steps(Json& root, const TokenizerSpec& spec) {
  if (spec.nfc) root["normalizer"] = {{"type", "NFC"}};
  root["pre_tokenizer"] = byte_level_pre_tokenizer_json(spec);
  root["decoder"] = byte_level_json(true);
}

Json post_processor_json(const TokenizerSpec& spec) {
  const bool byte_level = spec.model == TokenizerModel::kByteLevel;
  if (!spec.add_bos) return byte_level ? byte_level_json(true) : Json();
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
  if (!byte_level) return prefix;
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
  name("unk_token", spec.unk_id);
  return config;
}

}  // namespace

std::string tokenizer_json(const TokenizerSpec& spec, std::string_view where) {
  Json root = {{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", added_tokens_json(spec)},
               {"normalizer", nullptr},
               {"pre_tokenizer", nullptr},
               {"post_processor", post_processor_json(spec)},
               {"model", model_json(spec, where)}};
  spec.model == TokenizerModel::kByteLevel ? set_byte_level_steps(root, spec)
                                           : set_space_steps(root, spec);
  return root.dump(1) + "\n";
}

std::string tokenizer_config_json(const TokenizerSpec& spec) {
  return config_json(spec).dump(1) + "\n";
}

}  // namespace trit
