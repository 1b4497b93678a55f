#pragma once
// Characters of valid UTF-8, as Python's str sees them: positions, classes, case.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace trit::jinja {

size_t character_length(std::string_view text,
                        size_t offset);  // in bytes; at least 1, inside the text
char32_t character_at(std::string_view text, size_t offset);
size_t count_characters(std::string_view text);
void append_character(std::string& text, char32_t c);

bool is_space(char32_t c);      // str.isspace and \s
bool is_printable(char32_t c);  // str.isprintable
bool is_letter(char32_t c);     // str.isalpha
bool is_digit(char32_t c);      // of ASCII alone

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_capital(std::string_view text);  // the first character upper, the others lower
std::string to_title(std::string_view text);  // str.title: the first letter of each run of letters
bool is_upper(std::string_view text);         // there are letters with case, all of them upper
bool is_lower(std::string_view text);

// str.strip: without the characters of `set` (of white space when absent) on the chosen sides.
std::string_view strip(std::string_view text, std::optional<std::string_view> set, bool left,
                       bool right);

}  // namespace trit::jinja
