#include "ops/linear.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/blas.h"
#include "kernels/kernels.h"
#include "ops/norm.h"
#include "ops/row_grain.h"
#include "ops/tile_product.h"
#include "quant/packing.h"

namespace trit {
namespace {

using kernels::Transpose;

// A tile of a product: small enough that its accumulators stay in the cache, large enough to be
// worth handing to a thread. A function of the shape alone.
constexpr int64_t kTileRows = 128, kTileOutputs = 64;

// Rows of a matrix for one thread's BLAS call: about sixteen pieces.
int64_t blas_grain(int64_t rows) { return std::max<int64_t>(64, (rows / 16 + 15) / 16 * 16); }

template <class Body>
void for_tiles(int64_t rows, int64_t outputs, Body body) {
  const int64_t across = (outputs + kTileOutputs - 1) / kTileOutputs;
  const int64_t down = (rows + kTileRows - 1) / kTileRows;
  parallel_for(across * down, [&](int64_t tile) {
    const int64_t row = tile / across * kTileRows, output = tile % across * kTileOutputs;
    body(row, std::min(kTileRows, rows - row), output, std::min(kTileOutputs, outputs - output));
  });
}

void quantize_rows(ConstMatrix x, int64_t padded, int8_t* q, double* step, int32_t* sum) {
  std::atomic<int64_t> broken{-1};
  parallel_ranges(x.rows, row_grain(x.columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      step[r] = kernels::active().quantize_i8(x.row(r), x.columns, padded, q + r * padded, sum + r);
      if (!std::isfinite(step[r])) broken = r;
    }
  });
  if (broken >= 0) {
    failure("activations of row {} hold a NaN or an infinity; int8 activations need finite values",
            broken.load());
  }
}

void ternary_forward(const Linear& layer, const LinearInput& input, Matrix y) {
  const kernels::Table& kernel = kernels::active();
  const int64_t row_bytes = packed_row_bytes(layer.inputs);
  TRIT_CHECK(input.q_stride == 4 * row_bytes);
  for_tiles(y.rows, y.columns, [&](int64_t row, int64_t rows, int64_t output, int64_t outputs) {
    int32_t sums[kTileRows * kTileOutputs];
    kernel.ternary_gemm_i8(layer.packed + output * row_bytes, outputs, row_bytes,
                           input.q + row * input.q_stride, input.sum + row, rows, sums,
                           kTileOutputs);
    for (int64_t t = 0; t < rows; ++t) {
      kernel.scale_i32(sums + t * kTileOutputs,
                       input.step[row + t] * static_cast<double>(layer.scale), outputs,
                       y.row(row + t) + output);
    }
  });
}

void ternary_float_forward(const Linear& layer, const LinearInput& input, Matrix y) {
  const int64_t row_bytes = packed_row_bytes(layer.inputs), padded = padded_columns(layer.inputs);
  for_tiles(y.rows, y.columns, [&](int64_t row, int64_t rows, int64_t output, int64_t outputs) {
    kernels::active().ternary_gemm_f32(
        layer.packed + output * row_bytes, layer.run_scales + output * runs(layer.inputs), outputs,
        row_bytes, input.padded + row * padded, rows, y.row(row) + output, y.columns);
  });
}

void dense_forward(const Linear& layer, const LinearInput& input, Matrix y) {
  for_tiles(y.rows, y.columns, [&](int64_t row, int64_t rows, int64_t output, int64_t outputs) {
    layer.dense.multiply(kernels::active(), output, outputs, layer.inputs,
                         input.values + row * layer.inputs, rows, y.row(row) + output, y.columns);
  });
}

// Rows of floats, filled up with zeros to whole runs.
const float* pad_rows(ConstMatrix x, Workspace& workspace) {
  const int64_t padded = padded_columns(x.columns);
  if (padded == x.columns) return x.data;
  float* out = workspace.get<float>("linear padded", x.rows * padded);
  parallel_ranges(x.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      std::copy_n(x.row(r), x.columns, out + r * padded);
      std::fill(out + r * padded + x.columns, out + (r + 1) * padded, 0.0f);
    }
  });
  return out;
}

// The weights that the forward pass multiplied by, as float32.
ConstMatrix forward_weights(const Linear& layer, Workspace& workspace) {
  if (layer.kind == WeightKind::kFloat) {
    TRIT_CHECK(layer.dense.is(DType::kF32));
    return {static_cast<const float*>(layer.dense.data), layer.outputs, layer.inputs};
  }
  float* weights = workspace.get<float>("linear weights", layer.outputs * layer.inputs);
  const int64_t row_bytes = packed_row_bytes(layer.inputs);
  parallel_ranges(layer.outputs, 64, [&](int64_t begin, int64_t end) {
    dequantize_trits(
        {layer.packed + begin * row_bytes, static_cast<size_t>((end - begin) * row_bytes)},
        end - begin, layer.inputs, layer.scale, weights + begin * layer.inputs);
  });
  return {weights, layer.outputs, layer.inputs};
}

// The activations that the forward pass multiplied by, as float32.
ConstMatrix forward_activations(const LinearInput& input, Workspace& workspace) {
  if (input.q == nullptr) return {input.values, input.rows, input.columns};
  float* values = workspace.get<float>("linear activations", input.rows * input.columns);
  parallel_ranges(input.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      kernels::active().scale_i8(input.q + r * input.q_stride, input.step[r], input.columns,
                                 values + r * input.columns);
    }
  });
  return {values, input.rows, input.columns};
}

}  // namespace

std::string_view to_string(InputKind kind) { return kind == InputKind::kInt8 ? "int8" : "float"; }

LinearInput prepare_input(const Linear& layer, ConstMatrix x, Workspace& workspace) {
  TRIT_CHECK(x.columns == layer.inputs);
  LinearInput input{x.rows, x.columns, x.data};
  if (layer.inner_norm) {
    float* normed = workspace.get<float>("linear normed", x.size());
    rmsnorm_forward(x, layer.norm_gain, layer.norm_epsilon, {normed, x.rows, x.columns});
    input.values = normed;
  }
  if (layer.kind == WeightKind::kFloat) return input;
  if (layer.input_kind == InputKind::kFloat) {
    input.padded = pad_rows({input.values, x.rows, x.columns}, workspace);
    return input;
  }
  const int64_t padded = layer.tiles ? activation_stride(x.columns) : padded_columns(x.columns);
  int8_t* q = workspace.get<int8_t>("linear q", x.rows * padded);
  double* step = workspace.get<double>("linear step", x.rows);
  int32_t* sum = workspace.get<int32_t>("linear sum", x.rows);
  quantize_rows({input.values, x.rows, x.columns}, padded, q, step, sum);
  input.q = q;
  input.q_stride = padded;
  input.step = step;
  input.sum = sum;
  return input;
}

void linear_forward(std::span<const LinearOutput> outputs, const LinearInput& input,
                    Workspace& workspace) {
  for (const auto& [layer, y] : outputs) {
    TRIT_CHECK(input.columns == layer->inputs && y.columns == layer->outputs &&
               y.rows == input.rows);
  }
  if (std::ranges::all_of(outputs, [](const LinearOutput& o) { return o.layer->tiles != nullptr; }))
    return tiles_forward(outputs, input, workspace);
  for (const auto& [layer, y] : outputs) {
    TRIT_CHECK(layer->tiles == nullptr);
    if (layer->kind != WeightKind::kFloat && layer->input_kind == InputKind::kFloat) {
      TRIT_CHECK(input.padded != nullptr);
      ternary_float_forward(*layer, input, y);
    } else if (layer->kind != WeightKind::kFloat) {
      TRIT_CHECK(input.q != nullptr);
      ternary_forward(*layer, input, y);
    } else if (workspace.training && layer->dense.is(DType::kF32)) {
      matmul_nt({input.values, input.rows, input.columns},
                {static_cast<const float*>(layer->dense.data), layer->outputs, layer->inputs}, y);
    } else {
      dense_forward(*layer, input, y);
    }
  }
}

void linear_forward(const Linear& layer, const LinearInput& input, Matrix y, Workspace& workspace) {
  const LinearOutput output{&layer, y};
  linear_forward({&output, 1}, input, workspace);
}

void linear_backward(const Linear& layer, ConstMatrix x, ConstMatrix dy, Matrix dx, float* dW,
                     float* dgain, Workspace& workspace) {
  TRIT_CHECK(x.columns == layer.inputs && dy.columns == layer.outputs && dy.rows == x.rows);
  TRIT_CHECK(dx.rows == x.rows && dx.columns == x.columns);
  TRIT_CHECK(layer.kind == WeightKind::kFloat || layer.input_kind == InputKind::kInt8);
  const LinearInput input = prepare_input(layer, x, workspace);
  matmul_tn_accumulate(dy, forward_activations(input, workspace),
                       {dW, layer.outputs, layer.inputs});
  const ConstMatrix weights = forward_weights(layer, workspace);
  if (!layer.inner_norm) {
    matmul_nn(dy, weights, dx, true);
    return;
  }
  const Matrix du{workspace.get<float>("linear du", x.size()), x.rows, x.columns};
  matmul_nn(dy, weights, du, false);
  rmsnorm_backward(x, layer.norm_gain, layer.norm_epsilon, du, dx, dgain);
}

void matmul_nt(ConstMatrix x, ConstMatrix w, Matrix y) {
  TRIT_CHECK(x.columns == w.columns && y.rows == x.rows && y.columns == w.rows);
  parallel_ranges(x.rows, blas_grain(x.rows), [&](int64_t begin, int64_t end) {
    kernels::sgemm(Transpose::kNo, Transpose::kYes, end - begin, w.rows, x.columns, 1.0f,
                   x.row(begin), x.columns, w.data, w.columns, 0.0f, y.row(begin), y.columns);
  });
}

void matmul_nn(ConstMatrix x, ConstMatrix w, Matrix y, bool accumulate) {
  TRIT_CHECK(x.columns == w.rows && y.rows == x.rows && y.columns == w.columns);
  parallel_ranges(x.rows, blas_grain(x.rows), [&](int64_t begin, int64_t end) {
    kernels::sgemm(Transpose::kNo, Transpose::kNo, end - begin, w.columns, x.columns, 1.0f,
                   x.row(begin), x.columns, w.data, w.columns, accumulate ? 1.0f : 0.0f,
                   y.row(begin), y.columns);
  });
}

void matmul_tn_accumulate(ConstMatrix x, ConstMatrix z, Matrix y) {
  TRIT_CHECK(x.rows == z.rows && y.rows == x.columns && y.columns == z.columns);
  parallel_ranges(y.rows, blas_grain(y.rows), [&](int64_t begin, int64_t end) {
    kernels::sgemm(Transpose::kYes, Transpose::kNo, end - begin, y.columns, x.rows, 1.0f,
                   x.data + begin, x.columns, z.data, z.columns, 1.0f, y.row(begin), y.columns);
  });
}

}  // namespace trit
