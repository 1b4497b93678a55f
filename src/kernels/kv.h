#pragma once
// How keys and values are cached: in pages of 64 positions. A head's part of a page holds its keys, its values
// and, where the type has them, their scales. The kernels alone read and write what is inside; others need its size.
//
//   keys     4 blocks of 16 positions, transposed: [D][16], so a score needs no sum across lanes
//   values   [64][D], D rounded up to 16 with zeros

#include <cstddef>
#include <cstdint>

namespace trit::kernels {

inline constexpr int64_t kPagePositions = 64;
inline constexpr int64_t kKeyBlock = 16;
// Positions that one call of an attention kernel takes at most; a row's chunks are [0, 256), [256, 512), ...
inline constexpr int64_t kChunkPositions = 256;
inline constexpr int64_t kChunkPages = kChunkPositions / kPagePositions;

enum class KvType : uint8_t { kF32 };
inline constexpr int kKvTypes = 1;

inline constexpr int64_t value_columns(int64_t D) { return (D + 15) / 16 * 16; }
inline constexpr int64_t chunks_of(int64_t count) {
  return (count + kChunkPositions - 1) / kChunkPositions;
}
inline constexpr int64_t pages_of(int64_t count) {
  return (count + kPagePositions - 1) / kPagePositions;
}

// Bytes of one head's part of a page, a multiple of 64.
int64_t kv_head_page_bytes(KvType type, int64_t D);

// What one query head makes of one chunk: its largest score, the sum of exp(score - largest), and the values
// weighted by those exponentials, [value_columns(D)]. So many doubles:
inline constexpr int64_t partial_size(int64_t D) { return 2 + value_columns(D); }

// Floats of scratch memory that attention_chunk needs for `group` heads.
inline constexpr int64_t attention_scratch_size(int64_t group, int64_t D) {
  return group * (3 * kChunkPositions + 2 * D);
}

// The rows of one type.
struct KvRows {
  // Writes one position's key and value, k and v [D], into a head's part of a page, at `place` < 64.
  void (*store)(const float* k, const float* v, int64_t D, int64_t place, std::byte* page);

  // The queries q [group, D] of the heads that share a key/value head, against `count` <= 256 cached positions:
  // pages[i] is that head's part of the page of positions 64 i to 64 i + 63. Scores are scale q.k. partials:
  // [group, partial_size(D)].
  void (*attention_chunk)(const float* q, int64_t group, const std::byte* const* pages,
                          int64_t count, int64_t D, float scale, float* scratch, double* partials);
};

}  // namespace trit::kernels
