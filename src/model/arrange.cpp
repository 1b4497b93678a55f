// Model::arrange: what a forward pass reads from end to end goes into huge pages, packed levels as tiles.

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "model/checkpoint.h"
#include "model/tile_choice.h"
#include "quant/packing.h"

namespace trit {
namespace {

constexpr int64_t kAlign = 4096;
int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

std::span<const uint8_t> packed_levels(const Linear& linear) {
  return {linear.packed, static_cast<size_t>(linear.outputs * packed_row_bytes(linear.inputs))};
}

void tile_levels(const Linear& linear, uint8_t* tiles) {
  const int64_t bytes = tile_bytes(linear.tile_form, linear.inputs);
  const int64_t count = row_tiles(linear.tile_form, linear.outputs);
  parallel_ranges(count, 128 / tile_rows(linear.tile_form), [&](int64_t begin, int64_t end) {
    tile_trits(linear.tile_form, packed_levels(linear), linear.outputs, linear.inputs, begin,
               {tiles + begin * bytes, static_cast<size_t>((end - begin) * bytes)});
  });
}

// Piece by piece, so that what is copied can leave memory on the way: only pages of a file do.
void move_bytes(std::span<const uint8_t> from, bool of_file, uint8_t* to) {
  constexpr int64_t kPiece = 1 << 20;
  parallel_ranges(static_cast<int64_t>(from.size()), kPiece, [&](int64_t begin, int64_t end) {
    const auto piece = from.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    std::memcpy(to + begin, piece.data(), piece.size());
    if (of_file) release_pages(std::as_bytes(piece));
  });
}

}  // namespace

// The layer that multiplies with this tensor.
Linear& Model::product_of(const TensorRow& row) {
  if (row.role != TensorRole::kProjection) return weights_.head;
  return weights_.layers[static_cast<size_t>(row.layer)][row.projection];
}

void Model::arrange() {
  TRIT_CHECK(masters_.size() == 0 && arranged_.size() == 0);
  const int64_t packed_bytes = stored_linear_bytes();
  const bool tiled = config().weights != WeightKind::kFloat && config().inputs == InputKind::kInt8;
  struct Place {
    size_t row;
    int64_t offset;
  };
  std::vector<Place> places;
  int64_t total = 0;
  for (size_t i = 0; i < table_.size(); ++i) {
    const TensorRow& row = table_[i];
    const bool projection = row.role == TensorRole::kProjection;
    const bool head = row.role == (config().tied ? TensorRole::kEmbedding : TensorRole::kHead);
    if (!is_here(row) || !(projection || (head && head_here_))) continue;
    places.push_back({i, total});
    Linear& linear = product_of(row);
    int64_t bytes = linear.outputs * linear.dense.row_bytes(row.shape[1]);
    if (projection && is_packed(config(), row)) {
      if (tiled) linear.tile_form = choose_tile_form(linear.inputs, packed_bytes);
      bytes = tiled ? tiled_bytes(linear.tile_form, linear.outputs, linear.inputs)
                    : static_cast<int64_t>(packed_levels(linear).size());
    }
    total += aligned(bytes);
  }
  arranged_ = HugeBuffer(static_cast<size_t>(total));
  for (const auto& [i, offset] : places) arrange(i, arranged_.data() + offset);
}

void Model::arrange(size_t i, uint8_t* to) {
  const TensorRow& row = table_[i];
  const bool of_file = packed_[i].size() == 0 && dense_[i].size() == 0;
  if (!is_packed(config(), row)) {
    Linear& linear = product_of(row);
    const auto bytes = static_cast<size_t>(linear.outputs * linear.dense.row_bytes(row.shape[1]));
    move_bytes({static_cast<const uint8_t*>(linear.dense.data), bytes}, of_file, to);
    linear.dense.data = to;
    if (row.role == TensorRole::kEmbedding) {
      if (linear.outputs != config().vocabulary)
        return;  // tokens are still looked up in the whole table
      weights_.embedding = linear.dense;
    }
  } else {
    Linear& linear = weights_.layers[static_cast<size_t>(row.layer)][row.projection];
    if (linear.input_kind == InputKind::kInt8) {
      tile_levels(linear, to);
      if (of_file) release_pages(std::as_bytes(packed_levels(linear)));
      linear.tiles = to;
      linear.packed = nullptr;
    } else {
      move_bytes(packed_levels(linear), of_file, to);
      linear.packed = to;
    }
  }
  packed_[i] = {};
  dense_[i] = {};
}

}  // namespace trit
