#include "report/chart.h"

#include <gtest/gtest.h>

#include <regex>

#include "bench/well_formed.h"

namespace trit::report {
namespace {

Chart chart() {
  return {"Latency <against> \"size\"",
          "ms",
          {"700M", "3B", "70B"},
          {{"LLaMA & paper", {1.18, 5.07, 78.9}},
           {"b1.58, here", {0.96, std::nullopt, 19.2}},
           {"nothing", {0.0, std::nullopt, -1.0}}}};
}

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at)
    found.push_back((*at)[1]);
  return found;
}

TEST(Chart, IsWellFormed) { EXPECT_EQ(bench::xml_error(chart_svg(chart())), ""); }

// A mark for each value above 0, and what it stands for.
TEST(Chart, MarksEveryValue) {
  const std::string svg = chart_svg(chart());
  EXPECT_EQ(matches(svg, "<title>([^<]*) ms</title>"),
            (std::vector<std::string>{"LLaMA &amp; paper, 700M: 1.18",
                                      "LLaMA &amp; paper, 3B: 5.07", "LLaMA &amp; paper, 70B: 78.9",
                                      "b1.58, here, 700M: 0.96", "b1.58, here, 70B: 19.2"}));
}

// Without colours curves still differ: in their dashes and in the shape of their marks.
TEST(Chart, NeedsNoColour) {
  const std::string svg = chart_svg(chart());
  const auto dashes = matches(svg, "<polyline[^>]*stroke-dasharray=\"([^\"]*)\"");
  ASSERT_EQ(dashes.size(), 3u);
  EXPECT_NE(dashes[0], dashes[1]);
  const auto shapes = matches(svg, "<g><title>[^<]*</title><path d=\"([^\"]*)\"");
  ASSERT_EQ(shapes.size(), 5u);
  EXPECT_EQ(shapes[0], shapes[1]);
  EXPECT_NE(shapes[0], shapes[3]);
}

// 10 times more is the same way upwards: 1 -> 10 -> 100 lie evenly between lines at 1 and 100.
TEST(Chart, IsLogarithmic) {
  const std::string svg = chart_svg({"", "", {"a", "b", "c"}, {{"x", {1.0, 10.0, 100.0}}}});
  const auto points = matches(svg, "points=\"([^\"]*)\"");
  ASSERT_EQ(points.size(), 1u);
  double x[3], y[3];
  ASSERT_EQ(std::sscanf(points[0].c_str(), "%lf,%lf %lf,%lf %lf,%lf", &x[0], &y[0], &x[1], &y[1],
                        &x[2], &y[2]),
            6);
  EXPECT_NEAR(y[0] - y[1], y[1] - y[2], 0.2);
  EXPECT_NEAR(x[1] - x[0], x[2] - x[1], 0.2);
  EXPECT_NEAR(y[0], 340, 0.1);
  EXPECT_NEAR(y[2], 46, 0.1);
}

TEST(Chart, OfNothingIsNone) {
  EXPECT_EQ(chart_svg({"t", "u", {"a"}, {{"x", {0.0}}}}), "");
  EXPECT_EQ(chart_svg({"t", "u", {}, {}}), "");
}

}  // namespace
}  // namespace trit::report
