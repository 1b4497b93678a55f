#pragma once
// For .cu files: attention in training on tensor cores: tiles of bfloat16 rows in shared memory and products of them by
// mma.m16n8k16 (PTX ISA). A warp's accumulator of 16 rows by 8 columns: lane l has rows l / 4 and l / 4 + 8, columns
// 2 (l % 4) and the next; two of them side by side are the left operand of a product over their 16 columns.

#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/training_attention.h"
#include "kernels/cuda/training_parts.h"

namespace trit::cuda::training {

// c += a b: 16 x 16 by 16 x 8.
__device__ inline void multiply_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                     uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void copy_8(void* to, const void* from, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(hopper::shared_address(to)),
               "l"(from), "r"(there ? 8 : 0)
               : "memory");
}

// A head's rows in memory, and where they are wanted.
struct HeadRows {
  const Bf16* data;  // the first row's head
  int64_t stride;
  int rows, D;
  bool wide;  // 16 bytes can be copied at once
};

// kRows rows of kD dimensions; 16 bytes more a row, so that eight rows' parts of 16 bytes lie on all banks.
template <int kRows, int kD>
struct Tile {
  static constexpr int kPitch = kD + 8;
  Bf16 at[kRows * kPitch];

  __device__ Bf16* place(int row, int d) { return at + row * kPitch + d; }
  // Begins to copy rows from `first` on by kThreads threads; what is past the rows or D is zeros.
  template <int kThreads>
  __device__ void copy(const HeadRows& from, int first) {
    const int thread = static_cast<int>(threadIdx.x);
    if (from.wide) {
      constexpr int kParts = kD / 8;
#pragma unroll
      for (int i = thread; i < kRows * kParts; i += kThreads) {
        const int r = i / kParts, d = i % kParts * 8;
        const bool there = first + r < from.rows && d < from.D;
        const Bf16* at_row = from.data + (there ? (first + r) * from.stride + d : 0);
        copy_async<16>(place(r, d), at_row, there);
      }
    } else {
      constexpr int kParts = kD / 4;
      for (int i = thread; i < kRows * kParts; i += kThreads) {
        const int r = i / kParts, d = i % kParts * 4;
        const bool there = first + r < from.rows && d < from.D;
        const Bf16* at_row = from.data + (there ? (first + r) * from.stride + d : 0);
        copy_8(place(r, d), at_row, there);
      }
    }
  }
  // The left operand: rows r to r + 15, dimensions d to d + 15.
  __device__ void left(uint32_t (&a)[4], int r, int d) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load_matrices(a, place(r + lane % 16, d + lane / 16 * 8));
  }
  // The right operand of products over dimensions: columns are rows r to r + 15 (b0, b1 of the first eight, then of the
  // other).
  __device__ void right(uint32_t (&b)[4], int r, int d) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load_matrices(b, place(r + lane % 8 + lane / 16 * 8, d + lane / 8 % 2 * 8));
  }
  // The right operand of products over rows r to r + 15: columns are dimensions d to d + 15.
  __device__ void right_turned(uint32_t (&b)[4], int r, int d) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    load_matrices_turned(b, place(r + lane % 16, d + lane / 16 * 8));
  }
};

// kM x 16 rows by kN x 8 columns of sums.
template <int kM, int kN>
struct Sums {
  float c[kM][kN][4];
  __device__ void clear() {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kN; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) c[m][n][i] = 0;
      }
    }
  }
  // Columns 16 s to 16 s + 15 as a left operand.
  __device__ void left(uint32_t (&a)[4], int m, int s) const {
    const float(&x)[4] = c[m][2 * s];
    const float(&y)[4] = c[m][2 * s + 1];
    a[0] = pair(x[0], x[1]), a[1] = pair(x[2], x[3]);
    a[2] = pair(y[0], y[1]), a[3] = pair(y[2], y[3]);
  }
};

// sums = a b^T over kD dimensions: rows of tile a from `row` on, rows of tile b from `column` on.
template <int kD, int kM, int kN, class A, class B>
__device__ void multiply_rows(Sums<kM, kN>& sums, A& a, int row, B& b, int column) {
  sums.clear();
#pragma unroll
  for (int d = 0; d < kD; d += 16) {
    uint32_t left[kM][4];
#pragma unroll
    for (int m = 0; m < kM; ++m) a.left(left[m], row + 16 * m, d);
#pragma unroll
    for (int n = 0; n < kN / 2; ++n) {
      uint32_t right[4];
      b.right(right, column + 16 * n, d);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        multiply_bf16(sums.c[m][2 * n], left[m], right[0], right[1]);
        multiply_bf16(sums.c[m][2 * n + 1], left[m], right[2], right[3]);
      }
    }
  }
}
// sums += p b: p's columns are rows of tile b from `row` on.
template <int kD, int kM, int kN, class B>
__device__ void add_product(Sums<kM, kD / 8>& sums, const Sums<kM, kN>& p, B& b, int row) {
#pragma unroll
  for (int s = 0; s < kN / 2; ++s) {
    uint32_t left[kM][4];
#pragma unroll
    for (int m = 0; m < kM; ++m) p.left(left[m], m, s);
#pragma unroll
    for (int d = 0; d < kD / 16; ++d) {
      uint32_t right[4];
      b.right_turned(right, row + 16 * s, 16 * d);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        multiply_bf16(sums.c[m][2 * d], left[m], right[0], right[1]);
        multiply_bf16(sums.c[m][2 * d + 1], left[m], right[2], right[3]);
      }
    }
  }
}

// Rows of 16 kM sums to a head, those below `rows`: row r of the tile to head + r * stride, times factor(r).
template <int kD, int kM, class Factor>
__device__ void store_sums(const Sums<kM, kD / 8>& sums, Bf16* head, int64_t stride, int row,
                           int rows, int D, Factor factor) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = row + 16 * m + 8 * half + lane / 4;
      if (r >= rows) continue;
      const float f = factor(m, half);
      Bf16* to = head + r * stride + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < kD / 8; ++n) {
        if (8 * n + lane % 4 * 2 < D)
          *reinterpret_cast<uint32_t*>(to + 8 * n) =
              pair(sums.c[m][n][2 * half] * f, sums.c[m][n][2 * half + 1] * f);
      }
    }
  }
}

// What kernels know of the heads of one sequence.
struct SequenceHeads {
  int64_t first_row;
  int T, D;
  __device__ HeadRows of(const ConstRows& rows, int64_t head, bool wide) const {
    const Bf16* data = static_cast<const Bf16*>(rows.data) + first_row * rows.stride + head * D;
    return {data, rows.stride, T, D, wide};
  }
  __device__ Bf16* to(const Rows& rows, int64_t head) const {
    return static_cast<Bf16*>(rows.data) + first_row * rows.stride + head * D;
  }
};

inline bool wide_rows(const HeadShape& shape, std::initializer_list<ConstRows> rows) {
  bool wide = shape.D % 8 == 0;
  for (const ConstRows& r : rows)
    wide = wide && reinterpret_cast<uintptr_t>(r.data) % 16 == 0 && r.stride % 8 == 0;
  return wide;
}

// body(integral constant) of the dimensions that are compiled.
template <class Body>
void with_dims(int64_t D, Body body) {
  using std::integral_constant;
  if (D <= 32) return body(integral_constant<int, 32>{});
  if (D <= 64) return body(integral_constant<int, 64>{});
  if (D <= 96) return body(integral_constant<int, 96>{});
  body(integral_constant<int, 128>{});
}

inline constexpr float kLog2E = 1.44269504088896341f;

}  // namespace trit::cuda::training
