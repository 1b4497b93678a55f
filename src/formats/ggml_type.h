#pragma once
// Element and block types of tensors in GGUF files, with the ids and sizes of ggml.h.

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/tensor.h"
#include "quant/layouts.h"

namespace trit {

// The types that trit reads. These values are on disk: do not change. 36 is I2_S in Microsoft's
// BitNet files and nothing upstream. 42 is ggml's Q2_0 (64 weights a block); early Prism files have
// blocks of 128 under that id, whose sizes do not fit and are refused. 142 and 143 are Prism's.
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
  kQ2_0 = 42,
  kPQ2_0 = 142,
  kPTQ1_0 = 143,
};

// The type with this id; nothing when trit does not read it.
std::optional<GgmlType> ggml_type_of_id(uint32_t id);
// What to call an id in an error: "TQ2_0", "Q5_K", "MXFP4 (or Microsoft's TL2)"; "unknown" for what
// no one has named.
std::string_view ggml_id_name(uint32_t id);
// "F32", "TQ2_0", ...
std::string_view to_string(GgmlType type);
// How the type packs weights; null for plain numbers.
const PackedLayout* packed_layout(GgmlType type);

// Bytes of a tensor. The innermost dimension must be a whole number of the layout's blocks. Throws
// Error beginning with `where` when it is not, or when the shape is impossible.
uint64_t ggml_bytes(GgmlType type, const Shape& shape, std::string_view where);

}  // namespace trit
