#include "bench/svg.h"

#include <fmt/format.h>

#include <iterator>

namespace trit::bench {
namespace {

// Okabe and Ito's colours without the yellow, which is too light for a line on white; then again, with other dashes.
constexpr size_t kColours = 7;
constexpr LineStyle kStyles[] = {
    {"#000000", "none"},         {"#0072b2", "10 4"}, {"#d55e00", "3 3"},
    {"#009e73", "12 4 3 4"},     {"#cc79a7", "6 6"},  {"#56b4e9", "1 4"},
    {"#e69f00", "14 3 3 3 3 3"}, {"#000000", "2 6"},  {"#0072b2", "20 4 2 4"},
    {"#d55e00", "8 2 2 2"},      {"#009e73", "24 6"}};

// Outlines around the origin; each of them differs from all others in shape.
constexpr const char* kOutlines[] = {
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",                          // circle
    "M-4.5 -4.5h9v9h-9z",                                             // square
    "M0 -6l6 6l-6 6l-6 -6z",                                          // diamond
    "M0 -6l6 11h-12z",                                                // triangle
    "M0 6l6 -11h-12z",                                                // triangle upside down
    "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",                             // plus
    "M-5 -2l3 -3l2 2l2 -2l3 3l-2 2l2 2l-3 3l-2 -2l-2 2l-3 -3l2 -2z",  // cross
    "M-3 -5h6l3 5l-3 5h-6l-3 -5z",                                    // hexagon
    "M0 -7l2 5h5l-4 3l2 5l-5 -3l-5 3l2 -5l-4 -3h5z",                  // star
    "M-6 -2.5h12v5h-12z",                                             // lying bar
    "M-2.5 -6h5v12h-5z",                                              // standing bar
    "M-5 -5h10l-10 10z",                                              // corner
};

}  // namespace

const LineStyle& line_style(size_t i) { return kStyles[i % std::size(kStyles)]; }

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\n') {
      out += ' ';
    } else if (static_cast<unsigned char>(c) >= 0x20) {  // others are no XML
      out += c;
    }
  }
  return out;
}

std::string text_at(double x, double y, const char* anchor, std::string_view text,
                    std::string_view more) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, more, escaped(text));
}

std::string line_at(double x1, double y1, double x2, double y2, std::string_view attributes) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1,
                     x2, y2, attributes);
}

std::string mark_at(size_t i, double x, double y, bool hollow) {
  const char* colour = line_style(i % (kColours - 1) + 1).colour;  // black is for the lines between
  return fmt::format(
      "<path d=\"{}\" transform=\"translate({:.1f} {:.1f})\" fill=\"{}\" stroke=\"{}\" "
      "stroke-width=\"{}\"/>",
      kOutlines[i % std::size(kOutlines)], x, y, hollow ? "#ffffff" : colour,
      hollow ? colour : "#000000", hollow ? "1.6" : "0.6");
}

}  // namespace trit::bench
