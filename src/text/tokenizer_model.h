#pragma once
// tokenizer.model files: SentencePiece's protobuf (LLaMA-1/2) and tiktoken's ranks (LLaMA-3).

#include <string_view>

#include "text/tokenizer.h"

namespace trit {

// Tells the two by content. Roles and LLaMA-3's special tokens are the published ones; a
// tokenizer_config.json may rename them afterwards. Throws Error naming `where` on anything garbled,
// and on SentencePiece models that are not BPE with byte fallback, that normalize characters or that
// drop blanks.
TokenizerSpec parse_tokenizer_model(std::string_view bytes, std::string_view where);

// A piece of SentencePiece, as files spell it, becomes a token of `spec`. `type` is the value that the
// protobuf and GGUF have: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
void add_piece(TokenizerSpec& spec, std::string_view piece, int64_t type, std::string_view where);

// U+2581 -> space.
std::string without_space_symbols(std::string_view piece);
// "<0x0A>" -> 10; -1 when it is not of that form.
int byte_of_spelling(std::string_view piece);

}  // namespace trit
