// The backward pass of training_attention_mma.cu in two kernels, each of which has its sums to itself, so that they come in
// one order: blocks of keys go through the queries at or after them, of all query heads in turn; blocks of queries go
// through the keys up to them. Both make the softmax's weights anew from the log of its sums.

#include <cmath>

#include "kernels/cuda/training_mma.h"

namespace trit::cuda {
namespace {

using namespace training;

constexpr int kWarps = 4, kBlock = 32 * kWarps;

struct Arguments {
  ConstRows q, k, v, dout;
  Rows dq, dk, dv;
  const float *shifts, *centres;
  int64_t N, H, G, group;
  int T, D;
  float scale;
  bool wide;
};

// A warp for each row of a head.
__global__ void __launch_bounds__(kThreads)
    centres_kernel(ConstRows out, ConstRows dout, const float* log_sums, int64_t N, int64_t H,
                   int D, float* centres, float* shifts) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (i >= N * H) return;
  const int64_t n = i / H, h = i % H;
  const Bf16* x = static_cast<const Bf16*>(out.data) + n * out.stride + h * D;
  const Bf16* y = static_cast<const Bf16*>(dout.data) + n * dout.stride + h * D;
  float sum = 0;
  for (int d = static_cast<int>(threadIdx.x) % 32 * 4; d < D; d += 128) {
    const uint2 a = *reinterpret_cast<const uint2*>(x + d);
    const uint2 b = *reinterpret_cast<const uint2*>(y + d);
    const auto low = [](uint32_t w) { return __uint_as_float(w << 16); };
    const auto high = [](uint32_t w) { return __uint_as_float(w & 0xFFFF0000U); };
    sum +=
        low(a.x) * low(b.x) + high(a.x) * high(b.x) + low(a.y) * low(b.y) + high(a.y) * high(b.y);
  }
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0U, sum, apart);
  if (threadIdx.x % 32 != 0) return;
  centres[h * N + n] = sum;
  shifts[h * N + n] = log_sums[h * N + n] * kLog2E;
}

// ---- Keys and values ----

template <int kD>
struct KeyShared {
  static constexpr int kM = kD <= 64 ? 2 : 1;       // 16 keys a warp, times
  static constexpr int kKeys = 16 * kM * kWarps;    // of a block
  static constexpr int kStep = kD <= 64 ? 64 : 32;  // queries of a tile
  static constexpr int kPart = 32;                  // worked on at a time
  Tile<kKeys, kD> k, v;
  Tile<kStep, kD> q[2], dout[2];
  float shifts[2][kStep], centres[2][kStep];
};

// Rows are keys, columns queries, so that weights and scores' gradients are left operands as they are.
template <int kD>
__global__ void __launch_bounds__(kBlock, 2) keys_kernel(Arguments a) {
  extern __shared__ __align__(16) unsigned char memory[];
  using Memory = KeyShared<kD>;
  auto& shared = *reinterpret_cast<Memory*>(memory);
  constexpr int kM = Memory::kM, kStep = Memory::kStep, kPart = Memory::kPart;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int64_t g = blockIdx.x % a.G;
  const SequenceHeads heads{blockIdx.x / a.G * a.T, a.T, a.D};
  const int first = static_cast<int>(blockIdx.y) * Memory::kKeys, key = first + 16 * kM * warp;
  const int tiles = (a.T - first + kStep - 1) / kStep;  // of a head's queries from `first` on

  shared.k.template copy<kBlock>(heads.of(a.k, g, a.wide), first);
  shared.v.template copy<kBlock>(heads.of(a.v, g, a.wide), first);
  const auto copy = [&](int i) {
    const int64_t h = g * a.group + i / tiles;
    const int query = first + i % tiles * kStep;
    shared.q[i % 2].template copy<kBlock>(heads.of(a.q, h, a.wide), query);
    shared.dout[i % 2].template copy<kBlock>(heads.of(a.dout, h, a.wide), query);
    copies_end();
    if (thread >= kStep) return;
    const bool there = query + thread < a.T;
    const int64_t at = h * a.N + heads.first_row + query + thread;
    shared.shifts[i % 2][thread] = there ? a.shifts[at] : INFINITY;
    shared.centres[i % 2][thread] = there ? a.centres[at] : 0.0f;
  };
  copy(0);
  Sums<kM, kD / 8> dk, dv;
  dk.clear();
  dv.clear();
  const float scale = a.scale * kLog2E;
  const int count = tiles * static_cast<int>(a.group);
  for (int i = 0; i < count; ++i) {
    copies_wait<0>();
    __syncthreads();
    if (i + 1 < count) copy(i + 1);
    auto &q = shared.q[i % 2], &dout = shared.dout[i % 2];
#pragma unroll 1
    for (int part = 0; part < kStep; part += kPart) {
      const int query = first + i % tiles * kStep + part;
      if (query + kPart - 1 < key) continue;  // before all of the warp's keys
      Sums<kM, kPart / 8> p, dp;
      multiply_rows<kD>(p, shared.k, 16 * kM * warp, q, part);
      multiply_rows<kD>(dp, shared.v, 16 * kM * warp, dout, part);
      const bool hides = query < key + 16 * kM - 1;
#pragma unroll
      for (int n = 0; n < kPart / 8; ++n) {
        const int column = part + 8 * n + lane % 4 * 2;
        const float2 shift = *reinterpret_cast<const float2*>(&shared.shifts[i % 2][column]);
        const float2 centre = *reinterpret_cast<const float2*>(&shared.centres[i % 2][column]);
#pragma unroll
        for (int m = 0; m < kM; ++m) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            float& weight = p.c[m][n][e];
            weight = power_of_2(fmaf(weight, scale, e % 2 == 0 ? -shift.x : -shift.y));
            const int late = key + 16 * m + 8 * (e / 2) + lane / 4;
            if (hides && late > query - part + column + e % 2) weight = 0;
            float& d = dp.c[m][n][e];
            d = weight * (d - (e % 2 == 0 ? centre.x : centre.y));
          }
        }
      }
      add_product<kD>(dv, p, dout, part);
      add_product<kD>(dk, dp, q, part);
    }
  }
  store_sums<kD, kM>(dk, heads.to(a.dk, g), a.dk.stride, key, a.T, a.D,
                     [&](int, int) { return a.scale; });
  store_sums<kD, kM>(dv, heads.to(a.dv, g), a.dv.stride, key, a.T, a.D,
                     [](int, int) { return 1.0f; });
}

// ---- Queries ----

template <int kD>
struct QueryShared {
  static constexpr int kM = kD <= 96 ? 2 : 1;
  static constexpr int kQueries = 16 * kM * kWarps;
  static constexpr int kStep = kD <= 64 ? 64 : 32;  // keys of a tile
  static constexpr int kPart = 32;                  // worked on at a time
  Tile<kQueries, kD> q, dout;
  Tile<kStep, kD> k[2], v[2];
};

template <int kD>
__global__ void __launch_bounds__(kBlock, 2) queries_kernel(Arguments a) {
  extern __shared__ __align__(16) unsigned char memory[];
  using Memory = QueryShared<kD>;
  auto& shared = *reinterpret_cast<Memory*>(memory);
  constexpr int kM = Memory::kM, kStep = Memory::kStep, kPart = Memory::kPart;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int64_t h = blockIdx.x % a.H, g = h / a.group;
  const SequenceHeads heads{blockIdx.x / a.H * a.T, a.T, a.D};
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * Memory::kQueries;
  const int row = first + 16 * kM * warp;
  const int tiles = (min(first + Memory::kQueries, a.T) + kStep - 1) / kStep;

  shared.q.template copy<kBlock>(heads.of(a.q, h, a.wide), first);
  shared.dout.template copy<kBlock>(heads.of(a.dout, h, a.wide), first);
  const auto copy = [&](int tile) {
    shared.k[tile % 2].template copy<kBlock>(heads.of(a.k, g, a.wide), tile * kStep);
    shared.v[tile % 2].template copy<kBlock>(heads.of(a.v, g, a.wide), tile * kStep);
    copies_end();
  };
  copy(0);
  float shift[kM][2], centre[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int position = row + 16 * m + 8 * half + lane / 4;
      const int64_t at = h * a.N + heads.first_row + position;
      shift[m][half] = position < a.T ? a.shifts[at] : INFINITY;
      centre[m][half] = position < a.T ? a.centres[at] : 0.0f;
    }
  }
  Sums<kM, kD / 8> dq;
  dq.clear();
  const float scale = a.scale * kLog2E;
  for (int tile = 0; tile < tiles; ++tile) {
    copies_wait<0>();
    __syncthreads();
    if (tile + 1 < tiles) copy(tile + 1);
    auto &k = shared.k[tile % 2], &v = shared.v[tile % 2];
#pragma unroll 1
    for (int part = 0; part < kStep; part += kPart) {
      const int key = tile * kStep + part;
      if (key > row + 16 * kM - 1) break;  // later than all of the warp's queries
      Sums<kM, kPart / 8> p, dp;
      multiply_rows<kD>(p, shared.q, 16 * kM * warp, k, part);
      multiply_rows<kD>(dp, shared.dout, 16 * kM * warp, v, part);
      const bool hides = key + kPart - 1 > row;
#pragma unroll
      for (int n = 0; n < kPart / 8; ++n) {
#pragma unroll
        for (int m = 0; m < kM; ++m) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            float weight = power_of_2(fmaf(p.c[m][n][e], scale, -shift[m][e / 2]));
            const int position = row + 16 * m + 8 * (e / 2) + lane / 4;
            if (hides && key + 8 * n + lane % 4 * 2 + e % 2 > position) weight = 0;
            float& d = dp.c[m][n][e];
            d = weight * (d - centre[m][e / 2]);
          }
        }
      }
      add_product<kD>(dq, dp, k, part);
    }
  }
  store_sums<kD, kM>(dq, heads.to(a.dq, h), a.dq.stride, row, a.T, a.D,
                     [&](int, int) { return a.scale; });
}

template <class Memory, class Kernel>
void launch(StreamHandle stream, Kernel kernel, int64_t heads, int64_t blocks, const Arguments& a) {
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(sizeof(Memory))));
  const dim3 grid(static_cast<unsigned>(heads), static_cast<unsigned>(blocks));
  kernel<<<grid, kBlock, sizeof(Memory), stream>>>(a);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace

void attention_centres(StreamHandle stream, const AttentionRun& run,
                       const AttentionGradients& gradients) {
  const int64_t N = run.batch.sequences * run.batch.length, H = run.shape.H;
  centres_kernel<<<static_cast<unsigned>((N * H + kThreads / 32 - 1) / (kThreads / 32)), kThreads,
                   0, stream>>>(gradients.out, gradients.dout, gradients.log_sums, N, H,
                                static_cast<int>(run.shape.D), gradients.centres, gradients.shifts);
  TRIT_CUDA_LAUNCHED();
}

void attention_backward_mma(StreamHandle stream, const AttentionRun& run,
                            const AttentionGradients& gradients) {
  const HeadShape& shape = run.shape;
  Arguments a{};
  a.q = run.q, a.k = run.k, a.v = run.v, a.dout = gradients.dout;
  a.dq = gradients.dq, a.dk = gradients.dk, a.dv = gradients.dv;
  a.N = run.batch.sequences * run.batch.length;
  a.H = shape.H, a.G = shape.G, a.group = shape.H / shape.G;
  a.T = static_cast<int>(run.batch.length), a.D = static_cast<int>(shape.D);
  a.scale = 1.0f / std::sqrt(static_cast<float>(shape.D));
  a.wide = wide_rows(shape, {run.q, run.k, run.v, gradients.dout});
  a.shifts = gradients.shifts, a.centres = gradients.centres;
  const int64_t B = run.batch.sequences;
  with_dims(shape.D, [&](auto dims) {
    constexpr int kD = decltype(dims)::value;
    launch<KeyShared<kD>>(stream, keys_kernel<kD>, B * a.G,
                          (a.T + KeyShared<kD>::kKeys - 1) / KeyShared<kD>::kKeys, a);
    launch<QueryShared<kD>>(stream, queries_kernel<kD>, B * a.H,
                            (a.T + QueryShared<kD>::kQueries - 1) / QueryShared<kD>::kQueries, a);
  });
}

}  // namespace trit::cuda
