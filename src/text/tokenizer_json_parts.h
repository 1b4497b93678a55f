#pragma once
// What the readers of the parts of tokenizer.json share.

#include <string>
#include <string_view>

#include "base/json.h"
#include "text/tokenizer.h"

namespace trit {

bool has(const Json& object, const char* key);  // and it is not null
// Throw Error naming the file `where` when the member is missing or of another type.
const Json& object_at(const Json& parent, const char* key, std::string_view where);
const Json& array_at(const Json& parent, const char* key, std::string_view where);
// The member "type" of a construct.
std::string type_of(const Json& part, std::string_view where);
// Throws Error "<construct> is not supported" when `condition` holds.
void refuse(bool condition, std::string_view construct, std::string_view where);

// normalizer, pre_tokenizer and decoder of `root` -> patterns, nfc, space_prefix, according to spec.model.
void read_text_steps(const Json& root, TokenizerSpec& spec, std::string_view where);

// The bytes that the spelling of a normal token, or of SentencePiece's byte, stands for, and its kind.
// Nothing when it is no spelling of `model`.
struct SpelledToken {
  std::string bytes;  // empty: no token is spelled so
  TokenKind kind;
};
SpelledToken token_of_spelling(TokenizerModel model, std::string_view spelling);

// Added token `id` of JSON object `token`: its string, kind and flags into `spec`, which has the id.
void set_added_token(TokenizerSpec& spec, int32_t id, const Json& token, std::string_view where);

}  // namespace trit
