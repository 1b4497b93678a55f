#pragma once
// For training_norm*.cu: the quick ways of rows that are bfloat16 in and out and start at 16 bytes (training_norm_half.cu).
// Sums and factors are float32. Not part of the public interface.

#include "kernels/cuda/training.h"

namespace trit::cuda {

inline constexpr int64_t kNormParts = 512;  // of a gain's gradient, at most

// Whether they take such rows of K.
bool half_norm_takes(int64_t K, std::initializer_list<ConstRows> rows);

void rmsnorm_half(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const Norm& norm, Rows y,
                  float* inverse_rms);
void quantize_half(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const Norm& outer,
                   const Norm& inner, const QuantizedRows& out, const QuantizeExtras& extras,
                   int32_t* not_finite);
// Returns how many parts [parts, K] of the gain's gradient it left.
int64_t rmsnorm_backward_half(StreamHandle stream, ConstRows x, const float* inverse_rms, int64_t N,
                              int64_t K, const float* gain, ConstRows dy, Rows dx, bool add,
                              float* parts);
// dgain [K] += the sum of parts [count, K], in order.
void add_gain_parts(StreamHandle stream, const float* parts, int64_t count, int64_t K,
                    float* dgain);

}  // namespace trit::cuda
