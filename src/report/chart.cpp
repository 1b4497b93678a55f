#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/svg.h"

namespace trit::report {
namespace {

using bench::line_at, bench::line_style, bench::mark_at, bench::text_at;

constexpr double kWidth = 860, kLegend = 26, kLeft = 70, kRight = 840, kTop = 46, kBottom = 340;

// 1, 2, 5, 10, ...: where lines lie.
double step_below(double value) {
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  const double lead = value / power * 1.000001;
  return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}
double step_above(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step * 1.000001)));
  return step > power * 4 ? power * 10 : step > power * 1.5 ? power * 5 : power * 2;
}

// Upwards: from such a line below the values to one above.
struct Scale {
  double low = 0, high = 0;  // logarithms
  double y(double value) const {
    return kBottom - (std::log10(value) - low) / (high - low) * (kBottom - kTop);
  }
};

std::optional<Scale> scale_of(const Chart& chart) {
  double least = 1e300, most = 0;
  for (const Series& s : chart.series) {
    for (const auto& v : s.values) {
      if (!v || !(*v > 0) || !std::isfinite(*v)) continue;
      least = std::min(least, *v);
      most = std::max(most, *v);
    }
  }
  if (most <= 0) return std::nullopt;
  Scale scale{std::log10(step_below(least)), 0};
  double top = step_below(least);
  while (top < most * 0.999) top = step_above(top);
  scale.high = std::log10(top > step_below(least) ? top : step_above(top));
  return scale;
}

double place_x(const Chart& chart, size_t i) {
  const double step = (kRight - kLeft) / static_cast<double>(chart.places.size());
  return kLeft + step * (static_cast<double>(i) + 0.5);
}

std::string grid(const Chart& chart, const Scale& scale) {
  constexpr const char* kThin = "stroke=\"#cccccc\" stroke-width=\"0.8\"";
  std::string svg;
  const double end = std::pow(10.0, scale.high) * 1.001;
  for (double value = std::pow(10.0, scale.low); value < end; value = step_above(value)) {
    svg += line_at(kLeft, scale.y(value), kRight, scale.y(value), kThin);
    svg += text_at(kLeft - 8, scale.y(value) + 4, "end", fmt::format("{:.3g}", value));
  }
  for (size_t i = 0; i < chart.places.size(); ++i)
    svg += text_at(place_x(chart, i), kBottom + 20, "middle", chart.places[i]);
  return svg + text_at(kLeft, kTop - 26, "start", chart.title, " font-size=\"15\"") +
         text_at(kLeft - 8, kTop - 26, "end", chart.unit);
}

std::string curve(const Chart& chart, const Scale& scale, size_t number) {
  std::string points, marks;
  const Series& series = chart.series[number];
  for (size_t i = 0; i < std::min(series.values.size(), chart.places.size()); ++i) {
    const auto& value = series.values[i];
    if (!value || !(*value > 0) || !std::isfinite(*value)) continue;
    const double x = place_x(chart, i), y = scale.y(*value);
    points += fmt::format("{:.1f},{:.1f} ", x, y);
    marks += fmt::format("<g><title>{}, {}: {:.4g} {}</title>{}</g>\n", bench::escaped(series.name),
                         bench::escaped(chart.places[i]), *value, bench::escaped(chart.unit),
                         mark_at(number, x, y));
  }
  const bench::LineStyle& style = line_style(number + 1);  // marks have no black
  return fmt::format(
             "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" "
             "stroke-dasharray=\"{}\"/>\n",
             points, style.colour, style.dashes) +
         marks;
}

std::string legend(const Chart& chart) {
  std::string svg;
  double y = kBottom + 50;
  for (size_t i = 0; i < chart.series.size(); ++i, y += kLegend) {
    const bench::LineStyle& style = line_style(i + 1);
    svg += line_at(kLeft, y, kLeft + 60, y,
                   fmt::format("stroke=\"{}\" stroke-width=\"1.8\" stroke-dasharray=\"{}\"",
                               style.colour, style.dashes));
    svg += mark_at(i, kLeft + 30, y) + text_at(kLeft + 72, y + 4, "start", chart.series[i].name);
  }
  return svg;
}

}  // namespace

std::string chart_svg(const Chart& chart) {
  const std::optional<Scale> scale = scale_of(chart);
  if (!scale || chart.places.empty()) return "";
  const double height = kBottom + 46 + kLegend * static_cast<double>(chart.series.size());
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#000000\">\n"
      "<title>{2}</title>\n<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#ffffff\"/>\n",
      kWidth, height, bench::escaped(chart.title));
  svg += grid(chart, *scale);
  for (size_t i = 0; i < chart.series.size(); ++i) svg += curve(chart, *scale, i);
  return svg + legend(chart) + "</svg>\n";
}

}  // namespace trit::report
