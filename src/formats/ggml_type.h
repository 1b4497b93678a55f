#pragma once
// Element and block types of tensors in GGUF files, with the ids and sizes of ggml.h.

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/tensor.h"

namespace trit {

// These values are on disk: do not change. 36 is I2_S in Microsoft's BitNet files and nothing
// upstream.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ6_K = 14,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kI2_S = 36,
};

// The type with this id; nothing when trit does not know it.
std::optional<GgmlType> ggml_type_of_id(uint32_t id);
// "F32", "TQ2_0", ...
std::string_view to_string(GgmlType type);

// Bytes of a tensor. The innermost dimension must be a whole number of blocks (256 for TQ1_0 and
// TQ2_0); I2_S is 4 weights a byte and a tail of 32 bytes that holds the scale. Throws Error
// beginning with `where` when it is not, or when the shape is impossible.
uint64_t ggml_bytes(GgmlType type, const Shape& shape, std::string_view where);

}  // namespace trit
