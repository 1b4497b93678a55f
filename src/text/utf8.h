#pragma once
// UTF-8 (RFC 3629): validation, and decoding that never splits a character.

#include <cstddef>
#include <string>
#include <string_view>

namespace trit {

// Length of the longest prefix of `text` that is valid UTF-8; text.size() when all of it is.
size_t valid_utf8_prefix(std::string_view text);

// Throws Error "<where>: invalid UTF-8 at byte N ..." unless `text` is valid.
void check_utf8(std::string_view text, std::string_view where);

// Moves the text out of `bytes`. Broken sequences become U+FFFD, one for each maximal subpart (The
// Unicode Standard, section 3.9, "U+FFFD Substitution of Maximal Subparts"). A character that may
// still be completed stays in `bytes`, unless this is the `last` call.
std::string take_utf8(std::string& bytes, bool last);

}  // namespace trit
