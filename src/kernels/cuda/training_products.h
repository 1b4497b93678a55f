#pragma once
// The matrix products of a training step on an NVIDIA device. As in kernels/cuda/training.h, whose views of rows they
// take, results have the same bits from run to run on devices of one kind.

#include "kernels/cuda/training.h"

namespace trit::cuda {

// d [M, N] = a b (+ c), where a is [M, K], or [K, M] if `a_turned`, and b is [K, N], or [N, K] if `b_turned`. a and b are of
// one type, c (data null: none; may be d; rows as far
// apart) and d of another one or the same. bfloat16 products are exact, float32
// ones rounded to float32; sums are float32. (multiply.cpp)
struct MatrixProduct {
  int64_t M = 0, N = 0, K = 0;
  ConstRows a = {}, b = {};
  bool a_turned = false, b_turned = false;
  ConstRows c = {};
  Rows d = {};
};
void multiply(StreamHandle stream, const MatrixProduct& product, const Scratch& scratch);
int64_t multiply_scratch_bytes();
// *differs = 1 where two pieces of memory are not the same; bytes: a multiple of 4. (compare.cu)
void compare_bytes(StreamHandle stream, const void* a, const void* b, int64_t bytes,
                   int32_t* differs);

// y [T, layer.rows] = the ternary layer's product with x, as ternary_linear gives it, plus the rows `add` (data null:
// none; may be y; of y's type). float32 has ternary_linear's bits; what goes to bfloat16 is multiplied by the scales in
// float32. Rows of bfloat16 start at 16 bytes. (linear_large.cu)
void ternary_forward(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                     int64_t T, ConstRows add, Rows y);

}  // namespace trit::cuda
