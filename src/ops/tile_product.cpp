#include "ops/tile_product.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace trit {
namespace {

// Rows of a layer in tiles, for one thread.
struct TilePiece {
  const LinearOutput* output;
  int64_t first, count;  // tiles
};

// Rows of a product that a thread takes at a time. Of one or two tokens as few as the kernels take together, four tiles, so
// that no thread is left waiting (base 3: those share a table of look-ups; two tiles are slower). More tokens gain from more
// rows, until their sums outgrow the second cache. Rows of sums are as long as a piece: longer steps from one to the next
// meet in few sets of the first.
int64_t rows_of_piece(TileForm form, int64_t tokens) {
  if (tokens <= 2) return 4 * tile_rows(form);
  return tokens < 17 ? 256 : 128;
}

std::vector<TilePiece> tile_pieces(std::span<const LinearOutput> outputs, int64_t tokens) {
  std::vector<TilePiece> pieces;
  for (const LinearOutput& output : outputs) {
    const Linear& layer = *output.layer;
    const int64_t tiles = row_tiles(layer.tile_form, layer.outputs);
    const int64_t step = rows_of_piece(layer.tile_form, tokens) / tile_rows(layer.tile_form);
    for (int64_t first = 0; first < tiles; first += step)
      pieces.push_back({&output, first, std::min(step, tiles - first)});
  }
  return pieces;
}

// Look-up tables of the rows of activations, when the kernels want them; null otherwise.
const uint8_t* base3_tables(std::span<const LinearOutput> outputs, const LinearInput& input,
                            Workspace& workspace) {
  const kernels::Table& kernel = kernels::active();
  const bool wanted = std::ranges::any_of(
      outputs, [](const LinearOutput& o) { return o.layer->tile_form == TileForm::kBase3; });
  if (!wanted || input.rows > kernel.base3_table_rows) return nullptr;
  const int64_t blocks = tile_blocks(TileForm::kBase3, input.columns);
  const int64_t bytes = blocks * kernel.base3_table_bytes;
  uint8_t* tables = workspace.get<uint8_t>("linear tables", input.rows * bytes);
  constexpr int64_t kBlocks = 64;  // of a thread's turn
  const int64_t turns = (blocks + kBlocks - 1) / kBlocks;
  parallel_for(input.rows * turns, [&](int64_t i) {
    const int64_t row = i / turns, first = i % turns * kBlocks;
    kernel.base3_tables(input.q + row * input.q_stride + first * kBase3Inputs,
                        std::min(kBlocks, blocks - first),
                        tables + row * bytes + first * kernel.base3_table_bytes);
  });
  return tables;
}

// [tokens, rows of a piece] of a thread's own.
template <class T, int>
T* thread_rows(TileForm form, int64_t tokens) {
  thread_local Buffer<T> memory;
  const auto size = static_cast<size_t>(tokens * rows_of_piece(form, tokens));
  if (memory.size() < size) memory = Buffer<T>(size);
  return memory.data();
}

// The product of `count` tiles of a layer from `first` on; y: its rows there, `y_stride` floats from token to token.
void multiply_tiles(const Linear& layer, int64_t first, int64_t count, const LinearInput& input,
                    const uint8_t* tables, float* y, int64_t y_stride) {
  const kernels::Table& kernel = kernels::active();
  const uint8_t* w = layer.tiles + first * tile_bytes(layer.tile_form, layer.inputs);
  const int64_t blocks = tile_blocks(layer.tile_form, layer.inputs);
  const int64_t stride = rows_of_piece(layer.tile_form, input.rows);
  int32_t* sums = thread_rows<int32_t, 0>(layer.tile_form, input.rows);
  if (layer.tile_form == TileForm::kTwoBit) {
    kernel.two_bit_gemm_i8(w, count, blocks, input.q, input.q_stride, input.sum, input.rows, sums,
                           stride);
  } else {
    kernel.base3_gemm_i8(w, count, blocks, input.q, input.q_stride, input.sum, tables, input.rows,
                         sums, stride);
  }
  const int64_t rows = tile_rows(layer.tile_form);
  const int64_t here = std::min(count * rows, layer.outputs - first * rows);
  for (int64_t t = 0; t < input.rows; ++t) {
    kernel.scale_i32(sums + t * stride, input.step[t] * static_cast<double>(layer.scale), here,
                     y + t * y_stride);
  }
}

// One thread is done with so little before others would have begun.
bool is_quick(std::span<const LinearOutput> outputs, int64_t tokens) {
  constexpr int64_t kQuickBytes = 96 << 10;  // of weights: half a microsecond from the second cache
  int64_t bytes = 0;
  for (const LinearOutput& o : outputs)
    bytes += tiled_bytes(o.layer->tile_form, o.layer->outputs, o.layer->inputs);
  return bytes * tokens < kQuickBytes;
}

// body(i) for each piece.
template <class Body>
void for_pieces(std::span<const LinearOutput> outputs, int64_t tokens, int64_t count, Body body) {
  if (is_quick(outputs, tokens)) {
    for (int64_t i = 0; i < count; ++i) body(i);
  } else {
    parallel_for(count, body);
  }
}

}  // namespace

void tiles_forward(std::span<const LinearOutput> outputs, const LinearInput& input,
                   Workspace& workspace) {
  const std::vector<TilePiece> pieces = tile_pieces(outputs, input.rows);
  const uint8_t* tables = base3_tables(outputs, input, workspace);
  for_pieces(outputs, input.rows, std::ssize(pieces), [&](int64_t i) {
    const TilePiece& piece = pieces[static_cast<size_t>(i)];
    const Linear& layer = *piece.output->layer;
    const Matrix y = piece.output->y;
    multiply_tiles(layer, piece.first, piece.count, input, tables,
                   y.data + piece.first * tile_rows(layer.tile_form), y.columns);
  });
}

bool multiply_gated(const Linear& gate, const Linear& up) {
  return gate.tiles != nullptr && up.tiles != nullptr && gate.tile_form == up.tile_form &&
         gate.norm_gain == nullptr && up.norm_gain == nullptr && gate.inputs == up.inputs &&
         gate.outputs == up.outputs && gate.inner_norm == up.inner_norm;
}

void gated_tiles_forward(Activation activation, const Linear& gate, const Linear& up,
                         const LinearInput& input, Matrix y, Workspace& workspace) {
  TRIT_CHECK(multiply_gated(gate, up) && input.columns == gate.inputs && y.rows == input.rows &&
             y.columns == gate.outputs);
  const LinearOutput both[] = {{&gate, y}, {&up, y}};
  const std::vector<TilePiece> pieces = tile_pieces({both, 1}, input.rows);
  const uint8_t* tables = base3_tables(both, input, workspace);
  const auto act =
      activation == Activation::kSilu ? kernels::active().silu_mul : kernels::active().relu2_mul;
  for_pieces(both, input.rows, std::ssize(pieces), [&](int64_t i) {
    const TilePiece& piece = pieces[static_cast<size_t>(i)];
    const TileForm form = gate.tile_form;
    const int64_t stride = rows_of_piece(form, input.rows), row = piece.first * tile_rows(form);
    const int64_t here = std::min(piece.count * tile_rows(form), gate.outputs - row);
    float* gates = thread_rows<float, 0>(form, input.rows);
    float* ups = thread_rows<float, 1>(form, input.rows);
    multiply_tiles(gate, piece.first, piece.count, input, tables, gates, stride);
    multiply_tiles(up, piece.first, piece.count, input, tables, ups, stride);
    for (int64_t t = 0; t < input.rows; ++t)
      act(gates + t * stride, ups + t * stride, here, y.row(t) + row);
  });
}

void announce_product(std::span<const Linear* const> layers) {
  ReadAhead ahead;
  size_t part = 0;
  for (const Linear* layer : layers) {
    if (layer->tiles == nullptr || part == ahead.parts.size()) continue;
    const TileForm form = layer->tile_form;
    ahead.parts[part++] = {reinterpret_cast<const std::byte*>(layer->tiles),
                           static_cast<size_t>(tiled_bytes(form, layer->outputs, layer->inputs))};
    ahead.index_bytes = rows_of_piece(form, 1) / tile_rows(form) * tile_bytes(form, layer->inputs);
  }
  read_ahead(ahead);
}

}  // namespace trit
