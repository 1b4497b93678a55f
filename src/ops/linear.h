#pragma once
// The linear layer y = x W^T in all its kinds: BitLinear (BitNet b1.58, arXiv 2402.17764, section 2) over
// packed ternary or binary weights and int8 activations, and the plain float layer of the baseline.
//
//   BitLinear   u = RMSNorm(x) where the norm sits inside (else u = x)
//               q[t], step[t] = absmax int8 of the row u[t]
//               y[t] = float(sum_k level[k] q[t][k]) * (step[t] * scale)     the sum in int32, exact
//   ternary weights, float inputs   y[t] = sum over runs j of 128 inputs: scale[j] sum_k level[k] u[t][k]
//
// Training and inference run this same code, so their layers agree bit for bit.

#include <cstdint>
#include <span>
#include <string_view>

#include "ops/matrix.h"
#include "ops/stored_matrix.h"
#include "quant/tiles.h"
#include "quant/weights.h"

namespace trit {

// What packed levels are multiplied with.
enum class InputKind : uint8_t {
  kInt8,  // absmax int8 rows (BitNet): one scale for the whole matrix
  kFloat,  // float32 rows (TriLM, arXiv 2407.12327): a scale for every run of 128 inputs of an output
};
std::string_view to_string(InputKind kind);  // "int8", "float"

struct Linear {
  int64_t outputs = 0, inputs = 0;
  WeightKind kind = WeightKind::kFloat;
  // kFloat: [outputs, inputs].
  StoredMatrix dense;
  // kTernary, kBinary: canonical packing (quant/packing.h) and what multiplies the levels.
  const uint8_t* packed = nullptr;
  InputKind input_kind = InputKind::kInt8;
  float scale = 1.0f;                 // kInt8
  const float* run_scales = nullptr;  // kFloat: [outputs, runs(inputs)]
  // The same levels arranged for the kernels (quant/tiles.h), kInt8 only. When they are there the product runs on
  // them, and `packed` may be null.
  const uint8_t* tiles = nullptr;
  TileForm tile_form = TileForm::kTwoBit;
  // RMSNorm inside the layer, before quantisation; without a gain if norm_gain is null.
  bool inner_norm = false;
  const float* norm_gain = nullptr;  // [inputs]
  float norm_epsilon = 1e-5f;
};

// Rows of activations made ready for one layer, or for several that share norm and kind. Points into
// a Workspace: valid until the next prepare_input there.
struct LinearInput {
  int64_t rows = 0, columns = 0;
  const float* values = nullptr;  // [rows, columns], after the inner norm
  const float* padded =
      nullptr;  // the same as [rows, padded_columns(columns)], zero past a row; kFloat only
  const int8_t* q = nullptr;  // [rows, q_stride], zero past a row; null for a float layer
  int64_t q_stride = 0;
  const double* step = nullptr;  // [rows]
  const int32_t* sum = nullptr;  // [rows]
};

// Throws Error when a row has a NaN or an infinity (BitLinear only).
LinearInput prepare_input(const Linear& layer, ConstMatrix x, Workspace& workspace);

// One of several layers over the same input.
struct LinearOutput {
  const Linear* layer;
  Matrix y;
};
// y [rows, outputs] = input W^T for each; layers in tiles share one loop over all their rows.
void linear_forward(std::span<const LinearOutput> outputs, const LinearInput& input,
                    Workspace& workspace);
void linear_forward(const Linear& layer, const LinearInput& input, Matrix y, Workspace& workspace);

// Given dy [rows, outputs] for the layer's input x [rows, inputs] (before the inner norm):
//   dx += dy W', dW += dy^T u', dgain += the norm's part (null if there is none)
// with W' and u' the dequantised weights and activations: both quantisers pass the gradient straight
// through (straight-through estimator). dW: [outputs, inputs]. Not for packed layers with float inputs.
void linear_backward(const Linear& layer, ConstMatrix x, ConstMatrix dy, Matrix dx, float* dW,
                     float* dgain, Workspace& workspace);

// C = alpha A B and so on for large matrices, split over threads by the shape alone:
// y [T, N] = x [T, K] w^T, w [N, K].
void matmul_nt(ConstMatrix x, ConstMatrix w, Matrix y);
// y [T, N] += x [T, K] w, w [K, N]; overwrites y unless accumulate.
void matmul_nn(ConstMatrix x, ConstMatrix w, Matrix y, bool accumulate);
// y [M, N] += x^T z, x [T, M], z [T, N].
void matmul_tn_accumulate(ConstMatrix x, ConstMatrix z, Matrix y);

}  // namespace trit
