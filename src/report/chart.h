#pragma once
// Curves over named places, with a logarithmic axis upwards: the form of the paper's figures.

#include <optional>
#include <string>
#include <vector>

namespace trit::report {

struct Series {
  std::string name;
  std::vector<std::optional<double>> values;  // one for each place; none: there is no point
};
struct Chart {
  std::string title, unit;
  std::vector<std::string> places;
  std::vector<Series> series;
};

// One SVG element. Each curve has its own colour, dashes and marks, and its name beside it; points carry their values.
// "" when there is no value above 0.
std::string chart_svg(const Chart& chart);

}  // namespace trit::report
