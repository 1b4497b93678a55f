#pragma once
// The roofline (Williams, Waterman, Patterson 2009) as a drawing: work per byte to the right, work per second
// upwards, both logarithmic. A level of memory is a slope, an instruction a ceiling; nothing gets above.

#include <span>
#include <string>

#include "bench/machine.h"

namespace trit::bench {

// Something measured: `intensity` multiply-adds for each byte that it reads from memory.
struct PlotPoint {
  std::string name;
  std::string family;  // those of one have the same mark, which is explained beside the drawing
  double intensity = 0, gmacs = 0;
  bool hollow = false;  // read from a cache instead
};

// One SVG element, complete in itself and well-formed XML: the machine with `threads` threads, and points.
// Lines differ in dashes and points in shape as well as in colour, and every line carries its name, so
// nothing is lost in print or to the colour-blind (colours: Okabe and Ito's).
std::string roofline_svg(const Machine& machine, int threads, std::span<const PlotPoint> points);

// The same in a page, with the figures of the points and of `rows_of(machine)` below it.
std::string roofline_page(const Machine& machine, int threads, std::span<const PlotPoint> points);

// Writes one or the other, as `path` ends in .svg or .html; throws Error naming `option` else.
void write_roofline(const std::string& path, std::string_view option, const Machine& machine,
                    int threads, std::span<const PlotPoint> points);

}  // namespace trit::bench
