#pragma once
// For training_attention*.cu: what the ways of attention in training share. Not part of the public interface.

#include <initializer_list>

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
  // Scratch [H, N], which attention_centres fills: the sum of out dout over a head, and log_sums in powers of 2.
  float *centres, *shifts;
  Angles turn;  // attention_backward_sm90 alone turns its results back
};

// bfloat16 on tensor cores (training_attention_mma.cu, training_attention_backward.cu). Shapes that they take: D <= 128, a
// multiple of 4; rows start at 8 bytes.
bool attention_takes(const HeadShape& shape, std::initializer_list<ConstRows> rows);
void attention_mma(StreamHandle stream, const AttentionRun& run, Rows out, float* log_sums);
void attention_centres(StreamHandle stream, const AttentionRun& run,
                       const AttentionGradients& gradients);
void attention_backward_mma(StreamHandle stream, const AttentionRun& run,
                            const AttentionGradients& gradients);

// The same on Hopper (training_attention_sm90.cu, training_attention_backward_sm90.cu): D 64 or 128, T a multiple of 64, rows
// starting at 16 bytes.
bool attention_takes_sm90(const HeadShape& shape, const SequenceBatch& batch,
                          std::initializer_list<ConstRows> rows);
void attention_sm90(StreamHandle stream, const AttentionRun& run, Rows out, float* log_sums);
void attention_backward_sm90(StreamHandle stream, const AttentionRun& run,
                             const AttentionGradients& gradients);

}  // namespace trit::cuda
