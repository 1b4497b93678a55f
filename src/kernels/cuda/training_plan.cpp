#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/training.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

template <class T>
DeviceMemory upload(const std::vector<T>& all, StreamHandle stream) {
  DeviceMemory memory(static_cast<int64_t>(all.size() * sizeof(T)));
  if (!all.empty()) copy_to_device(memory.data(), all.data(), memory.bytes(), stream);
  return memory;
}

}  // namespace

ParameterPlan::ParameterPlan(std::span<const ParameterTensor> tensors, StreamHandle stream) {
  std::vector<Piece> table;
  std::vector<Quantised> quantised;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ParameterTensor& tensor = tensors[i];
    TRIT_CHECK(tensor.offset % 4 == 0);
    const int64_t count = tensor.rows * tensor.columns;
    const auto first = static_cast<int32_t>(table.size());
    for (int64_t begin = 0; begin < count; begin += kPieceSize) {
      table.push_back({tensor.offset + begin,
                       static_cast<int32_t>(std::min(kPieceSize, count - begin)),
                       static_cast<int32_t>(i)});
    }
    if (tensor.kind == WeightKind::kFloat) continue;
    TRIT_CHECK(tensor.tiles != nullptr && tensor.tile_scales != nullptr);
    quantised.push_back({tensor, first, static_cast<int32_t>(table.size()) - first, block_runs_});
    const int64_t blocks = mma_tiles(tensor.rows) * mma_blocks(tensor.columns);
    block_runs_ += (blocks + kBlocksAtOnce - 1) / kBlocksAtOnce;
  }
  pieces_ = std::ssize(table);
  quantised_ = std::ssize(quantised);
  tensors_ = upload(std::vector(tensors.begin(), tensors.end()), stream);
  piece_table_ = upload(table, stream);
  quantised_table_ = upload(quantised, stream);
  sums_ = DeviceMemory(pieces_ * 2 * static_cast<int64_t>(sizeof(double)));
  counts_ = DeviceMemory(quantised_ * static_cast<int64_t>(sizeof(QuantizeCounts)));
  wait(stream);  // the tables on the host end here
}

std::vector<int32_t> token_order(std::span<const int32_t> tokens, int64_t V) {
  std::vector<int32_t> next(static_cast<size_t>(V) + 1), order(tokens.size());
  for (const int32_t token : tokens) {
    TRIT_CHECK(token >= 0 && token < V);
    ++next[static_cast<size_t>(token) + 1];
  }
  for (size_t v = 1; v < next.size(); ++v) next[v] += next[v - 1];
  for (size_t n = 0; n < tokens.size(); ++n)
    order[static_cast<size_t>(next[static_cast<size_t>(tokens[n])]++)] = static_cast<int32_t>(n);
  return order;
}

}  // namespace trit::cuda
