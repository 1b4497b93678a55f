#include "formats/ggml_type.h"

#include <algorithm>

#include "base/error.h"
#include "formats/shape_check.h"

namespace trit {
namespace {

// A tensor is `bytes` for every `block` elements, then `tail` once.
struct TypeRow {
  GgmlType type;
  std::string_view name;
  uint32_t block, bytes, tail;
};

constexpr TypeRow kRows[] = {
    {GgmlType::kF32, "F32", 1, 4, 0},        {GgmlType::kF16, "F16", 1, 2, 0},
    {GgmlType::kQ4_0, "Q4_0", 32, 18, 0},    {GgmlType::kQ8_0, "Q8_0", 32, 34, 0},
    {GgmlType::kQ4_K, "Q4_K", 256, 144, 0},  {GgmlType::kQ6_K, "Q6_K", 256, 210, 0},
    {GgmlType::kI8, "I8", 1, 1, 0},          {GgmlType::kI16, "I16", 1, 2, 0},
    {GgmlType::kI32, "I32", 1, 4, 0},        {GgmlType::kI64, "I64", 1, 8, 0},
    {GgmlType::kF64, "F64", 1, 8, 0},        {GgmlType::kBF16, "BF16", 1, 2, 0},
    {GgmlType::kTQ1_0, "TQ1_0", 256, 54, 0}, {GgmlType::kTQ2_0, "TQ2_0", 256, 66, 0},
    {GgmlType::kI2_S, "I2_S", 4, 1, 32},
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

uint64_t ggml_bytes(GgmlType type, const Shape& shape, std::string_view where) {
  const TypeRow& row = row_of(type);
  const auto count = static_cast<uint64_t>(checked_count(shape, where));
  const uint64_t innermost = shape.empty() ? 1 : static_cast<uint64_t>(shape.back());
  if (innermost % row.block != 0) {
    bad_input("{}: rows have {} elements; {} needs a multiple of {}", where, innermost, row.name,
              row.block);
  }
  return count / row.block * row.bytes + row.tail;
}

}  // namespace trit
