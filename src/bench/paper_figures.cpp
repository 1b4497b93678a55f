#include "bench/paper_figures.h"

#include <algorithm>
#include <array>

namespace trit::bench {
namespace {

constexpr std::array kSizes = {
    PaperSize{"700M", 1.18, 0.96, 2.08, 0.80, 1.23, 2.60, 0.89, 0.35, 0.20, 4, 0},
    PaperSize{"1.3B", 1.62, 0.97, 3.34, 1.14, 1.67, 2.93, 1.18, 0.52, 0.25, 4.5, 0},
    PaperSize{"3B", 5.07, 1.87, 7.89, 2.22, 2.71, 3.55, 2.75, 1.29, 0.42, 5.5, 4},
    PaperSize{"3.9B", 0, 2.11, 0, 2.38, 0, 0, 0, 0, 0, 0, 0},
    PaperSize{"7B", 9.58, 3.30, 14.6, 3.32, 2.90, 4.40, 3.91, 2.26, 0.70, 5.5, 0},
    PaperSize{"13B", 16.6, 4.51, 27.5, 5.37, 3.68, 5.12, 7.14, 4.25, 1.15, 6, 0},
    PaperSize{"70B", 78.9, 19.2, 131.6, 18.4, 4.10, 7.16, 33.0, 22.1, 4.8, 6.8, 7},
    PaperSize{"2B4T", 0, 0, 0, 0, 0, 0, 2.24, 0, 1 / 2.2, 0, 0},  // not the paper's
};

}  // namespace

std::span<const PaperSize> paper_sizes() { return kSizes; }

const PaperSize* paper_size(std::string_view size) {
  const auto at = std::ranges::find(kSizes, size, &PaperSize::size);
  return at == kSizes.end() ? nullptr : &*at;
}

}  // namespace trit::bench
