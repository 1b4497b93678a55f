// training_attention_mma.cu on Hopper: while a group makes weights of a tile's scores, its sums of the tile before run on, and
// the other group's products.

#include <algorithm>
#include <cmath>

#include "kernels/cuda/chain.h"
#include "kernels/cuda/training_hopper.h"

namespace trit::cuda {
namespace {

using namespace training;

struct Arguments {
  Rows out;
  float* log_sums;
  int64_t N, H, group;
  int T, items;  // items: 128 queries of a head
  float scale;
};
struct Maps {
  CUtensorMap q, k, v;
};
constexpr int kKeys = 128;  // of a tile; those past the sequence are hidden with the later ones

template <int kD>
struct Shared {
  Own<kD, 1, 2> own;
  Ring<kD, kKeys, kD == 64 ? 4 : 2> ring;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct Item {
  int64_t h, first_row;
  int first, tiles;  // query; tiles of keys up to the block's last query
  __device__ Item(const Arguments& a, int i) {
    const auto heads = static_cast<int>(a.N / a.T * a.H);
    h = i % heads % a.H;
    first_row = i % heads / a.H * a.T;
    first = (a.items / heads - 1 - i / heads) * kRowsOfBlock;
    tiles = (min(first + kRowsOfBlock, a.T) + kKeys - 1) / kKeys;
  }
};

template <int kD>
__device__ void fetch(const Arguments& a, const Maps& maps, Shared<kD>& shared) {
  auto& own = shared.own;
  auto& ring = shared.ring;
  int n = 0;  // tiles so far
  for (int j = 0, i = item_of(0); i < a.items; i = item_of(++j)) {
    const Item item(a, i);
    uint64_t* full = own.fill(j, kGroups * SwizzledTile<kD>::kBytes);
    for (int g = 0; g < kGroups; ++g)
      copy_tile(own.rows[j % 2][0][g], maps.q, item.h * kD,
                item.first_row + item.first + g * kTileRows, full);
    const int64_t column = item.h / a.group * kD;
    for (int tile = 0; tile < item.tiles; ++tile, ++n) {
      full = ring.fill(n, ring.kBytes);
      copy_tile(ring.first[ring.place(n)], maps.k, column, item.first_row + tile * kKeys, full);
      copy_tile(ring.second[ring.place(n)], maps.v, column, item.first_row + tile * kKeys, full);
    }
  }
}

// Of a group's 64 rows a thread has two (halves), 16 warp + lane / 4 and 8 below.
struct Softmax {
  float most[2] = {-INFINITY, -INFINITY}, sum[2] = {}, keep[2];

  // Scores become weights; keep: what the sums so far count for.
  __device__ void weigh(float (&s)[kKeys / 2], float scale) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float high = most[half];
#pragma unroll
      for (int j = 0; j < kKeys / 4; ++j) high = fmaxf(high, s[at(half, j)]);
      high = fmaxf(high, __shfl_xor_sync(~0U, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0U, high, 2));  // finite: all rows see position 0
      const float shift = high * scale;
      keep[half] = power_of_2(fmaf(most[half], scale, -shift));
      most[half] = high;
      float all = 0;
#pragma unroll
      for (int j = 0; j < kKeys / 4; ++j) {
        float& x = s[at(half, j)];
        x = power_of_2(fmaf(x, scale, -shift));
        all += x;
      }
      sum[half] = fmaf(sum[half], keep[half], all);
    }
  }
  __device__ static constexpr int at(int half, int j) { return j / 2 * 4 + 2 * half + j % 2; }
};

template <int kD>
__device__ void multiply(const Arguments& a, Shared<kD>& shared, int which) {
  auto& own = shared.own;
  auto& ring = shared.ring;
  const int lane = static_cast<int>(threadIdx.x) % 32,
            warp = static_cast<int>(threadIdx.x) / 32 % 4;
  const int row = 16 * warp + lane / 4;
  const float scale = a.scale * kLog2E;
  int begun = 0;  // tiles of the items before
  for (int j = 0, i = item_of(0); i < a.items; i = item_of(++j)) {
    const Item item(a, i);
    const int query = item.first + which * kTileRows;
    own.wait(j);
    LeftRows<kD> q;
    q.take(own.rows[j % 2][0][which]);
    if (q.kHeld) own.freed(j);
    float out[kD / 2] = {}, s[kKeys / 2];
    Softmax softmax;
    Packed<kKeys> weights;
    const auto begin = [&](int n) {
      ring.wait(begun + n);
      q.multiply(s, ring.first[ring.place(begun + n)]);
    };
    const auto weigh = [&](int n) {
      hopper::pin(s);
      const int ahead = query + row - n * kKeys;  // how far positions are seen in this tile
      if (ahead < kKeys - 1) {
#pragma unroll
        for (int e = 0; e < kKeys / 2; ++e)
          if (8 * (e / 4) + lane % 4 * 2 + e % 2 > ahead + e / 2 % 2 * 8) s[e] = -INFINITY;
      }
      softmax.weigh(s, scale);
    };
    const auto add = [&](int n) {
      weights.template add_product<kD>(out, ring.second[ring.place(begun + n)]);
    };
    begin(0);
    hopper::products_wait<0>();
    weigh(0);
    weights.take(s);
    for (int n = 1; n < item.tiles; ++n) {
      begin(n);
      add(n - 1);
      hopper::products_wait<1>();
      weigh(n);
      hopper::products_wait<0>();
      hopper::pin(out);
      ring.freed(begun + n - 1);
#pragma unroll
      for (int e = 0; e < kD / 2; ++e) out[e] *= softmax.keep[e / 2 % 2];
      weights.take(s);
    }
    add(item.tiles - 1);
    hopper::products_wait<0>();
    hopper::pin(out);
    if (!q.kHeld) own.freed(j);
    begun += item.tiles;
    ring.freed(begun - 1);
    if (query >= a.T) continue;  // the sequence ended before this group's rows
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float all = softmax.sum[half];
      all += __shfl_xor_sync(~0U, all, 1);
      all += __shfl_xor_sync(~0U, all, 2);
      inverse[half] = 1.0f / all;
      if (lane % 4 == 0)
        a.log_sums[item.h * a.N + item.first_row + query + row + 8 * half] =
            softmax.most[half] * a.scale + logf(all);
    }
    const SequenceHeads heads{item.first_row, a.T, kD};
    store_group<kD>(out, heads.to(a.out, item.h), a.out.stride, query,
                    [&](int half) { return inverse[half]; });
  }
}

#endif

template <int kD>
__global__ void __launch_bounds__(kHopperThreads, 1)
    forward_kernel(Arguments a, const __grid_constant__ Maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kD>*>(memory);
  if (threadIdx.x == 0) {
    shared.own.init();
    shared.ring.init();
    hopper::barrier_init_done();
  }
  __syncthreads();
  divide_groups([&] { fetch(a, maps, shared); }, [&](int which) { multiply(a, shared, which); });
#endif
}

template <int kD>
void launch(StreamHandle stream, const Arguments& a, const Maps& maps) {
  TRIT_CUDA(cudaFuncSetAttribute(forward_kernel<kD>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(sizeof(Shared<kD>))));
  const int blocks = std::min(a.items, device_limits().multiprocessors);
  forward_kernel<kD>
      <<<static_cast<unsigned>(blocks), kHopperThreads, sizeof(Shared<kD>), stream>>>(a, maps);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace

bool attention_takes_sm90(const HeadShape& shape, const SequenceBatch& batch,
                          std::initializer_list<ConstRows> rows) {
  int device = 0, major = 0;
  TRIT_CUDA(cudaGetDevice(&device));
  TRIT_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  return major == 9 && (shape.D == 64 || shape.D == 128) && batch.length % kTileRows == 0 &&
         attention_takes(shape, rows) && wide_rows(shape, rows);
}

void attention_sm90(StreamHandle stream, const AttentionRun& run, Rows out, float* log_sums) {
  const HeadShape& shape = run.shape;
  const int64_t N = run.batch.sequences * run.batch.length;
  Arguments a{};
  a.out = out, a.log_sums = log_sums, a.N = N;
  a.H = shape.H, a.group = shape.H / shape.G, a.T = static_cast<int>(run.batch.length);
  a.items = static_cast<int>(run.batch.sequences * shape.H *
                             ((run.batch.length + kRowsOfBlock - 1) / kRowsOfBlock));
  a.scale = 1.0f / std::sqrt(static_cast<float>(shape.D));
  const Maps maps{heads_map(run.q, shape.H, shape.D, N), heads_map(run.k, shape.G, shape.D, N),
                  heads_map(run.v, shape.G, shape.D, N)};
  if (shape.D == 64)
    launch<64>(stream, a, maps);
  else
    launch<128>(stream, a, maps);
}

}  // namespace trit::cuda
