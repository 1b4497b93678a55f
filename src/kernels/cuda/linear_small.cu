#include "kernels/cuda/linear_small.h"

#include <algorithm>

#include "kernels/cuda/chain.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace small {
namespace {

constexpr int kRanks = 2;  // thread blocks that divide inputs too long for one

int ceil_div(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

}  // namespace

bool fits(int64_t columns, int64_t T, int warps, int ranks, int64_t bytes) {
  return shared_bytes(columns, T, warps, ranks) <= bytes;
}

Cut choose_cut(const TernaryLayer& layer, int64_t T, bool pairs, const DeviceLimits& device) {
  const int64_t units = layer.rows / (pairs ? 32 : 16);
  const int64_t blocks = mma_blocks(layer.columns) * (pairs ? 2 : 1);  // of a unit
  Cut cut;
  // Many warps where a thread block meets one unit only, or long ones; else few, and many thread blocks.
  cut.warps = units <= 2 * device.multiprocessors || blocks >= 128 ? 16 : 8;
  if (!fits(layer.columns, T, cut.warps, 1, device.shared_bytes) && device.chains) {
    cut.warps = 16;
    cut.ranks = kRanks;
  }
  const int each = ceil_div(blocks, cut.warps * int64_t{cut.ranks});  // of a warp
  if (cut.ranks > 1) {
    cut.depth = 8;
  } else if (cut.warps == 16) {
    cut.depth = ceil_div(each, ceil_div(each, 4));
  } else {
    cut.depth = each <= 4 || each == 7 ? std::min(each, 4) : each <= 6 ? 6 : 8;
  }
  const int64_t of_shared =
      (220 * 1024) / (shared_bytes(layer.columns, T, cut.warps, cut.ranks) + 1024);
  const int64_t of_threads = (cut.depth <= 4 ? 32 : 24) / cut.warps;
  const int64_t room =
      device.multiprocessors * std::max<int64_t>(1, std::min(of_shared, of_threads)) / cut.ranks;
  cut.blocks = static_cast<int>(std::min(units, room));
  return cut;
}

}  // namespace small

void ternary_linear_small(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                          int64_t T, Epilogue epilogue, float* y, int64_t y_stride,
                          const Scratch& /*scratch*/) {
  const DeviceLimits& device = device_limits();
  // Rows too long for a block's memory together are taken fewer at a time.
  int64_t most = T;
  const int ranks = device.chains ? small::kRanks : 1;
  while (most > 1 && !small::fits(layer.columns, most, 16, ranks, device.shared_bytes)) --most;
  for (int64_t t = 0; t < T; t += most) {
    const int64_t some = std::min(most, T - t);
    const QuantizedRows part{x.q + t * x.q_stride, x.q_stride, x.step + t, x.sum + t};
    small::multiply(stream, {layer, part, some, epilogue, y + t * y_stride, y_stride},
                    small::choose_cut(layer, some, small::of_pairs(epilogue), device));
  }
}

}  // namespace trit::cuda
