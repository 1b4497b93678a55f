#pragma once
// How others pack weights: ggml's block layouts, Microsoft's I2_S, Prism's, Hugging Face's packed
// uint8. docs/formats.md has every byte. Each layout stands in a file of its own (layout_*.cpp) and
// is one row of layouts().
//
// A matrix is [rows, columns], row-major. Ternary layouts translate to and from the canonical packing
// (quant/packing.h) row by row, and their scales to float32. Bytes may come from anywhere: what cannot
// be right throws Error, one line with `name`, row and column. The sizes of the spans are the caller's
// to get right; a wrong one aborts.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trit {

// What is wrong in a row, and at which column.
struct LayoutFault {
  int64_t column;
  std::string what;
};

struct PackedLayout {
  std::string_view name;  // as ggml spells it
  int64_t block;          // weights in a block; a row has whole blocks
  int64_t bytes;          // bytes of a block
  int64_t tail;   // bytes behind the last row: I2_S, whose one scale stands there as float32
  bool plus_two;  // code 3 means level 2 (Q2_0, PQ2_0): a weight, though no trit

  // The first thing in a row of blocks that cannot be right: a scale that is NaN or infinite; a
  // base-3 byte that no five trits give. Null where any bytes will do. (Codes of 3 are looked for in
  // the canonical row.)
  std::optional<LayoutFault> (*check)(const uint8_t* row, int64_t blocks);

  // Layouts that are not ternary: a row of blocks <-> block * blocks floats. encode may be null.
  void (*decode)(const uint8_t* row, int64_t blocks, float* weights);
  void (*encode)(const float* weights, int64_t blocks, uint8_t* row);

  // Ternary layouts (else null): a row of blocks <-> a canonical row and one scale per block; with a
  // tail the row has no scales and `scales` is null.
  void (*to_trits)(const uint8_t* row, int64_t blocks, uint8_t* packed, float* scales);
  void (*from_trits)(const uint8_t* packed, const float* scales, int64_t blocks, uint8_t* row);

  bool ternary() const { return to_trits != nullptr; }
};

// ggml: 8-bit, 4-bit and 6-bit blocks. All can be written.
extern const PackedLayout kQ8_0, kQ4_0, kQ4_K, kQ6_K;
// ggml: ternary, one fp16 scale per 256 weights; TQ1_0 has five trits a byte, TQ2_0 four.
extern const PackedLayout kTQ1_0, kTQ2_0;
// Microsoft: one float32 scale per matrix.
extern const PackedLayout kI2_S;
// Two bits a weight, one fp16 scale per 64 (ggml) and per 128 weights (Prism).
extern const PackedLayout kQ2_0, kPQ2_0;
// Prism: five trits a byte, one fp16 scale per 128 weights.
extern const PackedLayout kPTQ1_0;

// All of them.
std::span<const PackedLayout* const> layouts();

// Bytes of a matrix. Throws Error when columns is no multiple of the block, beginning with `name`.
int64_t layout_bytes(const PackedLayout& layout, int64_t rows, int64_t columns,
                     std::string_view name);
// Scales of a matrix in a ternary layout: one per block, [rows, columns / block], or 1 with a tail.
int64_t layout_scales(const PackedLayout& layout, int64_t rows, int64_t columns);

// Any layout as float32 [rows, columns].
void decode_weights(const PackedLayout& layout, std::span<const uint8_t> bytes, int64_t rows,
                    int64_t columns, std::span<float> weights, std::string_view name);
// float32 to a layout that has `encode`. Throws Error when a weight is not finite, or so large that
// its block's fp16 scale would be infinite.
void encode_weights(const PackedLayout& layout, std::span<const float> weights, int64_t rows,
                    int64_t columns, std::span<uint8_t> bytes, std::string_view name);

// Ternary layouts: bytes to packed [rows, packed_row_bytes(columns)] and layout_scales() scales.
// A weight is level * scale of its block. Scales are finite; they may be 0 or negative.
void to_canonical(const PackedLayout& layout, std::span<const uint8_t> bytes, int64_t rows,
                  int64_t columns, std::span<uint8_t> packed, std::span<float> scales,
                  std::string_view name);
// The reverse. `packed` must be valid, scales finite; those of blocks are rounded to fp16 and throw
// Error when that is infinite.
void from_canonical(const PackedLayout& layout, std::span<const uint8_t> packed,
                    std::span<const float> scales, int64_t rows, int64_t columns,
                    std::span<uint8_t> bytes, std::string_view name);

// The one scale s for which level * s is every weight: the scale that all blocks with a level other
// than 0 share, 0 when there is none. Nothing when two differ.
std::optional<float> common_scale(const PackedLayout& layout, std::span<const uint8_t> packed,
                                  std::span<const float> scales, int64_t rows, int64_t columns);

// Hugging Face's packed uint8 (transformers, integrations/bitnet.py, pack_weights): R = ceil(rows / 4)
// rows of `columns` bytes; bits 2i and 2i + 1 of byte [p, c] are level + 1 of row i * R + p, column c.
// The scale is another tensor. Bits of rows that do not exist are written 0 and not looked at.
constexpr int64_t hf_packed_rows(int64_t rows) { return (rows + 3) / 4; }
void hf_to_canonical(std::span<const uint8_t> bytes, int64_t rows, int64_t columns,
                     std::span<uint8_t> packed, std::string_view name);
void hf_from_canonical(std::span<const uint8_t> packed, int64_t rows, int64_t columns,
                       std::span<uint8_t> bytes);

}  // namespace trit
