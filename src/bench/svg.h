#pragma once
// Pieces of drawings that stay readable in print and to the colour-blind: what has another colour has another shape
// or other dashes too.

#include <string>
#include <string_view>

namespace trit::bench {

// Text as XML and HTML have it, in elements and in attributes; ends of lines are spaces, other control characters, which are
// no XML, are left out.
std::string escaped(std::string_view text);

struct LineStyle {
  const char* colour;
  const char* dashes;  // of stroke-dasharray
};
// Of the i-th line; black and without dashes for 0.
const LineStyle& line_style(size_t i);

// The i-th of twelve marks, around a point; no two are of one shape.
std::string mark_at(size_t i, double x, double y, bool hollow = false);

// `anchor`: start, middle or end. `more`: attributes, beginning with a space.
std::string text_at(double x, double y, const char* anchor, std::string_view text,
                    std::string_view more = "");
std::string line_at(double x1, double y1, double x2, double y2, std::string_view attributes);

}  // namespace trit::bench
