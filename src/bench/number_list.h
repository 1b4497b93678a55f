#pragma once
// Lists of numbers on the command line, as llama-bench takes them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trit::bench {

// "512", "1,2,8", "1-4" (1,2,3,4), "0-1024+512" (0,512,1024), "1-8*2" (1,2,4,8), and such parts between
// commas; in the order given, each number once. Throws Error naming `option`, the part that is wrong and
// what would be right; numbers outside [low, high] and lists of more than 256 numbers are refused.
std::vector<int64_t> parse_numbers(std::string_view text, std::string_view option, int64_t low,
                                   int64_t high);

}  // namespace trit::bench
