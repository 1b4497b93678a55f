// Causal attention of whole sequences in bfloat16 (FlashAttention-2, arXiv 2307.08691): a block has 128 queries of a head, a
// warp 32 of them, and goes through the keys up to its last query, a tile being copied while the one before is worked on.

#include <cmath>

#include "kernels/cuda/training_mma.h"

namespace trit::cuda {
namespace {

using namespace training;

constexpr int kWarps = 4, kBlock = 32 * kWarps, kQueries = 32 * kWarps;

template <int kD>
struct Shared {
  static constexpr int kStep = kD <= 64 ? 64 : 32;  // keys of a tile
  Tile<kQueries, kD> q;
  Tile<kStep, kD> k[2], v[2];
};

struct Arguments {
  ConstRows q, k, v;
  Rows out;
  float* log_sums;
  int64_t N, H, group;
  int T, D;
  float scale;
  bool wide;
};

template <int kD>
__global__ void __launch_bounds__(kBlock, 2) forward_kernel(Arguments a) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kD>*>(memory);
  constexpr int kStep = Shared<kD>::kStep;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t h = blockIdx.x % a.H;
  const SequenceHeads heads{blockIdx.x / a.H * a.T, a.T, a.D};
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kQueries;
  const HeadRows k = heads.of(a.k, h / a.group, a.wide), v = heads.of(a.v, h / a.group, a.wide);
  const int row = first + 32 * warp;  // the warp's first query
  const int tiles = (min(first + kQueries, a.T) + kStep - 1) / kStep;

  shared.q.template copy<kBlock>(heads.of(a.q, h, a.wide), first);
  const auto copy = [&](int tile) {
    shared.k[tile % 2].template copy<kBlock>(k, tile * kStep);
    shared.v[tile % 2].template copy<kBlock>(v, tile * kStep);
    copies_end();
  };
  copy(0);
  Sums<2, kD / 8> out;
  out.clear();
  float most[2][2], sum[2][2] = {};
  for (auto& pairs : most) pairs[0] = pairs[1] = -INFINITY;
  const float scale = a.scale * kLog2E;
  for (int tile = 0; tile < tiles; ++tile) {
    copies_wait<0>();
    __syncthreads();
    if (tile + 1 < tiles) copy(tile + 1);
    const int key = tile * kStep;
    if (key > row + 31) continue;  // later than all of the warp's queries
    Sums<2, kStep / 8> s;
    multiply_rows<kD>(s, shared.q, 32 * warp, shared.k[tile % 2], 0);
    const bool hides = key + kStep - 1 > row;
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int position = row + 16 * m + 8 * half + lane / 4;
        float high = most[m][half];
#pragma unroll
        for (int n = 0; n < kStep / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            float& x = s.c[m][n][2 * half + i];
            if (hides && key + 8 * n + lane % 4 * 2 + i > position) x = -INFINITY;
            high = fmaxf(high, x);
          }
        }
        high = fmaxf(high, __shfl_xor_sync(~0U, high, 1));
        high = fmaxf(high, __shfl_xor_sync(~0U, high, 2));  // finite: all rows see position 0
        const float keep = power_of_2((most[m][half] - high) * scale), shift = high * scale;
        most[m][half] = high;
        float all = 0;
#pragma unroll
        for (int n = 0; n < kStep / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            float& x = s.c[m][n][2 * half + i];
            x = power_of_2(fmaf(x, scale, -shift));
            all += x;
          }
        }
        sum[m][half] = fmaf(sum[m][half], keep, all);
#pragma unroll
        for (int n = 0; n < kD / 8; ++n)
          out.c[m][n][2 * half] *= keep, out.c[m][n][2 * half + 1] *= keep;
      }
    }
    add_product<kD>(out, s, shared.v[tile % 2], 0);
  }
  float inverse[2][2];
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float& all = sum[m][half];
      all += __shfl_xor_sync(~0U, all, 1);
      all += __shfl_xor_sync(~0U, all, 2);
      inverse[m][half] = 1.0f / all;
      const int position = row + 16 * m + 8 * half + lane / 4;
      if (lane % 4 == 0 && position < a.T)
        a.log_sums[h * a.N + heads.first_row + position] = most[m][half] * a.scale + logf(all);
    }
  }
  store_sums<kD, 2>(out, heads.to(a.out, h), a.out.stride, row, a.T, a.D,
                    [&](int m, int half) { return inverse[m][half]; });
}

}  // namespace

bool attention_takes(const HeadShape& shape, std::initializer_list<ConstRows> rows) {
  bool takes = shape.D <= 128 && shape.D % 4 == 0;
  for (const ConstRows& r : rows)
    takes = takes && r.type == Float::kBF16 && reinterpret_cast<uintptr_t>(r.data) % 8 == 0 &&
            r.stride % 4 == 0;
  return takes;
}

void attention_mma(StreamHandle stream, const AttentionRun& run, Rows out, float* log_sums) {
  const HeadShape& shape = run.shape;
  const auto T = static_cast<int>(run.batch.length);
  const Arguments a{run.q,
                    run.k,
                    run.v,
                    out,
                    log_sums,
                    run.batch.sequences * run.batch.length,
                    shape.H,
                    shape.H / shape.G,
                    T,
                    static_cast<int>(shape.D),
                    1.0f / std::sqrt(static_cast<float>(shape.D)),
                    wide_rows(shape, {run.q, run.k, run.v})};
  const dim3 grid(static_cast<unsigned>(run.batch.sequences * shape.H),
                  static_cast<unsigned>((T + kQueries - 1) / kQueries));
  with_dims(shape.D, [&](auto dims) {
    constexpr int kD = decltype(dims)::value;
    TRIT_CUDA(cudaFuncSetAttribute(forward_kernel<kD>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(sizeof(Shared<kD>))));
    forward_kernel<kD><<<grid, kBlock, sizeof(Shared<kD>), stream>>>(a);
  });
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
