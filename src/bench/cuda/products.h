#pragma once
// Ternary products by themselves on an NVIDIA device, beside a kernel that only reads their weights.

#include <vector>

#include "bench/paper_report.h"

namespace trit::bench {

// kProduct of one row at the shapes of models, weights cold, with kProduct of "read"; of 8,192 rows; and kReadRate of all
// the memory. In a few seconds.
std::vector<PaperFigure> cuda_product_figures(int device);

}  // namespace trit::bench
