// HellaSwag: rows as published (activity_label, ctx_a, ctx_b, endings, label), which are cleaned as the harness does
// it, or cleaned ones (ctx, endings, label), which are taken as they are.

#include <fmt/format.h>

#include "eval/python_text.h"
#include "eval/task.h"

namespace trit {
namespace {

// re.sub(r"\[.*?\]", "", text): the dot is anything but a line break.
std::string without_brackets(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t close = text[at] == '[' ? text.find_first_of("]\n", at) : std::string_view::npos;
    if (close != std::string_view::npos && text[close] == ']') {
      at = close + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

// WikiHow's marks, such as "[header]", are artefacts of how the set was made.
std::string cleaned(std::string_view text) {
  const std::string titled = python_replace(python_strip(text), " [title]", ". ");
  return python_replace(without_brackets(titled), "  ", " ");
}

}  // namespace

Question hellaswag_question(const Json& row, std::string_view where) {
  std::vector<std::string> endings = json_strings(row, "endings", where);
  const int64_t gold = json_index(row, "label", where, std::ssize(endings));
  if (!row.contains("activity_label"))
    return multiple_choice(json_string(row, "ctx", where), endings, gold, where);
  for (std::string& ending : endings) ending = cleaned(ending);
  const std::string context = fmt::format("{}: {} {}", json_string(row, "activity_label", where),
                                          json_string(row, "ctx_a", where),
                                          python_capitalize(json_string(row, "ctx_b", where)));
  return multiple_choice(cleaned(context), endings, gold, where);
}

}  // namespace trit
