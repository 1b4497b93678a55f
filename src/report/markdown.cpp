#include <fmt/format.h>

#include "report/document.h"

namespace trit::report {
namespace {

struct Writer {
  std::string operator()(const Paragraph& p) const { return p.text + "\n\n"; }
  std::string operator()(const Missing& m) const {
    return fmt::format("**Not measured**: {}: {}\n\n", m.what, m.why);
  }
  std::string operator()(const Commands& c) const {
    std::string text;
    for (const std::string& line : c.lines) text += fmt::format("$ {}\n", line);
    return text.empty() ? "" : fmt::format("```\n{}```\n\n", text);
  }
  std::string operator()(const Drawing& d) const {
    return fmt::format("![{}]({}.svg)\n\n{}\n\n", d.name, d.name, d.caption);
  }
  std::string operator()(const Table& table) const {
    return bench::markdown(table.columns, table.rows) + "\n";
  }
};

}  // namespace

std::string to_markdown(const Document& document) {
  std::string text = fmt::format("# {}\n\n", document.title);
  for (const Section& section : document.sections) {
    text += fmt::format("## {}\n\n", section.title);
    for (const Block& block : section.blocks) text += std::visit(Writer{}, block);
  }
  while (text.ends_with("\n\n")) text.pop_back();
  return text;
}

}  // namespace trit::report
