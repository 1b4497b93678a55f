// Hugging Face's packed uint8: a quarter of the matrix's rows in each bit pair.

#include <algorithm>

#include "quant/layout_parts.h"

namespace trit {
namespace {

// The bit pair `plane` of 128 bytes as one canonical run.
void take_plane(const uint8_t* bytes, int plane, uint8_t* run) {
  const int shift = 2 * plane;
  for (int b = 0; b < kRunBytes; ++b) {
    run[b] =
        static_cast<uint8_t>((bytes[b] >> shift & 3) | (bytes[32 + b] >> shift & 3) << 2 |
                             (bytes[64 + b] >> shift & 3) << 4 | (bytes[96 + b] >> shift & 3) << 6);
  }
}

// The row of bit pairs `plane` of `bytes` [columns] to a canonical row.
void take_row(const uint8_t* bytes, int plane, int64_t columns, uint8_t* packed) {
  const int64_t whole = columns / kRun * kRun;
  for (int64_t c = 0; c < whole; c += kRun) take_plane(bytes + c, plane, packed + c / 4);
  if (whole < columns) {
    uint8_t last[kRun];
    std::fill_n(last, kRun, uint8_t{0b01'01'01'01});  // the filling is zeros
    std::copy(bytes + whole, bytes + columns, last);
    take_plane(last, plane, packed + whole / 4);
  }
}

// A canonical row into the bit pairs `plane`.
void put_row(const uint8_t* packed, int plane, int64_t columns, uint8_t* bytes) {
  uint8_t codes[kRun];
  for (int64_t c = 0; c < columns; c += kRun, packed += kRunBytes) {
    split_run(packed, codes);
    const int64_t here = std::min(kRun, columns - c);
    for (int64_t j = 0; j < here; ++j) {
      bytes[c + j] = static_cast<uint8_t>(bytes[c + j] | codes[j] << (2 * plane));
    }
  }
}

void check_sizes(size_t bytes, size_t packed, int64_t rows, int64_t columns) {
  TRIT_CHECK(rows >= 0 && columns >= 0);
  TRIT_CHECK(bytes == static_cast<size_t>(hf_packed_rows(rows) * columns));
  TRIT_CHECK(packed == static_cast<size_t>(rows * packed_row_bytes(columns)));
}

}  // namespace

void hf_to_canonical(std::span<const uint8_t> bytes, int64_t rows, int64_t columns,
                     std::span<uint8_t> packed, std::string_view name) {
  check_sizes(bytes.size(), packed.size(), rows, columns);
  const int64_t quarter = hf_packed_rows(rows);
  // The four rows of a row of bytes one after the other, while its bytes are in the cache.
  for (int64_t p = 0; p < quarter; ++p) {
    for (int plane = 0; plane < 4 && plane * quarter + p < rows; ++plane) {
      const int64_t r = plane * quarter + p;
      uint8_t* out = packed.data() + r * packed_row_bytes(columns);
      take_row(bytes.data() + p * columns, plane, columns, out);
      refuse_code_three(out, columns, r, name);
    }
  }
}

void hf_from_canonical(std::span<const uint8_t> packed, int64_t rows, int64_t columns,
                       std::span<uint8_t> bytes) {
  check_sizes(bytes.size(), packed.size(), rows, columns);
  const int64_t quarter = hf_packed_rows(rows);
  std::ranges::fill(bytes, uint8_t{0});
  for (int64_t r = 0; r < rows; ++r) {
    put_row(packed.data() + r * packed_row_bytes(columns), static_cast<int>(r / quarter), columns,
            bytes.data() + r % quarter * columns);
  }
}

}  // namespace trit
