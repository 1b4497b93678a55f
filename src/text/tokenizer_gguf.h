#pragma once
// Tokenizers inside GGUF files: the tokenizer.ggml.* keys of a "gpt2" (byte-level BPE) tokenizer.

#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace trit {

// Sets tokenizer.ggml.model "gpt2", .pre ("llama-bpe" or "gpt-2", by the pattern), .tokens,
// .token_type, .merges, .bos_token_id, .eos_token_id, .padding_token_id (where there is one) and
// .add_bos_token. Throws Error when the format has no name for the tokenizer: another pattern, or
// merges and ignore_merges that differ from what the name implies.
void write_tokenizer(GgufWriter& writer, const Tokenizer& tokenizer);

// Throws Error naming the file and the key when something is missing, garbled or not supported.
Tokenizer read_tokenizer(const Gguf& file);

}  // namespace trit
