#include "bench/number_list.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace trit::bench {
namespace {

constexpr size_t kMaxNumbers = 256;

class Parser {
 public:
  Parser(std::string_view option, int64_t low, int64_t high)
      : option_(option), low_(low), high_(high) {}

  void part(std::string_view text) {
    const size_t dash = text.find('-', 1);
    if (dash == std::string_view::npos) return add(number(text, text), text);
    std::string_view last = text.substr(dash + 1);
    int64_t step = 1;
    char operation = '+';
    if (const size_t at = last.find_first_of("+*"); at != std::string_view::npos) {
      operation = last[at];
      step = number(last.substr(at + 1), text);
      last = last.substr(0, at);
    }
    const int64_t begin = number(text.substr(0, dash), text), end = number(last, text);
    const bool grows = operation == '+' ? step >= 1 : step >= 2 && begin >= 1;
    if (end < begin || !grows) wrong(text);
    check_range(end, text);
    for (int64_t n = begin; n <= end; n = operation == '+' ? n + step : n * step) add(n, text);
  }
  std::vector<int64_t> numbers;

 private:
  [[noreturn]] void wrong(std::string_view text) const {
    bad_input("{}: '{}' is no number or range; expected such as 512, 1-4, 0-1024+512 or 1-8*2",
              option_, printable(text));
  }
  void check_range(int64_t n, std::string_view text) const {
    if (n < low_ || n > high_)
      bad_input("{}: '{}' is out of range, expected {} to {}", option_, printable(text), low_,
                high_);
  }
  int64_t number(std::string_view digits, std::string_view text) const {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc::result_out_of_range) check_range(high_ + 1, text);
    if (error != std::errc{} || end != digits.data() + digits.size() || value > INT32_MAX)
      wrong(text);
    return value;
  }
  void add(int64_t n, std::string_view text) {
    check_range(n, text);
    if (std::ranges::find(numbers, n) != numbers.end()) return;
    if (numbers.size() == kMaxNumbers)
      bad_input("{}: '{}' makes more than {} numbers", option_, printable(text), kMaxNumbers);
    numbers.push_back(n);
  }

  std::string_view option_;
  int64_t low_, high_;
};

}  // namespace

std::vector<int64_t> parse_numbers(std::string_view text, std::string_view option, int64_t low,
                                   int64_t high) {
  Parser parser(option, low, high);
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parser.part(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parser.numbers;
}

}  // namespace trit::bench
