#pragma once
// What the harness's prompts take from Python's strings. Texts are valid UTF-8.

#include <cstdint>
#include <string>
#include <string_view>

namespace trit {

// str.lstrip(), .rstrip() and .strip(): Unicode white space and the separators U+001C to U+001F.
std::string_view python_lstrip(std::string_view text);
std::string_view python_rstrip(std::string_view text);
std::string_view python_strip(std::string_view text);
// str.capitalize(): the first character in title case, the others in lower case. Characters whose other case is
// several (and the final sigma) stay single here.
std::string python_capitalize(std::string_view text);
// len(str): characters.
int64_t python_length(std::string_view text);
// str.replace().
std::string python_replace(std::string_view text, std::string_view what, std::string_view with);
// len(text.split()): words between white space.
int64_t count_words(std::string_view text);
// len(re.split(r"\s+", text)), which the harness divides by: white space at an end makes an empty piece.
int64_t count_pieces(std::string_view text);

}  // namespace trit
