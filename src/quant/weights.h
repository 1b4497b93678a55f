#pragma once
// What a trit is: full-precision weights to ternary (or binary) levels and one scale per matrix.

#include <cstdint>
#include <span>
#include <string_view>

namespace trit {

enum class WeightKind : uint8_t {
  kFloat,    // LLaMA baseline: the weights as they are
  kTernary,  // BitNet b1.58 (arXiv 2402.17764, section 2): -1, 0, +1
  kBinary,   // BitNet (arXiv 2310.11453, section 2.1): -1, +1
};
std::string_view to_string(WeightKind kind);  // "float", "ternary", "binary"

// Smallest value that absmean and absmax scales may take (the official code clamps instead of adding
// the epsilon of the paper's Eq. 1).
inline constexpr float kScaleFloor = 1e-5f;

// How a matrix W becomes levels in {-1, 0, +1}, all of it under one scale:
//   ternary  gamma = max(mean|W|, 1e-5)   level = clamp(round(W / gamma), -1, 1)
//   binary   beta  = max(mean|W|, 1e-5)   level = W > mean(W) ? +1 : -1        (Sign(0) = -1)
// and W is approximated by level * scale. round is to nearest, ties to even, of the float32 product
// W * (1 / gamma), which is what the official code computes.
struct WeightQuantizer {
  WeightKind kind = WeightKind::kTernary;
  float scale = 1.0f;      // multiplies the levels
  float inverse = 1.0f;    // 1 / scale
  float threshold = 0.0f;  // mean(W), binary only
};

// The sums over a matrix are taken in double in a fixed order: over blocks of so many weights (the last may be shorter),
// each in sixteen interleaved sums, and then over the blocks. Whoever has some blocks of a matrix can sum them alone.
inline constexpr int64_t kSumBlock = 16384;
struct WeightSums {
  double sum = 0, absolute = 0;
};
WeightSums sum_block(std::span<const float> block);
// The quantiser of a matrix of `count` weights from the sums of its blocks.
WeightQuantizer fit_quantizer(WeightKind kind, std::span<const WeightSums> blocks, int64_t count,
                              std::string_view name);

// The quantiser of matrix `w`. Throws Error that
// names `name` when a weight is NaN or infinite. kind must not be kFloat; an empty matrix has scale 1e-5.
WeightQuantizer fit_quantizer(WeightKind kind, std::span<const float> w, std::string_view name);

// Levels of `w` as int8; levels.size() == w.size(). On values that are already level * scale it
// returns those levels again.
void quantize_weights(const WeightQuantizer& quantizer, std::span<const float> w,
                      std::span<int8_t> levels);

// bfloat16 weights that fit_quantizer and quantize_weights turn into these levels (in the canonical packing)
// and this scale again: |w| of the weights that are not 0 lies around scale / (their share), so that the
// mean is the scale; a weight of level 0 takes what rounding to bfloat16 left over. The scale is met to
// 2^-17 divided by the number of weights that are not 0, so exactly in all but tiny matrices.
void masters_of_levels(std::span<const uint8_t> packed, int64_t rows, int64_t columns, float scale,
                       uint16_t* bf16);

}  // namespace trit
