#include "model/kernel_check.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/rng.h"
#include "quant/packing.h"

namespace trit {
namespace {

constexpr int64_t kRows = 4;  // outputs of a matrix that are tried
constexpr int64_t kTokens =
    4;  // rows of activations: several, since kernels have paths of their own for them

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

struct Activations {
  explicit Activations(int64_t columns) : x(static_cast<size_t>(kTokens * columns)) {
    Rng rng(1);
    for (float& v : x) v = rng.normal();
  }
  std::vector<float> x;
};

// What the integer product of the first rows comes to, and the rows of activations before it.
std::vector<int32_t> integer_product(const Linear& layer, int64_t rows,
                                     const kernels::Table& kernel) {
  const int64_t padded = padded_columns(layer.inputs);
  const Activations activations(layer.inputs);
  std::vector<int8_t> q(static_cast<size_t>(kTokens * padded));
  std::vector<int32_t> sums(kTokens), y(static_cast<size_t>(kTokens * rows));
  for (int64_t t = 0; t < kTokens; ++t) {
    kernel.quantize_i8(activations.x.data() + t * layer.inputs, layer.inputs, padded,
                       q.data() + t * padded, &sums[static_cast<size_t>(t)]);
  }
  kernel.ternary_gemm_i8(layer.packed, rows, packed_row_bytes(layer.inputs), q.data(), sums.data(),
                         kTokens, y.data(), rows);
  return y;
}

// The same from tiles: all rows of the first, for as many tokens as `tokens` says.
std::vector<int32_t> tile_product(const Linear& layer, int64_t tokens,
                                  const kernels::Table& kernel) {
  const int64_t stride = activation_stride(layer.inputs), height = tile_rows(layer.tile_form);
  const int64_t blocks = tile_blocks(layer.tile_form, layer.inputs);
  const Activations activations(layer.inputs);
  std::vector<int8_t> q(static_cast<size_t>(tokens * stride));
  std::vector<int32_t> sums(static_cast<size_t>(tokens)), y(static_cast<size_t>(tokens * height));
  for (int64_t t = 0; t < tokens; ++t) {
    kernel.quantize_i8(activations.x.data() + t * layer.inputs, layer.inputs, stride,
                       q.data() + t * stride, &sums[static_cast<size_t>(t)]);
  }
  if (layer.tile_form == TileForm::kTwoBit) {
    kernel.two_bit_gemm_i8(layer.tiles, 1, blocks, q.data(), stride, sums.data(), tokens, y.data(),
                           height);
    return y;
  }
  const bool tables = tokens <= kernel.base3_table_rows;
  const int64_t bytes = blocks * kernel.base3_table_bytes;
  Buffer<uint8_t> table(static_cast<size_t>(tables ? tokens * bytes : 0));
  for (int64_t t = 0; t < tokens && tables; ++t)
    kernel.base3_tables(q.data() + t * stride, blocks, table.data() + t * bytes);
  kernel.base3_gemm_i8(layer.tiles, 1, blocks, q.data(), stride, sums.data(),
                       tables ? table.data() : nullptr, tokens, y.data(), height);
  return y;
}

std::vector<float> float_product(const Linear& layer, int64_t rows, const kernels::Table& kernel) {
  const bool packed = layer.kind != WeightKind::kFloat;
  const int64_t K = packed ? padded_columns(layer.inputs) : layer.inputs;
  Activations activations(K);
  for (int64_t t = 0; t < kTokens && packed; ++t)
    std::fill_n(activations.x.data() + t * K + layer.inputs, K - layer.inputs, 0.0f);
  const float* x = activations.x.data();
  std::vector<float> y(static_cast<size_t>(kTokens * rows));
  if (packed) {
    kernel.ternary_gemm_f32(layer.packed, layer.run_scales, rows, packed_row_bytes(layer.inputs), x,
                            kTokens, y.data(), rows);
    return y;
  }
  layer.dense.multiply(kernel, 0, rows, K, x, kTokens, y.data(), rows);
  return y;
}

void test_layer(const Linear& layer, std::string_view name, int64_t tokens,
                const kernels::Table& chosen, kernels::Isa isa) {
  const kernels::Table& scalar = kernels::table(kernels::Isa::kScalar);
  const int64_t rows = std::min(kRows, layer.outputs);
  const bool integers = layer.kind != WeightKind::kFloat && layer.input_kind == InputKind::kInt8;
  const bool same =
      layer.tiles != nullptr
          ? same_bits(tile_product(layer, tokens, chosen), tile_product(layer, tokens, scalar))
      : integers
          ? same_bits(integer_product(layer, rows, chosen), integer_product(layer, rows, scalar))
          : same_bits(float_product(layer, rows, chosen), float_product(layer, rows, scalar));
  if (same) return;
  failure(
      "kernel check: the {} kernels give other results than the scalar ones on {}; TRIT_ISA=scalar "
      "runs without them",
      kernels::to_string(isa), name);
}

}  // namespace

void check_kernels(const Weights& weights, const kernels::Table& chosen, kernels::Isa isa) {
  // Scalar products of tiles take their time: each projection is tried in one of the three layers, q with several
  // tokens, which go through other code than one.
  const size_t last = weights.layers.size() - 1;
  const bool tiles = weights.layers[0].projections[0].tiles != nullptr;
  const size_t tried[] = {0, last / 2, last};
  for (int i = 0; i < 3; ++i) {
    const size_t l = tried[i];
    for (int p = 0; p < kProjections; ++p) {
      if (tiles && p % 3 != i) continue;
      test_layer(weights.layers[l].projections[static_cast<size_t>(p)],
                 fmt::format("projection {} of layer {}", p, l), p == 0 ? kTokens : 1, chosen, isa);
    }
  }
  test_layer(weights.head, "the output head", kTokens, chosen, isa);
}

}  // namespace trit
