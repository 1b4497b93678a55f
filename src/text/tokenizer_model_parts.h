#pragma once
// The two formats of tokenizer.model; parse_tokenizer_model() chooses.

#include <string_view>

#include "text/tokenizer.h"

namespace trit {

TokenizerSpec parse_sentencepiece_model(std::string_view bytes, std::string_view where);
// True when the first line is "base64 rank".
bool looks_like_tiktoken(std::string_view bytes);
TokenizerSpec parse_tiktoken_model(std::string_view bytes, std::string_view where);

}  // namespace trit
