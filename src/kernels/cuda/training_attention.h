#pragma once
// For training_attention*.cu: what the ways of attention in training share. Not part of the public interface.

#include "kernels/cuda/training.h"

namespace trit::cuda {

struct AttentionRun {
  HeadShape shape;
  SequenceBatch batch;
  ConstRows q, k, v;
};
struct AttentionGradients {
  ConstRows out, dout;
  const float* log_sums;
  Rows dq, dk, dv;
  float* centres;  // [H, N], scratch: the sum of out dout over a head
};

// bfloat16 on tensor cores (training_attention_mma.cu, training_attention_backward.cu). Shapes that they take: D <= 128, a
// multiple of 4; rows start at 8 bytes.
bool attention_takes(const HeadShape& shape, std::initializer_list<ConstRows> rows);
void attention_mma(StreamHandle stream, const AttentionRun& run, Rows out, float* log_sums);
void attention_backward_mma(StreamHandle stream, const AttentionRun& run,
                            const AttentionGradients& gradients);

}  // namespace trit::cuda
