#pragma once
// What the products of few rows share (linear_small_mma.cu, linear_single.cu). For .cu files.

#include <cstdint>

namespace trit::cuda::small {

// Four 8 x 16-byte matrices: lane l gets word l % 4 of row l / 4 of each.
__device__ inline uint4 load_matrices(uint32_t address) {
  uint4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address));
  return v;
}

__device__ inline void mma(int (&sum)[4], const uint4& w, uint32_t mask, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(w.x & mask), "r"(w.y & mask), "r"(w.z & mask), "r"(w.w & mask), "r"(b0), "r"(b1));
}

// Products of a tile's 128-input blocks. Codes stay where they are in their bytes: sum i is 4^i times the products
// of its 32 inputs.
struct Sums {
  int at[4][4] = {};

  // x: the lane's row of the block's first 64 bytes.
  __device__ void add(const uint4& w, uint32_t x) {
    const uint4 a = load_matrices(x), b = load_matrices(x + 64);
    mma(at[0], w, 0x03030303U, a.x, a.y);
    mma(at[1], w, 0x0C0C0C0CU, a.z, a.w);
    mma(at[2], w, 0x30303030U, b.x, b.y);
    mma(at[3], w, 0xC0C0C0C0U, b.z, b.w);
  }
  // Of codes: row l / 4 + 8 (i / 2), token 2 (l % 4) + i % 2.
  __device__ int take(int i) {
    const int v = at[0][i] + (at[1][i] >> 2) + (at[2][i] >> 4) + (at[3][i] >> 6);
    at[0][i] = at[1][i] = at[2][i] = at[3][i] = 0;
    return v;
  }
};

}  // namespace trit::cuda::small
