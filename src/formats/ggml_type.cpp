#include "formats/ggml_type.h"

#include <algorithm>

#include "base/error.h"
#include "formats/shape_check.h"

namespace trit {
namespace {

// A plain number of `bytes`, or a layout.
struct TypeRow {
  GgmlType type;
  std::string_view name;
  int64_t bytes;
  const PackedLayout* layout;
};

constexpr TypeRow kRows[] = {
    {GgmlType::kF32, "F32", 4, nullptr},     {GgmlType::kF16, "F16", 2, nullptr},
    {GgmlType::kQ4_0, "Q4_0", 0, &kQ4_0},    {GgmlType::kQ8_0, "Q8_0", 0, &kQ8_0},
    {GgmlType::kQ4_K, "Q4_K", 0, &kQ4_K},    {GgmlType::kQ6_K, "Q6_K", 0, &kQ6_K},
    {GgmlType::kI8, "I8", 1, nullptr},       {GgmlType::kI16, "I16", 2, nullptr},
    {GgmlType::kI32, "I32", 4, nullptr},     {GgmlType::kI64, "I64", 8, nullptr},
    {GgmlType::kF64, "F64", 8, nullptr},     {GgmlType::kBF16, "BF16", 2, nullptr},
    {GgmlType::kTQ1_0, "TQ1_0", 0, &kTQ1_0}, {GgmlType::kTQ2_0, "TQ2_0", 0, &kTQ2_0},
    {GgmlType::kI2_S, "I2_S", 0, &kI2_S},    {GgmlType::kQ2_0, "Q2_0", 0, &kQ2_0},
    {GgmlType::kPQ2_0, "PQ2_0", 0, &kPQ2_0}, {GgmlType::kPTQ1_0, "PTQ1_0", 0, &kPTQ1_0},
};

// Types that trit does not read. ggml took 36 to 38 out of use; Microsoft's fork has its own there,
// and at 39.
struct NamedId {
  uint32_t id;
  std::string_view name;
};
constexpr NamedId kOthers[] = {
    {3, "Q4_1"},
    {6, "Q5_0"},
    {7, "Q5_1"},
    {9, "Q8_1"},
    {10, "Q2_K"},
    {11, "Q3_K"},
    {13, "Q5_K"},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {20, "IQ4_NL"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {23, "IQ4_XS"},
    {29, "IQ1_M"},
    {31, "Q4_0_4_4"},
    {32, "Q4_0_4_8"},
    {33, "Q4_0_8_8"},
    {37, "Microsoft's I8_S"},
    {38, "Microsoft's TL1"},
    {39, "MXFP4 (or Microsoft's TL2)"},
    {40, "NVFP4"},
    {41, "Q1_0"},
};

const TypeRow* find_row(GgmlType type) {
  const auto row = std::ranges::find(kRows, type, &TypeRow::type);
  return row == std::end(kRows) ? nullptr : row;
}

const TypeRow& row_of(GgmlType type) {
  const TypeRow* row = find_row(type);
  TRIT_CHECK(row != nullptr);
  return *row;
}

}  // namespace

std::optional<GgmlType> ggml_type_of_id(uint32_t id) {
  const auto type = static_cast<GgmlType>(id);
  return find_row(type) ? std::optional(type) : std::nullopt;
}

std::string_view to_string(GgmlType type) { return row_of(type).name; }

std::string_view ggml_id_name(uint32_t id) {
  if (const TypeRow* row = find_row(static_cast<GgmlType>(id))) return row->name;
  const auto other = std::ranges::find(kOthers, id, &NamedId::id);
  return other == std::end(kOthers) ? "unknown" : other->name;
}

const PackedLayout* packed_layout(GgmlType type) { return row_of(type).layout; }

uint64_t ggml_bytes(GgmlType type, const Shape& shape, std::string_view where) {
  const TypeRow& row = row_of(type);
  const int64_t count = checked_count(shape, where);
  if (row.layout == nullptr) return static_cast<uint64_t>(count * row.bytes);
  // Rows of blocks: the outer dimensions are as good as one.
  const int64_t columns = shape.empty() ? 1 : shape.back();
  const int64_t rows = columns == 0 ? 0 : count / columns;
  return static_cast<uint64_t>(layout_bytes(*row.layout, rows, columns, where));
}

}  // namespace trit
