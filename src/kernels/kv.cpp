#include "kernels/kv.h"

namespace trit::kernels {
namespace {

constexpr int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Bits of a number, dims of a key that lie together, and bytes and dims of a scale.
struct Form {
  int64_t bits, dims;
  int64_t scale_bytes, scale_dims;
};

Form form_of(KvType type, int64_t D) {
  switch (type) {
    case KvType::kF32:
      return {32, 1, 0, D};
    case KvType::kF16:
      return {16, 1, 0, D};
    case KvType::kInt8:
      return {8, 2, 4, D};
    case KvType::kInt4:
      return {4, 4, 2, kInt4Group};
  }
  return {};
}

}  // namespace

std::string_view to_string(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kInt8:
      return "int8";
    case KvType::kInt4:
      return "int4";
  }
  return "?";
}

KvPageLayout kv_page_layout(KvType type, int64_t D) {
  const Form form = form_of(type, D);
  const int64_t scales =
      kPagePositions * round_up(D, form.scale_dims) / form.scale_dims * form.scale_bytes;
  KvPageLayout layout;
  layout.key_block = kKeyBlock * round_up(D, form.dims) * form.bits / 8;
  layout.values = kPagePositions / kKeyBlock * layout.key_block;
  layout.key_scales = layout.values + kPagePositions * value_columns(D) * form.bits / 8;
  layout.value_scales = layout.key_scales + scales;
  layout.bytes = round_up(layout.value_scales + scales, 64);
  return layout;
}

}  // namespace trit::kernels
