#pragma once
// A page as data: sections of blocks, written as HTML or as Markdown.

#include <string>
#include <variant>
#include <vector>

#include "bench/table.h"

namespace trit::report {

struct Paragraph {
  std::string text;
};
struct Table {
  std::vector<bench::Column> columns;
  std::vector<OrderedJson> rows;
};
// A drawing: one SVG element, also written to a file of its own.
struct Drawing {
  std::string name, caption, svg;
};
// What made the figures above it.
struct Commands {
  std::vector<std::string> lines;
};
// What there is no figure of, and why.
struct Missing {
  std::string what, why;
};
using Block = std::variant<Paragraph, Table, Drawing, Commands, Missing>;

struct Section {
  std::string id, title;  // id: a letter, then letters, digits and "-"
  std::vector<Block> blocks;
};
struct Document {
  std::string title;
  std::vector<Section> sections;
};

// One page complete in itself: no script, no font, no file besides; well-formed XML.
std::string to_html(const Document& document);
// The same with links to the drawings' files, NAME.svg.
std::string to_markdown(const Document& document);

}  // namespace trit::report
