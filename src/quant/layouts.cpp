#include "quant/layouts.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/layout_parts.h"

namespace trit {
namespace {

constexpr const PackedLayout* kLayouts[] = {&kQ8_0,  &kQ4_0, &kQ4_K, &kQ6_K,  &kTQ1_0,
                                            &kTQ2_0, &kI2_S, &kQ2_0, &kPQ2_0, &kPTQ1_0};

// A matrix cut into rows of blocks.
struct Rows {
  Rows(const PackedLayout& layout, int64_t rows, int64_t columns, size_t bytes,
       std::string_view name)
      : blocks(columns / layout.block), row_bytes(blocks * layout.bytes) {
    TRIT_CHECK(bytes == static_cast<size_t>(layout_bytes(layout, rows, columns, name)));
  }
  int64_t blocks, row_bytes;
};

// No rows may be of any length.
size_t packed_size(int64_t rows, int64_t columns) {
  return rows == 0 ? 0 : static_cast<size_t>(rows * packed_row_bytes(columns));
}

void refuse_fault(const PackedLayout& layout, const uint8_t* bytes, int64_t blocks, int64_t row,
                  std::string_view name) {
  if (layout.check == nullptr) return;
  if (const std::optional<LayoutFault> fault = layout.check(bytes, blocks)) {
    bad_input("{}: row {} column {}: {}", name, row, fault->column, fault->what);
  }
}

float load_tail(std::span<const uint8_t> bytes, int64_t tail, std::string_view name) {
  float scale;
  std::memcpy(&scale, bytes.data() + bytes.size() - static_cast<size_t>(tail), sizeof scale);
  if (!std::isfinite(scale)) bad_input("{}: its scale is {}; it must be finite", name, scale);
  return scale;
}

// A canonical row, `scales[b]` for each `block` columns, as floats.
void expand_row(const uint8_t* packed, const float* scales, int64_t block, int64_t columns,
                float* weights) {
  uint8_t codes[kRun];
  const int64_t piece = std::min(block, kRun);  // weights of one scale within a run
  for (int64_t c = 0; c < columns; c += piece) {
    if (c % kRun == 0) split_run(packed + c / 4, codes);
    const float scale = scales[c / block];
    const uint8_t* in = codes + c % kRun;
    for (int64_t j = 0; j < piece; ++j) weights[c + j] = static_cast<float>(in[j] - 1) * scale;
  }
}

void decode_ternary(const PackedLayout& layout, std::span<const uint8_t> bytes, int64_t rows,
                    int64_t columns, float* weights, std::string_view name) {
  const Rows cut(layout, rows, columns, bytes.size(), name);
  if (rows == 0) return;  // however long they would be
  std::vector<uint8_t> packed(static_cast<size_t>(packed_row_bytes(columns)));
  std::vector<float> scales(static_cast<size_t>(cut.blocks));
  if (layout.tail > 0) std::ranges::fill(scales, load_tail(bytes, layout.tail, name));
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = bytes.data() + r * cut.row_bytes;
    refuse_fault(layout, row, cut.blocks, r, name);
    layout.to_trits(row, cut.blocks, packed.data(), layout.tail > 0 ? nullptr : scales.data());
    if (!layout.plus_two) refuse_code_three(packed.data(), columns, r, name);
    expand_row(packed.data(), scales.data(), layout.block, columns, weights + r * columns);
  }
}

bool any_level(const uint8_t* packed, int64_t begin, int64_t end) {
  for (int64_t c = begin; c < end; ++c) {
    const int64_t j = c % kRun;
    if ((packed[c / kRun * kRunBytes + j % 32] >> (2 * (j / 32)) & 3) != 1) return true;
  }
  return false;
}

}  // namespace

std::span<const PackedLayout* const> layouts() { return kLayouts; }

int64_t layout_bytes(const PackedLayout& layout, int64_t rows, int64_t columns,
                     std::string_view name) {
  TRIT_CHECK(rows >= 0 && columns >= 0);
  if (columns % layout.block != 0) {
    bad_input("{}: rows have {} columns; {} needs a multiple of {}", name, columns, layout.name,
              layout.block);
  }
  return rows * (columns / layout.block) * layout.bytes + layout.tail;
}

int64_t layout_scales(const PackedLayout& layout, int64_t rows, int64_t columns) {
  return layout.tail > 0 ? 1 : rows * (columns / layout.block);
}

void refuse_code_three(const uint8_t* packed, int64_t columns, int64_t row, std::string_view name) {
  if (!has_code_three(packed, packed_row_bytes(columns))) return;
  uint8_t codes[kRun];
  for (int64_t c = 0; c < columns; c += kRun, packed += kRunBytes) {
    split_run(packed, codes);
    const int64_t j = std::find(codes, codes + kRun, 3) - codes;
    if (j < kRun) {
      bad_input("{}: row {} column {} has code 3; a trit's code is 0, 1 or 2", name, row, c + j);
    }
  }
}

void decode_weights(const PackedLayout& layout, std::span<const uint8_t> bytes, int64_t rows,
                    int64_t columns, std::span<float> weights, std::string_view name) {
  TRIT_CHECK(weights.size() == static_cast<size_t>(rows * columns));
  if (layout.ternary()) {
    return decode_ternary(layout, bytes, rows, columns, weights.data(), name);
  }
  const Rows cut(layout, rows, columns, bytes.size(), name);
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = bytes.data() + r * cut.row_bytes;
    refuse_fault(layout, row, cut.blocks, r, name);
    layout.decode(row, cut.blocks, weights.data() + r * columns);
  }
}

void encode_weights(const PackedLayout& layout, std::span<const float> weights, int64_t rows,
                    int64_t columns, std::span<uint8_t> bytes, std::string_view name) {
  TRIT_CHECK(layout.encode != nullptr && weights.size() == static_cast<size_t>(rows * columns));
  const Rows cut(layout, rows, columns, bytes.size(), name);
  for (int64_t r = 0; r < rows; ++r) {
    const std::span<const float> in =
        weights.subspan(static_cast<size_t>(r * columns), static_cast<size_t>(columns));
    const auto bad = std::ranges::find_if(in, [](float x) { return !std::isfinite(x); });
    if (bad != in.end()) {
      bad_input("{}: row {} column {} is {}; weights must be finite", name, r, bad - in.begin(),
                *bad);
    }
    uint8_t* out = bytes.data() + r * cut.row_bytes;
    layout.encode(in.data(), cut.blocks, out);
    refuse_fault(layout, out, cut.blocks, r, name);
  }
}

void to_canonical(const PackedLayout& layout, std::span<const uint8_t> bytes, int64_t rows,
                  int64_t columns, std::span<uint8_t> packed, std::span<float> scales,
                  std::string_view name) {
  const Rows cut(layout, rows, columns, bytes.size(), name);
  TRIT_CHECK(layout.ternary() && packed.size() == packed_size(rows, columns));
  TRIT_CHECK(scales.size() == static_cast<size_t>(layout_scales(layout, rows, columns)));
  if (layout.tail > 0) scales[0] = load_tail(bytes, layout.tail, name);
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = bytes.data() + r * cut.row_bytes;
    uint8_t* out = packed.data() + r * packed_row_bytes(columns);
    refuse_fault(layout, row, cut.blocks, r, name);
    layout.to_trits(row, cut.blocks, out,
                    layout.tail > 0 ? nullptr : scales.data() + r * cut.blocks);
    refuse_code_three(out, columns, r, name);
  }
}

void from_canonical(const PackedLayout& layout, std::span<const uint8_t> packed,
                    std::span<const float> scales, int64_t rows, int64_t columns,
                    std::span<uint8_t> bytes, std::string_view name) {
  const Rows cut(layout, rows, columns, bytes.size(), name);
  TRIT_CHECK(layout.ternary() && packed.size() == packed_size(rows, columns));
  TRIT_CHECK(scales.size() == static_cast<size_t>(layout_scales(layout, rows, columns)));
  for (int64_t r = 0; r < rows; ++r) {
    uint8_t* out = bytes.data() + r * cut.row_bytes;
    layout.from_trits(packed.data() + r * packed_row_bytes(columns),
                      layout.tail > 0 ? nullptr : scales.data() + r * cut.blocks, cut.blocks, out);
    refuse_fault(layout, out, cut.blocks, r, name);
  }
  if (layout.tail > 0) {
    uint8_t* tail = bytes.data() + rows * cut.row_bytes;
    std::memset(tail, 0, static_cast<size_t>(layout.tail));
    std::memcpy(tail, scales.data(), sizeof(float));
    load_tail(bytes, layout.tail, name);  // refuses what is not finite
  }
}

std::optional<float> common_scale(const PackedLayout& layout, std::span<const uint8_t> packed,
                                  std::span<const float> scales, int64_t rows, int64_t columns) {
  if (layout.tail > 0) return scales[0];
  const int64_t blocks = columns / layout.block;
  std::optional<float> common;
  for (int64_t i = 0; i < rows * blocks; ++i) {
    const uint8_t* row = packed.data() + i / blocks * packed_row_bytes(columns);
    const int64_t begin = i % blocks * layout.block;
    const float scale = scales[static_cast<size_t>(i)];
    if (scale == common || !any_level(row, begin, begin + layout.block)) continue;
    if (common) return std::nullopt;
    common = scale;
  }
  return common.value_or(0.0f);
}

}  // namespace trit
