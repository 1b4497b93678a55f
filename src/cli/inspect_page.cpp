#include "cli/inspect_page.h"

#include <fmt/format.h>

#include <algorithm>

namespace trit {
namespace {

constexpr const char* kHead = R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{0}</title>
<style>
body{{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}}
table{{border-collapse:collapse}} td,th{{padding:2px 6px;text-align:right;font-weight:normal}}
.minus{{fill:#3b6fb6}} .zero{{fill:#d9d9d9}} .plus{{fill:#c8553d}} .scale{{fill:#5a8f5a}}
.key span{{display:inline-block;width:1em;height:1em;vertical-align:-2px;margin:0 .3em 0 1em}}
</style>
<h1>{0}</h1>
<p class="key">Each bar is one matrix:<span style="background:#3b6fb6"></span>-1
<span style="background:#d9d9d9"></span>0<span style="background:#c8553d"></span>+1; below it the scale,
as a share of the largest of its column.</p>
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string bar(const MatrixSummary& m, float largest_scale) {
  constexpr double kWidth = 120;
  const double minus = kWidth * m.share(m.counts.minus), zero = kWidth * m.share(m.counts.zero);
  return fmt::format(
      R"(<td><svg width="120" height="18"><title>{}: {:.2f} / {:.2f} / {:.2f} %, scale {:.5g}</title>)"
      R"(<rect class="minus" width="{:.1f}" height="12"/><rect class="zero" x="{:.1f}" width="{:.1f}" height="12"/>)"
      R"(<rect class="plus" x="{:.1f}" width="{:.1f}" height="12"/>)"
      R"(<rect class="scale" y="14" width="{:.1f}" height="3"/></svg></td>)",
      escaped(m.name), 100 * m.share(m.counts.minus), 100 * m.share(m.counts.zero),
      100 * m.share(m.counts.plus), m.scale, minus, minus, zero, minus + zero,
      kWidth - minus - zero,
      kWidth * static_cast<double>(m.scale / std::max(largest_scale, 1e-30f)));
}

}  // namespace

std::string inspect_page(const std::string& title, std::span<const MatrixSummary> matrices) {
  float largest[kProjections] = {};
  for (const MatrixSummary& m : matrices) {
    float& of = largest[static_cast<size_t>(m.projection)];
    of = std::max(of, m.scale);
  }
  std::string page = fmt::format(kHead, escaped(title));
  page += "<table><tr><th>layer<th>q<th>k<th>v<th>o<th>gate<th>up<th>down</tr>\n";
  int layer = -1;
  for (const MatrixSummary& m : matrices) {
    if (m.layer != layer)
      page += fmt::format("{}<tr><td>{}</td>", layer < 0 ? "" : "</tr>\n", m.layer);
    layer = m.layer;
    page += bar(m, largest[static_cast<size_t>(m.projection)]);
  }
  return page + "</tr></table></html>\n";
}

}  // namespace trit
