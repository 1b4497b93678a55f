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
    3;  // rows of activations: several, since kernels have paths of their own for them

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
  const void* data = layer.dense.data;
  if (layer.dense.is(DType::kF32)) {
    kernel.dense_gemm_f32(static_cast<const float*>(data), rows, K, x, kTokens, y.data(), rows);
  } else if (layer.dense.is(DType::kF16)) {
    kernel.dense_gemm_f16(static_cast<const uint16_t*>(data), rows, K, x, kTokens, y.data(), rows);
  } else if (layer.dense.is(DType::kBF16)) {
    kernel.dense_gemm_bf16(static_cast<const uint16_t*>(data), rows, K, x, kTokens, y.data(), rows);
  }  // blocks are decoded by the same code on every instruction set
  return y;
}

void test_layer(const Linear& layer, std::string_view name, const kernels::Table& chosen,
                kernels::Isa isa) {
  const kernels::Table& scalar = kernels::table(kernels::Isa::kScalar);
  const int64_t rows = std::min(kRows, layer.outputs);
  const bool integers = layer.kind != WeightKind::kFloat && layer.input_kind == InputKind::kInt8;
  const bool same =
      integers
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
  const size_t last = weights.layers.size() - 1;
  for (const size_t l : {size_t{0}, last / 2, last}) {
    for (int p = 0; p < kProjections; ++p) {
      test_layer(weights.layers[l].projections[static_cast<size_t>(p)],
                 fmt::format("projection {} of layer {}", p, l), chosen, isa);
    }
  }
  test_layer(weights.head, "the output head", chosen, isa);
}

}  // namespace trit
