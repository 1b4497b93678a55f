#pragma once
// How keys and values are cached: in pages of 64 positions. A head's part of a page holds its keys, its values
// and, where the type has them, their scales. The kernels alone read and write what is inside; others need its size.
//
//   type   keys                                          values, D rounded up to 16 columns with zeros
//   f32    in 4 blocks of 16 positions, [D][16]          [64][columns]
//   f16    [D][64], to nearest even, at most +-65504     [64][columns]
//   int8   [D / 2][64][2 dims]                           [64 / 2][columns][2 positions]
//   int4   [D / 4][64][2 dims], two more in the          [64 / 4][columns][2 positions], two more in the
//          high half of each byte                        high half of each byte
//
// The columns of values, but for f32, are cut into strips of 64 (int4: 32), at the end 32 and 16; each strip is a
// matrix of its own. So a page is read from one end to the other.
// Keys lie transposed, so a score needs no sum across lanes. Integers, of a vector x with m = max |x|:
//   int8   a scale m / 127 (float32) for each key and each value of a head
//   int4   a scale m / 7 (float16) for every 32 dims of them
//   q = clamp(round_half_even(x (1 / scale)), -127, 127 or -7, 7); int4 is stored as q + 8
// Scales lie behind the values: [groups][64] of the keys, then of the values.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trit::kernels {

inline constexpr int64_t kPagePositions = 64;
inline constexpr int64_t kKeyBlock = 16;
// Positions that one call of an attention kernel takes at most; a row's chunks are [0, 256), [256, 512), ...
inline constexpr int64_t kChunkPositions = 256;
inline constexpr int64_t kChunkPages = kChunkPositions / kPagePositions;
inline constexpr int64_t kInt4Group = 32;  // dims that share a scale

enum class KvType : uint8_t { kF32, kF16, kInt8, kInt4 };
inline constexpr int kKvTypes = 4;
std::string_view to_string(KvType type);  // "f32", "f16", "int8", "int4"

inline constexpr int64_t value_columns(int64_t D) { return (D + 15) / 16 * 16; }
inline constexpr int64_t chunks_of(int64_t count) {
  return (count + kChunkPositions - 1) / kChunkPositions;
}
inline constexpr int64_t pages_of(int64_t count) {
  return (count + kPagePositions - 1) / kPagePositions;
}

// Where the parts of a head's part of a page begin, in bytes; keys at 0.
struct KvPageLayout {
  int64_t values = 0, key_scales = 0, value_scales = 0;
  int64_t bytes = 0;  // of all, a multiple of 64
};
KvPageLayout kv_page_layout(KvType type, int64_t D);

// What one query head makes of one chunk: its largest score, the sum of exp(score - largest), and the values
// weighted by those exponentials, [value_columns(D)]. So many doubles:
inline constexpr int64_t partial_size(int64_t D) { return 2 + value_columns(D); }

// Floats of scratch memory that attention_chunk needs.
inline constexpr int64_t attention_scratch_size(int64_t D) {
  return 4 * (kChunkPositions + 2 * value_columns(D));
}

// The queries that read one key/value head: those of `group` query heads, [group, D], in each of `rows` <= 16 rows,
// `stride` floats apart.
struct QueryBlock {
  const float* q = nullptr;
  int64_t group = 1, rows = 1, stride = 0;
};

// The rows of one type.
struct KvRows {
  // Begins to bring near what store will write with the same arguments, and changes nothing.
  void (*prefetch)(int64_t D, int64_t place, const std::byte* page);

  // Writes one position's key and value, k and v [D], into a head's part of a page, at `place` < 64. In int4,
  // positions 4 i to 4 i + 3 share bytes: they must not be written at the same time.
  void (*store)(const float* k, const float* v, int64_t D, int64_t place, std::byte* page);

  // Row r of the queries against min(count + r, 256) cached positions, the last of which lie in one page for all
  // rows: pages[i] is the head's part of the page of positions 64 i to 64 i + 63. Scores are scale q.k. partials:
  // [rows, group, partial_size(D)]; a row's do not depend on the others.
  //
  // f32 computes in double. f16 computes in float32, with FMA. int8 and int4 multiply integers, exactly: a query
  // becomes int16 with one scale (max |q| / 32767), and so do a page's weights, the exponentials times the
  // scales of the values.
  void (*attention_chunk)(const QueryBlock& queries, const std::byte* const* pages, int64_t count,
                          int64_t D, float scale, float* scratch, double* partials);
};

}  // namespace trit::kernels
