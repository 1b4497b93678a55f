#include <fmt/format.h>

#include <algorithm>

#include "bench/svg.h"
#include "report/document.h"

namespace trit::report {
namespace {

using bench::escaped;

constexpr const char* kStyle =
    "body{font:15px/1.5 sans-serif;color:#000;background:#fff;max-width:62em;margin:2em "
    "auto;padding:0 "
    "1.2em}\n"
    "h1{font-size:1.7em;line-height:1.2}h2{font-size:1.25em;margin-top:2em;border-bottom:1px solid "
    "#999}\n"
    "nav a{margin-right:1em;white-space:nowrap}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9em;margin:.8em 0}\n"
    "th,td{padding:.2em .7em;text-align:left;border-bottom:1px solid #ccc;vertical-align:top}\n"
    "th{border-bottom:2px solid #000}.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    "td.n,td:first-child{white-space:nowrap}\n"
    "figure{margin:1em 0}figcaption{font-size:.9em}svg{max-width:100%;height:auto}\n"
    "pre{font-size:.8em;line-height:1.35;background:#f3f3f3;padding:.6em;white-space:pre-wrap;"
    "overflow-wrap:anywhere}\n"
    ".missing{border-left:4px solid #000;padding-left:.7em}\n"
    "@media print{body{margin:0;max-width:none;font-size:10pt}nav{display:none}.wide{overflow:"
    "visible}table{font-size:8pt}th,td{padding:.1em .35em}\n"
    "h2,figure,tr{break-inside:avoid}h2{break-after:avoid}pre{background:none;border:1px solid "
    "#999}}";

std::string element(std::string_view name, std::string_view text) {
  return fmt::format("<{0}>{1}</{0}>\n", name, escaped(text));
}

// Builds the HTML of one block; a visitor.
struct Writer {
  std::string operator()(const Paragraph& p) const { return element("p", p.text); }
  std::string operator()(const Missing& m) const {
    return fmt::format("<p class=\"missing\"><strong>Not measured</strong>: {}: {}</p>\n",
                       escaped(m.what), escaped(m.why));
  }
  std::string operator()(const Commands& c) const {
    std::string text;
    for (const std::string& line : c.lines) text += fmt::format("$ {}\n", escaped(line));
    return text.empty() ? "" : fmt::format("<pre>{}</pre>\n", text);
  }
  std::string operator()(const Drawing& d) const {
    return fmt::format("<figure>\n{}<figcaption>{}</figcaption></figure>\n", d.svg,
                       escaped(d.caption));
  }
  std::string operator()(const Table& table) const {
    const auto numbers = [&](const bench::Column& column) {
      return std::ranges::any_of(table.rows, [&](const OrderedJson& row) {
        return row.contains(column.key) && row[column.key].is_number();
      });
    };
    std::string html = "<div class=\"wide\"><table><tr>";
    const auto add = [&](const char* tag, const bench::Column& column, std::string_view text) {
      html += fmt::format("<{0}{1}>{2}</{0}>", tag, numbers(column) ? " class=\"n\"" : "",
                          escaped(text));
    };
    for (const bench::Column& column : table.columns) add("th", column, column.title);
    html += "</tr>\n";
    for (const OrderedJson& row : table.rows) {
      html += "<tr>";
      for (const bench::Column& column : table.columns)
        add("td", column, bench::cell_text(row, column));
      html += "</tr>\n";
    }
    return html + "</table></div>\n";
  }
};

}  // namespace

std::string to_html(const Document& document) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>"
      "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width\"/>"
      "<title>{}</title>\n<style>{}</style></head><body>\n",
      escaped(document.title), kStyle);
  html += element("h1", document.title) + "<nav>";
  for (const Section& section : document.sections)
    html += fmt::format("<a href=\"#{}\">{}</a> ", section.id, escaped(section.title));
  html += "</nav>\n";
  for (const Section& section : document.sections) {
    html += fmt::format("<h2 id=\"{}\">{}</h2>\n", section.id, escaped(section.title));
    for (const Block& block : section.blocks) html += std::visit(Writer{}, block);
  }
  return html + "</body></html>\n";
}

}  // namespace trit::report
