#pragma once
// Tokenizers inside GGUF files: the tokenizer.ggml.* keys of "gpt2" (byte-level BPE) and "llama"
// (SentencePiece) tokenizers.

#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace trit {

// Sets tokenizer.ggml.model, .tokens, .token_type; of byte-level BPE .pre (named after the patterns) and
// .merges; of SentencePiece .scores and .add_space_prefix; .bos_token_id, .eos_token_id,
// .padding_token_id and .unknown_token_id (where there is one) and .add_bos_token. Throws Error when the
// format cannot say what the tokenizer is: patterns without a name, merges and ignore_merges that differ
// from what the name implies, merges that no scores imply, added tokens that take blanks with them.
void write_tokenizer(GgufWriter& writer, const Tokenizer& tokenizer);

// Throws Error naming the file and the key when something is missing, garbled or not supported. A file
// without .pre is taken for LLaMA-3's when it has 128256 tokens and bos 128000 (as the published file of
// BitNet b1.58 2B4T has), and refused otherwise.
Tokenizer read_tokenizer(const Gguf& file);

}  // namespace trit
