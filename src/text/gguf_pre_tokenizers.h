#pragma once
// What the names under tokenizer.ggml.pre stand for.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/splitter.h"

namespace trit {

// With LLaMA-3's pattern readers of GGUF let a word that is a token become it whatever the merges say,
// and add bos unless told otherwise.
struct PreTokenizer {
  std::string_view name;
  std::string_view first, second;  // patterns; the second may be empty
  bool like_llama3;
  bool nfc;
  std::vector<std::string> patterns() const;
};

// The first of several with one meaning is the one that is written.
inline constexpr PreTokenizer kPreTokenizers[] = {
    {"llama-bpe", kLlama3Pattern, "", true, false},
    {"llama3", kLlama3Pattern, "", true, false},
    {"llama-v3", kLlama3Pattern, "", true, false},
    {"falcon3", kLlama3Pattern, "", true, false},
    {"falcon_e", kLlama3Pattern, "", true, false},
    {"falcon-h1", kLlama3Pattern, "", true, false},
    {"gpt-2", kGpt2Pattern, "", false, false},
    {"phi-2", kGpt2Pattern, "", false, false},
    {"qwen2", kQwen2Pattern, "", false, true},
    {"qwen3", kQwen2Pattern, "", false, true},
    {"deepseek-r1-qwen", kQwen2Pattern, "", false, false},
    {"smollm", R"(\p{N})", kGpt2Pattern, false, false},
    {"starcoder", R"(\p{N})", kGpt2Pattern, false, false},
    {"refact", R"(\p{N})", kGpt2Pattern, false, false},
};

inline std::vector<std::string> PreTokenizer::patterns() const {
  std::vector<std::string> result{std::string(first)};
  if (!second.empty()) result.emplace_back(second);
  return result;
}

}  // namespace trit
