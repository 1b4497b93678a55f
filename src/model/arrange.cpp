// Model::arrange: levels become tiles, and what a forward pass reads from end to end lies in huge pages or in the file.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string_view>

#include "base/error.h"
#include "base/thread_pool.h"
#include "model/checkpoint.h"
#include "model/model_files.h"
#include "model/tile_choice.h"
#include "quant/packing.h"

namespace trit {
namespace {

constexpr int64_t kAlign = 4096;
int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

std::span<const uint8_t> packed_levels(const Linear& linear) {
  return {linear.packed, static_cast<size_t>(linear.outputs * packed_row_bytes(linear.inputs))};
}

// `unchecked` is what errors call them; empty when they have been checked. Rows are checked just before they are tiled,
// while they come into the caches.
void tile_levels(const Linear& linear, std::string_view unchecked, uint8_t* tiles) {
  const int64_t bytes = tile_bytes(linear.tile_form, linear.inputs);
  const int64_t count = row_tiles(linear.tile_form, linear.outputs);
  const int64_t height = tile_rows(linear.tile_form), row_bytes = packed_row_bytes(linear.inputs);
  parallel_ranges(count, 128 / height, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * height, rows = std::min(end * height, linear.outputs) - first;
    const auto piece = packed_levels(linear).subspan(static_cast<size_t>(first * row_bytes),
                                                     static_cast<size_t>(rows * row_bytes));
    if (!unchecked.empty() && !valid_trits(piece, rows, linear.inputs))
      refuse_levels(unchecked, packed_levels(linear), linear.outputs, linear.inputs);
    tile_trits(linear.tile_form, packed_levels(linear), linear.outputs, linear.inputs, begin,
               {tiles + begin * bytes, static_cast<size_t>((end - begin) * bytes)});
  });
}

// The huge pages that begin in [begin, end) of a HugeBuffer: each is cleared by one thread, while two that meet in a new
// one would both clear it.
void take_pages(uint8_t* begin, uint8_t* end) {
  constexpr uintptr_t kHugePage = 2 << 20;
  const auto page = [](uint8_t* at) {
    return (reinterpret_cast<uintptr_t>(at) + kHugePage - 1) / kHugePage;
  };
  const uintptr_t first = page(begin);
  parallel_for(static_cast<int64_t>(page(end) - first), [&](int64_t i) {
    *reinterpret_cast<uint8_t*>((first + static_cast<uintptr_t>(i)) * kHugePage) = 0;
  });
}

// Stretch by stretch, and leaving memory on the way (only pages of a file do), so that it is never there twice.
void copy_bytes(std::span<const uint8_t> from, bool of_file, uint8_t* to) {
  constexpr size_t kStretch = 32 << 20;
  constexpr int64_t kPiece = 1 << 20;
  for (size_t done = 0; done < from.size(); done += kStretch) {
    const auto stretch = from.subspan(done, std::min(kStretch, from.size() - done));
    uint8_t* const here = to + done;
    take_pages(here, here + stretch.size());
    parallel_ranges(std::ssize(stretch), kPiece, [&](int64_t begin, int64_t end) {
      const auto piece =
          stretch.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
      std::memcpy(here + begin, piece.data(), piece.size());
      if (of_file) release_pages(std::as_bytes(piece));
    });
  }
}

// TRIT_MAP: whether what could stay in the mapped file does.
std::string_view map_setting() {
  const char* setting = std::getenv("TRIT_MAP");
  const std::string_view text = setting == nullptr || *setting == '\0' ? "auto" : setting;
  if (text != "on" && text != "off" && text != "auto")
    bad_input("TRIT_MAP is \"{}\", expected auto, on or off", printable(text));
  return text;
}

}  // namespace

// The layer that multiplies with this tensor.
Linear& Model::product_of(const TensorRow& row) {
  if (row.role != TensorRole::kProjection) return weights_.head;
  return weights_.layers[static_cast<size_t>(row.layer)][row.projection];
}

bool Model::is_tiled(size_t i) const {
  return is_packed(config(), table_[i]) && config().inputs == InputKind::kInt8;
}

bool Model::of_file(size_t i) const {
  return !files_.empty() && packed_[i].size() == 0 && dense_[i].size() == 0;
}

// Whether the mapped file is as fast to read as memory of our own: told by the first tensor that could stay there.
bool Model::file_will_do() const {
  for (size_t i = 0; i < table_.size(); ++i) {
    const TensorRow& row = table_[i];
    if (!is_here(row) || !of_file(i) || is_tiled(i) || row.role == TensorRole::kNorm) continue;
    const auto* bytes = static_cast<const std::byte*>(stored_at(weights_, row).data);
    return in_huge_pages({bytes, static_cast<size_t>(stored_bytes(row))});
  }
  return false;
}

void Model::arrange() {
  TRIT_CHECK(masters_.size() == 0 && arranged_.size() == 0);
  const int64_t packed_bytes = stored_linear_bytes();
  const std::string_view map = map_setting();
  const bool in_file = map == "on" || (map == "auto" && file_will_do());
  // A head of floats is as quick from a file in small pages: memory bounds it.
  const auto stays = [&](size_t i, bool is_head) {
    const bool floats = is_head && product_of(table_[i]).dense.layout == nullptr;
    return of_file(i) && !is_tiled(i) && (in_file || (floats && map != "off"));
  };
  struct Place {
    size_t row;
    int64_t offset;
  };
  // What is only copied goes first: opening has read it, so its pages of the file are in memory until then.
  std::vector<size_t> order(table_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_partition(order.begin(), order.end(), [&](size_t i) { return !is_tiled(i); });
  std::vector<Place> places;
  int64_t total = 0;
  for (const size_t i : order) {
    const TensorRow& row = table_[i];
    const bool projection = row.role == TensorRole::kProjection;
    const bool head = row.role == (config().tied ? TensorRole::kEmbedding : TensorRole::kHead);
    if (!is_here(row) || !(projection || (head && head_here_)) || stays(i, head)) continue;
    places.push_back({i, total});
    Linear& linear = product_of(row);
    int64_t bytes = linear.outputs * linear.dense.row_bytes(row.shape[1]);
    if (projection && is_packed(config(), row)) {
      if (is_tiled(i)) linear.tile_form = choose_tile_form(linear.inputs, packed_bytes);
      bytes = is_tiled(i) ? tiled_bytes(linear.tile_form, linear.outputs, linear.inputs)
                          : static_cast<int64_t>(packed_levels(linear).size());
    }
    total += aligned(bytes);
  }
  arranged_ = HugeBuffer(static_cast<size_t>(total));
  const ParallelSection awake;
  for (size_t p = 0; p < places.size(); ++p) {
    uint8_t* const to = arranged_.data() + places[p].offset;
    if (is_tiled(places[p].row))
      take_pages(to, arranged_.data() + (p + 1 < places.size() ? places[p + 1].offset : total));
    arrange(places[p].row, to);
  }
}

void Model::arrange(size_t i, uint8_t* to) {
  const TensorRow& row = table_[i];
  if (!is_packed(config(), row)) {
    Linear& linear = product_of(row);
    const auto bytes = static_cast<size_t>(linear.outputs * linear.dense.row_bytes(row.shape[1]));
    copy_bytes({static_cast<const uint8_t*>(linear.dense.data), bytes}, of_file(i), to);
    linear.dense.data = to;
    if (row.role == TensorRole::kEmbedding) {
      if (linear.outputs != config().vocabulary)
        return;  // tokens are still looked up in the whole table
      weights_.embedding = linear.dense;
    }
  } else {
    Linear& linear = weights_.layers[static_cast<size_t>(row.layer)][row.projection];
    if (linear.input_kind == InputKind::kInt8) {
      tile_levels(linear, unchecked_[i], to);
      if (of_file(i)) release_pages(std::as_bytes(packed_levels(linear)));
      linear.tiles = to;
      linear.packed = nullptr;
    } else {
      copy_bytes(packed_levels(linear), of_file(i), to);
      linear.packed = to;
    }
  }
  packed_[i] = {};
  dense_[i] = {};
}

}  // namespace trit
