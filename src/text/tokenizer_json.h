#pragma once
// tokenizer.json of Hugging Face's `tokenizers` and tokenizer_config.json of transformers, as text.

#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace trit {

// Supported is model BPE, and around it either
//   byte level:     normalizer none or NFC; pre_tokenizer ByteLevel, or a Sequence of Split (Isolated),
//                   Digits and Punctuation, and ByteLevel last; decoder ByteLevel; or
//   SentencePiece:  byte_fallback; normalizer Prepend and Replace of U+2581, or pre_tokenizer Metaspace
//                   without split;
// added tokens with all their flags, except that `normalized` ones are looked for in the text as it is;
// post-processors that put one special token before a text. Anything else throws Error naming the file
// `where` and the construct.
TokenizerSpec parse_tokenizer_json(std::string_view json, std::string_view where);

// Roles and add_bos_token of a tokenizer_config.json, over what `spec` has.
void apply_tokenizer_config(std::string_view json, TokenizerSpec& spec, std::string_view where);

// What the two functions above read. Throws Error when tokenizer.json cannot say it.
std::string tokenizer_json(const TokenizerSpec& spec, std::string_view where);
std::string tokenizer_config_json(const TokenizerSpec& spec);

}  // namespace trit
