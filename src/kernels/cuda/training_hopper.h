#pragma once
// For training_attention*_sm90.cu: attention in training on Hopper (FlashAttention-3, arXiv 2407.08608): a block has one group of
// four warps that fetches and two that multiply, 64 rows each; tiles of two matrices come through a ring. A block does several
// items, the next one's rows under way by then. Heads are of 64 or 128 dimensions, sequences of a multiple of 64 rows.

#include "kernels/cuda/hopper_half.h"
#include "kernels/cuda/tensor_map.h"
#include "kernels/cuda/training_mma.h"

namespace trit::cuda::training {

inline constexpr int kTileRows = 64, kGroupThreads = 128, kGroups = 2;
inline constexpr int kRowsOfBlock = kTileRows * kGroups;
inline constexpr int kHopperThreads = kGroupThreads * (1 + kGroups);

template <int kD, int kRows = kTileRows>
struct alignas(1024) SwizzledTile {
  static constexpr int kColumnsBytes = kRows * 128;  // of 64 columns, 128-byte swizzle
  static constexpr int kBytes = kD / 64 * kColumnsBytes;
  std::byte at[kBytes];

  // Dimensions 16 s to 16 s + 15 of all rows, along dimensions.
  __device__ uint64_t rows(int s) const {
    return hopper::swizzled_rows(at + s / 4 * kColumnsBytes + s % 4 * 32);
  }
  // Rows 16 s to 16 s + 15, across them.
  __device__ uint64_t columns(int s) const {
    return hopper::swizzled_columns(at + s * 16 * 128, kColumnsBytes);
  }
  // Dimensions 16 s to 16 s + 15 as a left operand in registers.
  __device__ void left(uint32_t (&a)[4], int s) const {
    const int lane = static_cast<int>(threadIdx.x) % 32,
              warp = static_cast<int>(threadIdx.x) / 32 % 4;
    const int row = 16 * warp + lane % 16, piece = 2 * s + lane / 16;
    load_matrices(a, at + piece / 8 * kColumnsBytes + row * 128 + (piece % 8 ^ row % 8) * 16);
  }
};

// What is at the n-th time in one of kPlaces places: filled by one thread's copies, freed by all warps that multiply.
template <int kPlaces>
struct Places {
  uint64_t full[kPlaces], free[kPlaces];
  __device__ static int place(int n) { return n % kPlaces; }
  __device__ static uint32_t parity(int n) { return static_cast<uint32_t>(n / kPlaces % 2); }
  __device__ void init() {
    for (int i = 0; i < kPlaces; ++i) {
      hopper::barrier_init(&full[i], 1);
      hopper::barrier_init(&free[i], kGroups * kGroupThreads / 32);
    }
  }
  // To be filled with so many bytes; their barrier.
  __device__ uint64_t* fill(int n, uint32_t bytes) {
    hopper::barrier_wait(&free[place(n)], parity(n) ^ 1);
    hopper::barrier_expect(&full[place(n)], bytes);
    return &full[place(n)];
  }
  __device__ void wait(int n) { hopper::barrier_wait(&full[place(n)], parity(n)); }
  __device__ void freed(int n) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) hopper::barrier_arrive(&free[place(n)]);
  }
};
// Pairs of tiles.
template <int kD, int kRows, int kStages>
struct Ring : Places<kStages> {
  static constexpr uint32_t kBytes = 2 * SwizzledTile<kD, kRows>::kBytes;
  SwizzledTile<kD, kRows> first[kStages], second[kStages];
};
// Rows of each group, of this item and, with two places, the next.
template <int kD, int kMatrices, int kPlaces>
struct Own : Places<kPlaces> {
  SwizzledTile<kD> rows[kPlaces][kMatrices][kGroups];
};

// The j-th item of this block: forth and back, so that all blocks have as much to do.
__device__ inline int item_of(int j) {
  const int blocks = static_cast<int>(gridDim.x), b = static_cast<int>(blockIdx.x);
  return j * blocks + (j % 2 == 0 ? b : blocks - 1 - b);
}

// By one thread: the copy engine brings rows of a head.
template <int kD, int kRows>
__device__ void copy_tile(SwizzledTile<kD, kRows>& to, const CUtensorMap& map, int64_t column,
                          int64_t row, uint64_t* barrier) {
#pragma unroll
  for (int i = 0; i < kD / 64; ++i) {
#pragma unroll
    for (int r = 0; r < kRows; r += kTileRows)
      hopper::copy_box(to.at + i * to.kColumnsBytes + r * 128, &map,
                       static_cast<int>(column) + 64 * i, static_cast<int>(row) + r, barrier);
  }
}
__device__ inline void copy_numbers(float* to, const float* from, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(hopper::shared_address(to)),
      "l"(from), "r"(kTileRows * 4), "r"(hopper::shared_address(barrier))
      : "memory");
}

#define TRIT_F8(i)                                                                            \
  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]), "+f"(c[i + 5]), \
      "+f"(c[i + 6]), "+f"(c[i + 7])
#define TRIT_F32 TRIT_F8(0), TRIT_F8(8), TRIT_F8(16), TRIT_F8(24)
#define TRIT_F64 TRIT_F32, TRIT_F8(32), TRIT_F8(40), TRIT_F8(48), TRIT_F8(56)
#define TRIT_N32                                                                          \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, " \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TRIT_N64                                                                            \
  TRIT_N32                                                                                  \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, " \
  "%49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// c [64, 64] = (add: +) a [64, 16] b [64, 16]^T, a in registers or both in shared memory.
__device__ inline void product_rows(float (&c)[32], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" TRIT_N32
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, 0;\n}\n"
      : TRIT_F32
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)));
}
__device__ inline void product_rows(float (&c)[32], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" TRIT_N32
      "}, %32, %33, p, 1, 1, 0, 0;\n}\n"
      : TRIT_F32
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}
// c [64, 128] = (add: +) a [64, 16] b [128, 16]^T.
__device__ inline void product_rows(float (&c)[64], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TRIT_N64
      "}, {%64, %65, %66, %67}, %68, p, 1, 1, 0;\n}\n"
      : TRIT_F64
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)));
}
__device__ inline void product_rows(float (&c)[64], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TRIT_N64
      "}, %64, %65, p, 1, 1, 0, 0;\n}\n"
      : TRIT_F64
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}
// c [64, 64 or 128] += a [64, 16] b [16, 64 or 128].
__device__ inline void product_columns(float (&c)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" TRIT_N32
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}\n"
      : TRIT_F32
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ inline void product_columns(float (&c)[64], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TRIT_N64
      "}, {%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}\n"
      : TRIT_F64
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
#undef TRIT_F8
#undef TRIT_F32
#undef TRIT_F64
#undef TRIT_N32
#undef TRIT_N64

// Rows of a group as the left operand of products over dimensions: in registers where there is room.
template <int kD>
struct LeftRows {
  static constexpr bool kHeld = kD == 64;
  uint32_t held[kHeld ? kD / 16 : 1][4];
  const SwizzledTile<kD>* tile;
  __device__ void take(const SwizzledTile<kD>& from) {
    tile = &from;
    if constexpr (kHeld) {
#pragma unroll
      for (int s = 0; s < kD / 16; ++s) from.left(held[s], s);
    }
  }
  // Queues c = rows b^T.
  template <int kRows>
  __device__ void multiply(float (&c)[kRows / 2], const SwizzledTile<kD, kRows>& b) {
    hopper::pin(c);
    if constexpr (kHeld) {
#pragma unroll
      for (int s = 0; s < kD / 16; ++s) hopper::pin(held[s]);
    }
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < kD / 16; ++s) {
      if constexpr (kHeld)
        product_rows(c, held[s], b.rows(s), s > 0);
      else
        product_rows(c, tile->rows(s), b.rows(s), s > 0);
    }
    hopper::products_end();
  }
};

// A group's 64 x kColumns weights as left operands over their columns.
template <int kColumns>
struct Packed {
  uint32_t p[kColumns / 16][4];
  __device__ void take(const float (&c)[kColumns / 2]) {
#pragma unroll
    for (int i = 0; i < kColumns / 4; ++i) p[i / 4][i % 4] = pair(c[2 * i], c[2 * i + 1]);
  }
  // Queues sums += p b.
  template <int kD>
  __device__ void add_product(float (&sums)[kD / 2], const SwizzledTile<kD, kColumns>& b) {
#pragma unroll
    for (int s = 0; s < kColumns / 16; ++s) hopper::pin(p[s]);
    hopper::pin(sums);
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < kColumns / 16; ++s) product_columns(sums, p[s], b.columns(s));
    hopper::products_end();
  }
};

// A group's rows of sums to a head, times factor(half): row 16 warp + lane / 4 + 8 half.
template <int kD, class Factor>
__device__ void store_group(const float (&sums)[kD / 2], Bf16* head, int64_t stride, int first,
                            Factor factor) {
  const int lane = static_cast<int>(threadIdx.x) % 32,
            warp = static_cast<int>(threadIdx.x) / 32 % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float f = factor(half);
    Bf16* to = head + (first + 16 * warp + lane / 4 + 8 * half) * stride + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kD / 8; ++n)
      *reinterpret_cast<uint32_t*>(to + 8 * n) =
          pair(sums[4 * n + 2 * half] * f, sums[4 * n + 2 * half + 1] * f);
  }
}

// The same sums, turned back first: halves of a head by the angles of the row's position [T, kD / 2] (null: as they are).
template <int kD>
__device__ void turn_back(float (&sums)[kD / 2], int first, const float* cosine,
                          const float* sine) {
  if (cosine == nullptr) return;
  const int lane = static_cast<int>(threadIdx.x) % 32,
            warp = static_cast<int>(threadIdx.x) / 32 % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t at = int64_t{first + 16 * warp + lane / 4 + 8 * half} * (kD / 2) + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kD / 16; ++n) {
      const float2 c = *reinterpret_cast<const float2*>(cosine + at + 8 * n);
      const float2 s = *reinterpret_cast<const float2*>(sine + at + 8 * n);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float &a = sums[4 * n + 2 * half + e], &b = sums[4 * (n + kD / 16) + 2 * half + e];
        const float x = e == 0 ? c.x : c.y, y = e == 0 ? s.x : s.y, before = a;
        a = a * x + b * y;
        b = b * x - before * y;
      }
    }
  }
}

// For kernels of kHopperThreads threads with `shared` in shared memory.
template <class Body, class Fetch>
__device__ void divide_groups(Fetch fetch, Body multiply) {
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  if (group == 0) {
    hopper::give_registers<24>();
    if (threadIdx.x == 0) fetch();
  } else {
    hopper::take_registers<240>();
    multiply(group - 1);
  }
}

// Boxes of 64 rows of 64 dimensions of all heads.
inline CUtensorMap heads_map(const ConstRows& rows, int64_t heads, int64_t D, int64_t N) {
  return tensor_map(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_SWIZZLE_128B, rows.data,
                    heads * D, N, 2 * rows.stride, 64, kTileRows);
}

}  // namespace trit::cuda::training
