#pragma once
// For .cu files: a warp's keys and values of a round of attention_single.cu in shared memory, as their page has them, and
// the operands of products made from them. Integers become float16 in registers: 0x6400 | n is 1024 + n.

#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/kv_page.h"

namespace trit::cuda {

inline constexpr int kRound = 128;                   // positions that a block works on at a time
inline constexpr int kSingleWarps = 4;               // of a block
inline constexpr int kEach = kRound / kSingleWarps;  // of which a warp multiplies so many keys

// A warp's memory: its keys; and of the values of all positions its dims, a quarter of all.
template <KvType kType, int kD>
struct WarpMemory {
  static constexpr int kBits = kType == KvType::kF16 ? 16 : kType == KvType::kInt8 ? 8 : 4;
  static constexpr int kKeyRow = kD * kBits / 8, kValueRow = kKeyRow / kSingleWarps;  // bytes
  static constexpr int kScales =
      kType == KvType::kInt8 ? 4 : kD / 32 * 2;  // bytes a position, if any
  static constexpr int kScaled = kType == KvType::kF16 ? 0 : 1;
  static_assert(kValueRow % 16 == 0);
  alignas(16) std::byte keys[kEach * kKeyRow];
  alignas(16) std::byte values[kRound * kValueRow];
  alignas(16) std::byte key_scales[kScaled * kEach * kScales + 16];
  // int8: of its kEach positions (they go into the weights); int4: of all.
  alignas(16) std::byte
      value_scales[kScaled * (kType == KvType::kInt8 ? kEach : kRound) * kScales + 16];
};

// Where 16 bytes are in rows of kUnits times 16: 8 rows one below the other meet all banks.
template <int kUnits>
__device__ constexpr int unit_at(int row, int unit) {
  constexpr unsigned kTurned = kUnits < 8 ? kUnits : 8;
  const auto r = static_cast<unsigned>(row), u = static_cast<unsigned>(unit);
  return static_cast<int>((r * kUnits + (u ^ (r * kTurned / 8 % kTurned))) * 16);
}
// The same of row + 8 i, in which only the row shows.
template <int kUnits>
__device__ constexpr int eights_at(int i) {
  return 8 * i * kUnits * 16;
}

// kRows rows of a page, `pitch` bytes apart, into rows of kRow bytes, in the background; zeros from row `rows` and byte
// `bytes` of a row on.
template <int kRow, int kRows>
__device__ void fetch_rows(std::byte* to, const std::byte* from, int pitch, int bytes, int rows) {
  constexpr int kUnits = kRow / 16, kTogether = 32 / kUnits;  // rows that a warp copies at a time
  int lane = static_cast<int>(threadIdx.x) % 32;
  // Dozens of addresses are better made anew than kept from round to round.
  asm volatile("" : "+r"(lane));
  if (pitch % 16 == 0) {
    // unit_at of row + first is that of row, with the unit turned by what both say.
    const int row = lane / kUnits, unit = lane % kUnits;
    const bool column = 16 * unit < bytes;
    const std::byte* at = from + row * pitch + 16 * unit;
    const int placed = unit_at<kUnits>(row, unit);
#pragma unroll
    for (int first = 0; first < kRows; first += kTogether, at += kTogether * pitch)
      copy_async<16>(to + (placed ^ unit_at<kUnits>(first, 0) % (16 * kUnits)) + first * kRow, at,
                     column && row + first < rows);
  } else {
    for (int i = lane; i < kRows * kUnits * 4; i += 32) {
      const int row = i / (4 * kUnits), word = i % (4 * kUnits);
      const bool there = row < rows && 4 * word < bytes;
      copy_async<4>(to + unit_at<kUnits>(row, word / 4) + word % 4 * 4,
                    there ? from + row * pitch + 4 * word : from, there);
    }
  }
}
// `bytes` of scales, a multiple of 16, of which `there` can be read.
__device__ inline void fetch_scales(std::byte* to, const std::byte* from, int bytes, int there) {
  for (int i = static_cast<int>(threadIdx.x) % 32 * 16; i < bytes; i += 32 * 16)
    copy_async<16>(to + i, i < there ? from + i : from, i < there);
}
// A row from elsewhere in shared memory; 4 kWords bytes are there.
template <int kRow>
__device__ inline void put_row(std::byte* to, int row, const std::byte* from) {
  for (int i = static_cast<int>(threadIdx.x) % 32; i < kRow / 4; i += 32)
    *reinterpret_cast<uint32_t*>(to + unit_at<kRow / 16>(row, i / 4) + i % 4 * 4) =
        reinterpret_cast<const uint32_t*>(from)[i];
}

// ---- Operands ----

// The column of a query where dim d is to stand. Integers are taken apart where they lie: a word's numbers go to the
// two registers of an operand (inputs 0-7 and 8-15 of a step, two each), and of int4 to two steps.
template <KvType kType>
__device__ constexpr int query_column(int d) {
  if (kType == KvType::kF16) return d;
  if (kType == KvType::kInt8) return d / 16 * 16 + d % 2 * 8 + d % 16 / 4 * 2 + d / 2 % 2;
  return d / 32 * 32 + d / 2 % 2 * 16 + d % 2 * 8 + d % 32 / 8 * 2 + d / 4 % 2;
}
// The dim, of a warp's quarter, of column j of tile t of the sums.
template <KvType kType>
__device__ constexpr int value_dim(int t, int j) {
  if (kType == KvType::kF16) return 8 * t + j;
  if (kType == KvType::kInt8) return 16 * (t / 2) + 2 * j + t % 2;
  return 4 * j + t;
}

__device__ inline __half2 as_halves(uint32_t word) {
  return *reinterpret_cast<const __half2*>(&word);
}
__device__ inline uint32_t as_word(__half2 two) { return *reinterpret_cast<const uint32_t*>(&two); }
// Two of a word's bytes (0 and 2, or 1 and 3), as int8 less 128.
template <int kFirst>
__device__ inline __half2 halves_of_bytes(uint32_t word) {
  return __hsub2(as_halves(__byte_perm(word, 0x64646464u, kFirst == 0 ? 0x4240 : 0x4341)),
                 __float2half2_rn(1024.0f + 128.0f));
}
// Two codes in the low bits of each half of the word, less `zero`.
__device__ inline __half2 halves_of_codes(uint32_t word, uint32_t mask, float zero) {
  return __hsub2(as_halves((word & mask) | 0x64006400u), __float2half2_rn(1024.0f + zero));
}

// score += q k for step s (int4: steps s and s + 1) of 32 keys: tile j is keys 8 j to 8 j + 7.
template <KvType kType, int kD>
struct Keys {
  static constexpr int kSteps = kType == KvType::kInt4 ? 2 : 1;  // at a time
  const WarpMemory<kType, kD>& memory;
  int groups;  // of scales, int4

  template <class Multiply>
  __device__ void operands(int s, Multiply multiply_by) const {
    constexpr int kUnits = kD * WarpMemory<kType, kD>::kBits / 8 / 16;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if constexpr (kType == KvType::kF16) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        uint32_t k[4];
        load_matrices(k, memory.keys + eights_at<kUnits>(2 * j) +
                             unit_at<kUnits>(lane % 8 + lane / 16 * 8, 2 * s + lane / 8 % 2));
        multiply_by(2 * j, s, k[0], k[1]);
        multiply_by(2 * j + 1, s, k[2], k[3]);
      }
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int row = 8 * j + lane / 4, unit = kType == KvType::kInt4 ? s / 2 : s;
        uint32_t word = *reinterpret_cast<const uint32_t*>(
            memory.keys + eights_at<kUnits>(j) + unit_at<kUnits>(lane / 4, unit) + lane % 4 * 4);
        if constexpr (kType == KvType::kInt8) {
          word ^= 0x80808080u;
          multiply_by(j, s, as_word(halves_of_bytes<0>(word)), as_word(halves_of_bytes<1>(word)));
        } else {
          // Past the last group there is no scale, and no query.
          const __half2 scale = __half2half2(
              unit < groups
                  ? reinterpret_cast<const __half*>(memory.key_scales)[row * groups + unit]
                  : __half(0.0f));
          uint32_t k[4];
#pragma unroll
          for (int i = 0; i < 4; ++i)
            k[i] = as_word(__hmul2(halves_of_codes(word >> 4 * i, 0x000F000Fu, 8), scale));
          multiply_by(j, s, k[0], k[1]);
          multiply_by(j, s + 1, k[2], k[3]);
        }
      }
    }
  }
  // What the score of a key counts for, beside.
  __device__ float scale(int key) const {
    return kType == KvType::kInt8 ? reinterpret_cast<const float*>(memory.key_scales)[key] : 1.0f;
  }
};

// v[t]: positions 16 s to 16 s + 15 of a round and the 8 dims of tile t, as right operand. int8: without its scale.
template <KvType kType, int kD>
__device__ void load_values(const WarpMemory<kType, kD>& memory, int s, int groups, int group,
                            uint32_t (&v)[kD / 32][2]) {
  constexpr int kUnits = WarpMemory<kType, kD>::kValueRow / 16;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::byte* rows = memory.values + eights_at<kUnits>(2 * s);
  if constexpr (kType == KvType::kF16) {
#pragma unroll
    for (int n = 0; n < kD / 64; ++n) {
      uint32_t four[4];
      load_matrices_turned(four, rows + unit_at<kUnits>(lane % 16, 2 * n + lane / 16));
      v[2 * n][0] = four[0], v[2 * n][1] = four[1];
      v[2 * n + 1][0] = four[2], v[2 * n + 1][1] = four[3];
    }
  } else {
    // Elements of 16 bits are two or four dims of a position; a register has those of two positions.
    uint32_t words[kUnits][2];
    if constexpr (kUnits == 2) {
      uint32_t four[4];
      load_matrices_turned(four, rows + unit_at<kUnits>(lane % 16, lane / 16));
      words[0][0] = four[0], words[0][1] = four[1], words[1][0] = four[2], words[1][1] = four[3];
    } else {
      load_matrices_turned(words[0], rows + unit_at<kUnits>(lane % 16, 0));
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if constexpr (kType == KvType::kInt8) {
#pragma unroll
        for (int n = 0; n < kUnits; ++n) {
          const uint32_t word = words[n][r] ^ 0x80808080u;
          v[2 * n][r] = as_word(halves_of_bytes<0>(word));
          v[2 * n + 1][r] = as_word(halves_of_bytes<1>(word));
        }
      } else {
        const auto* scales = reinterpret_cast<const __half*>(memory.value_scales) + group;
        const int position = 16 * s + lane % 4 * 2 + 8 * r;
        const __half2 scale = group < groups ? __halves2half2(scales[position * groups],
                                                              scales[(position + 1) * groups])
                                             : __half2half2(__half(0.0f));
#pragma unroll
        for (int t = 0; t < 4; ++t)
          v[t][r] = as_word(__hmul2(halves_of_codes(words[0][r] >> 4 * t, 0x000F000Fu, 8), scale));
      }
    }
  }
}

}  // namespace trit::cuda
