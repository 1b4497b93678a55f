#include "bench/roofline_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "bench/svg.h"
#include "bench/table.h"

namespace trit::bench {
namespace {

constexpr double kWidth = 900, kLegendWidth = 260, kHeight = 560;
constexpr double kLeft = 80, kRight = 870, kTop = 60, kBottom = 500;
constexpr double kLeastIntensity = 0.25, kMostIntensity = 4096;  // MAC a byte

// Where figures stand on the page.
class Axes {
 public:
  Axes(double least, double most)
      : least_(std::floor(std::log10(least))), most_(std::ceil(std::log10(most))) {}
  double x(double intensity) const {
    const double share =
        std::log(std::clamp(intensity, kLeastIntensity, kMostIntensity) / kLeastIntensity) /
        std::log(kMostIntensity / kLeastIntensity);
    return kLeft + share * (kRight - kLeft);
  }
  double y(double gmacs) const {
    const double share = (std::log10(std::max(gmacs, 1e-9)) - least_) / (most_ - least_);
    return kBottom - std::clamp(share, 0.0, 1.0) * (kBottom - kTop);
  }
  int least_power() const { return static_cast<int>(least_); }
  int most_power() const { return static_cast<int>(most_); }

 private:
  double least_, most_;
};

std::string grid(const Axes& axes) {
  constexpr const char* kThin = "stroke=\"#cccccc\" stroke-width=\"0.7\"";
  std::string svg;
  for (double i = kLeastIntensity; i <= kMostIntensity; i *= 4) {
    svg += line_at(axes.x(i), kTop, axes.x(i), kBottom, kThin);
    svg += text_at(axes.x(i), kBottom + 18, "middle", i < 1 ? "1/4" : fmt::format("{:.0f}", i));
  }
  for (int p = axes.least_power(); p <= axes.most_power(); ++p) {
    const double value = std::pow(10.0, p);
    svg += line_at(kLeft, axes.y(value), kRight, axes.y(value), kThin);
    svg += text_at(kLeft - 8, axes.y(value) + 4, "end", fmt::format("{:g}", value));
  }
  svg += text_at((kLeft + kRight) / 2, kBottom + 40, "middle",
                 "multiply-adds for each byte read from memory");
  svg +=
      text_at(0, 0, "middle", "GMAC/s",
              fmt::format(" transform=\"translate(22 {:.0f}) rotate(-90)\"", (kTop + kBottom) / 2));
  return svg;
}

// Where work by weights of some form lies, one vector at a time.
std::string marks(const Axes& axes) {
  struct Mark {
    double intensity;
    const char* name;
  };
  std::string svg;
  for (const Mark& m :
       {Mark{0.5, "16 bits"}, Mark{1, "8 bits"}, Mark{4, "2 bits"}, Mark{5, "1.6 bits"}}) {
    svg += line_at(axes.x(m.intensity), kBottom, axes.x(m.intensity), kBottom - 12,
                   "stroke=\"#000000\" stroke-width=\"1.2\"");
    svg +=
        text_at(0, 0, "start", m.name,
                fmt::format(" font-size=\"11\" transform=\"translate({:.1f} {:.1f}) rotate(-90)\"",
                            axes.x(m.intensity) + 4, kBottom - 15));
  }
  return svg;
}

struct Ceiling {
  std::string name;
  double height;
};

// The best instruction of a kind, and the best that each instruction set below it has.
std::vector<Ceiling> ceilings(const Machine& machine, int threads) {
  std::vector<Ceiling> found;
  for (const MachineRate& r : machine.rates) {
    if (r.threads == threads && (r.measure == Measure::kInt8 || r.measure == Measure::kFloat32)) {
      found.push_back(
          {fmt::format("{} {} ({:.0f} GMAC/s)", to_string(r.measure), r.name, r.value.median),
           r.value.median});
    }
  }
  std::ranges::sort(found, std::greater<>(), &Ceiling::height);
  return found;
}

// A text that can be read upon lines and points.
std::string label(double x, double y, double degrees, const char* anchor, std::string_view text) {
  return text_at(
      0, 0, anchor, text,
      fmt::format(" transform=\"translate({:.1f} {:.1f}) rotate({:.1f})\" stroke=\"#ffffff\" "
                  "stroke-width=\"3\" paint-order=\"stroke\"",
                  x, y, degrees));
}

// What bounds the points, and its names, which are drawn above them.
struct Roofs {
  std::string lines, names;
  size_t number = 0;

  void add(double x1, double y1, double x2, double y2) {
    const LineStyle& s = line_style(number++);
    lines += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
        "stroke-width=\"2\" stroke-dasharray=\"{}\"/>\n",
        x1, y1, x2, y2, s.colour, s.dashes);
  }
};

void add_ceilings(const Axes& axes, const Machine& machine, int threads, Roofs& roofs) {
  const double widest = machine.read_limit("L1", threads);
  double last_y = -100;
  for (const Ceiling& peak : ceilings(machine, threads)) {
    const double y = axes.y(peak.height);
    if (y - last_y < 13) continue;  // would lie upon its neighbour
    last_y = y;
    const double from =
        widest > 0 ? std::max(peak.height / widest, kLeastIntensity) : kLeastIntensity;
    roofs.add(axes.x(from), y, kRight, y);
    roofs.names += label(kRight, y - 4, 0, "end", peak.name);
  }
}

void add_slopes(const Axes& axes, const Machine& machine, int threads, Roofs& roofs) {
  const std::vector<Ceiling> peaks = ceilings(machine, threads);
  const double highest = peaks.empty() ? std::pow(10.0, axes.most_power()) : peaks.front().height;
  for (const char* level : {"L1", "L2", "L3", "DRAM"}) {
    const double rate = machine.read_limit(level, threads);
    if (rate <= 0) continue;
    const double to = std::clamp(highest / rate, kLeastIntensity, kMostIntensity);
    const double x = axes.x(kLeastIntensity), y = axes.y(rate * kLeastIntensity);
    roofs.add(x, y, axes.x(to), axes.y(rate * to));
    constexpr double kAlong = 8;  // times the least intensity: where the slope is taken
    const double rise = y - axes.y(rate * kLeastIntensity * kAlong);
    const double run = axes.x(kLeastIntensity * kAlong) - x;
    const double degrees = -std::atan2(rise, run) * 180 / std::numbers::pi;
    roofs.names +=
        label(x + 6, y - 10, degrees, "start", fmt::format("{} {:.0f} GB/s", level, rate));
  }
}

std::vector<std::string> families(std::span<const PlotPoint> points) {
  std::vector<std::string> names;
  for (const PlotPoint& p : points) {
    if (std::ranges::find(names, p.family) == names.end()) names.push_back(p.family);
  }
  return names;
}

std::string points_of(const Axes& axes, std::span<const PlotPoint> points) {
  const std::vector<std::string> names = families(points);
  std::string svg;
  for (const PlotPoint& p : points) {
    const auto number = static_cast<size_t>(std::ranges::find(names, p.family) - names.begin());
    svg += fmt::format("<g><title>{}: {:.2f} GMAC/s</title>{}</g>\n", escaped(p.name), p.gmacs,
                       mark_at(number, axes.x(p.intensity), axes.y(p.gmacs), p.hollow));
  }
  double y = kTop + 8;
  for (size_t i = 0; i < names.size(); ++i, y += 18) {
    svg += mark_at(i, kRight + 20, y, false);
    svg += text_at(kRight + 34, y + 4, "start", names[i]);
  }
  if (!names.empty()) svg += text_at(kRight + 14, y + 12, "start", "hollow: read from a cache");
  return svg;
}

Axes axes_of(const Machine& machine, int threads, std::span<const PlotPoint> points) {
  double least = 1e9, most = 1;
  for (const char* level : {"L1", "L2", "L3", "DRAM"}) {
    const double rate = machine.read_limit(level, threads);
    if (rate > 0) least = std::min(least, rate * kLeastIntensity);
    most = std::max(most, rate);
  }
  for (const Ceiling& peak : ceilings(machine, threads)) most = std::max(most, peak.height * 1.2);
  for (const PlotPoint& p : points) least = std::min(least, std::max(p.gmacs, 1e-3));
  return Axes(std::min(least, most / 10), most);
}

}  // namespace

std::string roofline_svg(const Machine& machine, int threads, std::span<const PlotPoint> points) {
  const Axes axes = axes_of(machine, threads, points);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#000000\">\n"
      "<title>Roofline</title>\n<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#ffffff\"/>\n",
      points.empty() ? kWidth : kWidth + kLegendWidth, kHeight);
  svg += text_at(
      kLeft, 30, "start",
      fmt::format("Roofline of {}, {} thread{}", machine.cpu, threads, threads == 1 ? "" : "s"),
      " font-size=\"16\"");
  svg += grid(axes);
  svg += marks(axes);
  Roofs roofs;
  add_ceilings(axes, machine, threads, roofs);
  add_slopes(axes, machine, threads, roofs);
  svg += roofs.lines;
  svg += points_of(axes, points);
  return svg + roofs.names + "</svg>\n";
}

namespace {

std::string table_of(std::span<const PlotPoint> points) {
  if (points.empty()) return "";
  std::string table =
      "<table><tr><th>kernel</th><th>multiply-adds a byte</th><th>GMAC/s</th></tr>\n";
  for (const PlotPoint& p : points) {
    table +=
        fmt::format("<tr><td>{}</td><td class=\"n\">{:.1f}</td><td class=\"n\">{:.2f}</td></tr>\n",
                    escaped(p.name), p.intensity, p.gmacs);
  }
  return table + "</table>\n";
}

}  // namespace

std::string roofline_page(const Machine& machine, int threads, std::span<const PlotPoint> points) {
  std::string page =
      "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>"
      "<meta charset=\"utf-8\"/><title>trit bench roofline</title>\n"
      "<style>body{font:14px sans-serif;margin:2em;color:#000;background:#fff}"
      "table{border-collapse:collapse}td,th{padding:2px 10px;text-align:left}"
      ".n{text-align:right}@media print{body{margin:0}}</style></head><body>\n";
  page += roofline_svg(machine, threads, points);
  page += fmt::format(
      "<p>{}. Medians; half of the measurements lie within ± the "
      "spread.</p>\n<table><tr><th>test</th>"
      "<th>detail</th><th>threads</th><th>median</th><th>spread</th><th>unit</th></tr>\n",
      escaped(describe(machine)));
  for (const MachineRate& r : machine.rates) {
    page += fmt::format(
        "<tr><td>{} {}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.2f}</td>"
        "<td class=\"n\">{:.2f}</td><td>{}</td></tr>\n",
        to_string(r.measure), escaped(r.name), escaped(r.how), r.threads, r.value.median,
        r.value.spread, unit(r.measure));
  }
  return page + "</table>\n" + table_of(points) + "</body></html>\n";
}

void write_roofline(const std::string& path, std::string_view option, const Machine& machine,
                    int threads, std::span<const PlotPoint> points) {
  if (path.ends_with(".svg")) return write_text(path, roofline_svg(machine, threads, points));
  if (path.ends_with(".html")) return write_text(path, roofline_page(machine, threads, points));
  bad_input("{}: '{}' must end in .svg or .html", option, printable(path));
}

}  // namespace trit::bench
