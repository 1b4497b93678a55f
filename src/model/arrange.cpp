// Model::arrange: packed levels into tiles.

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"
#include "model/checkpoint.h"
#include "model/tile_choice.h"
#include "quant/packing.h"

namespace trit {

void Model::arrange() {
  TRIT_CHECK(masters_.size() == 0 && tiles_.size() == 0);
  constexpr int64_t kAlign = 4096;
  struct Matrix {
    Linear* linear;
    size_t row;
    int64_t offset;
  };
  std::vector<Matrix> matrices;
  const int64_t packed_bytes = stored_linear_bytes();
  int64_t total = 0;
  for (size_t i = 0; i < table_.size(); ++i) {
    if (!is_packed(config(), table_[i]) || config().inputs != InputKind::kInt8) continue;
    Linear& linear = weights_.layers[static_cast<size_t>(table_[i].layer)][table_[i].projection];
    linear.tile_form = choose_tile_form(linear.inputs, packed_bytes);
    matrices.push_back({&linear, i, total});
    total += (tiled_bytes(linear.tile_form, linear.outputs, linear.inputs) + kAlign - 1) / kAlign *
             kAlign;
  }
  tiles_ = HugeBuffer(static_cast<size_t>(total));
  for (const auto& [linear, row, offset] : matrices) {
    const std::span packed(linear->packed,
                           static_cast<size_t>(linear->outputs * packed_row_bytes(linear->inputs)));
    const int64_t bytes = tile_bytes(linear->tile_form, linear->inputs);
    uint8_t* tiles = tiles_.data() + offset;
    const int64_t count = row_tiles(linear->tile_form, linear->outputs);
    parallel_ranges(count, 128 / tile_rows(linear->tile_form), [&](int64_t begin, int64_t end) {
      tile_trits(linear->tile_form, packed, linear->outputs, linear->inputs, begin,
                 {tiles + begin * bytes, static_cast<size_t>((end - begin) * bytes)});
    });
    if (packed_[row].size() > 0) {
      packed_[row] = {};
    } else {
      release_pages(std::as_bytes(packed));
    }
    linear->packed = nullptr;
    linear->tiles = tiles;
  }
}

}  // namespace trit
