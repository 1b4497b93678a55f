// training_attention_backward.cu on Hopper. While a group makes weights of a tile's scores, its products of the tile before
// run on, and the other group's.

#include <algorithm>
#include <cmath>

#include "kernels/cuda/chain.h"
#include "kernels/cuda/training_hopper.h"

namespace trit::cuda {
namespace {

using namespace training;

struct Arguments {
  Rows dq, dk, dv;
  const float *shifts, *centres, *cosine, *sine;
  int64_t N, H, G, group;
  int T, key_items, query_items;  // items: 128 keys or queries of a head
  float scale;
};
struct Maps {
  CUtensorMap q, k, v, dout;
};

// A group that waits for a tile may hold the one before and have skipped one between them: three places at least.
template <int kD>
struct Shared {
  static constexpr int kStages = kD == 64 ? 4 : 3, kOwnPlaces = kD == 64 ? 2 : 1;
  Own<kD, 2, kOwnPlaces> own;
  Ring<kD, kTileRows, kStages> ring;
  float shifts[kStages][kTileRows], centres[kStages][kTileRows];  // of the queries in the ring
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int kD, int kPlaces>
__device__ void fetch_own(Own<kD, 2, kPlaces>& own, int j, const CUtensorMap& first,
                          const CUtensorMap& second, int64_t column, int64_t row) {
  uint64_t* full = own.fill(j, 2 * kGroups * SwizzledTile<kD>::kBytes);
  for (int g = 0; g < kGroups; ++g) {
    copy_tile(own.rows[own.place(j)][0][g], first, column, row + g * kTileRows, full);
    copy_tile(own.rows[own.place(j)][1][g], second, column, row + g * kTileRows, full);
  }
}

// Rows are keys, columns queries: the tiles of all query heads from the first key on, one after the other.
struct KeyItem {
  int64_t g, first_row;  // of the sequence
  int first, tiles;      // key; tiles of a head's queries
  int count;             // of all heads that read this one
  __device__ KeyItem(const Arguments& a, int i) {
    const auto heads = static_cast<int>(a.N / a.T * a.G);
    g = i % heads % a.G;
    first_row = i % heads / a.G * a.T;
    first = i / heads * kRowsOfBlock;
    tiles = (a.T - first) / kTileRows;
    count = tiles * static_cast<int>(a.group);
  }
  __device__ int query(int n) const { return first + n % tiles * kTileRows; }
  __device__ int64_t head(const Arguments& a, int n) const { return g * a.group + n / tiles; }
};

template <int kD>
__device__ void fetch_for_keys(const Arguments& a, const Maps& maps, Shared<kD>& shared) {
  auto& ring = shared.ring;
  int begun = 0;  // tiles of the items before
  for (int j = 0, i = item_of(0); i < a.key_items; i = item_of(++j)) {
    const KeyItem item(a, i);
    fetch_own(shared.own, j, maps.k, maps.v, item.g * kD, item.first_row + item.first);
    for (int n = 0; n < item.count; ++n) {
      uint64_t* full = ring.fill(begun + n, ring.kBytes + 2 * kTileRows * 4);
      const int p = ring.place(begun + n);
      const int64_t h = item.head(a, n), row = item.first_row + item.query(n);
      copy_tile(ring.first[p], maps.q, h * kD, row, full);
      copy_tile(ring.second[p], maps.dout, h * kD, row, full);
      copy_numbers(shared.shifts[p], a.shifts + h * a.N + row, full);
      copy_numbers(shared.centres[p], a.centres + h * a.N + row, full);
    }
    begun += item.count;
  }
}

template <int kD>
__device__ void multiply_for_keys(const Arguments& a, Shared<kD>& shared, int which) {
  auto& own = shared.own;
  auto& ring = shared.ring;
  const int lane = static_cast<int>(threadIdx.x) % 32,
            warp = static_cast<int>(threadIdx.x) / 32 % 4;
  const float scale = a.scale * kLog2E;
  int begun = 0;
  for (int j = 0, i = item_of(0); i < a.key_items; i = item_of(++j)) {
    const KeyItem item(a, i);
    const int key = item.first + which * kTileRows;
    // The next tile from n on with queries at or after the keys; others are given back.
    const auto next = [&](int n) {
      for (; n < item.count; ++n) {
        ring.wait(begun + n);
        if (item.query(n) >= key && key < a.T) break;
        ring.freed(begun + n);
      }
      return n;
    };
    own.wait(j);
    LeftRows<kD> k, v;
    k.take(own.rows[own.place(j)][0][which]);
    v.take(own.rows[own.place(j)][1][which]);
    if (k.kHeld) own.freed(j);
    float dk[kD / 2] = {}, dv[kD / 2] = {}, s[32], d[32];
    Packed<kTileRows> weights, gradients;
    const auto begin = [&](int n) {
      const int p = ring.place(begun + n);
      k.multiply(s, ring.first[p]);
      v.multiply(d, ring.second[p]);
    };
    const auto add = [&](int n) {
      const int p = ring.place(begun + n);
      weights.template add_product<kD>(dv, ring.second[p]);
      gradients.template add_product<kD>(dk, ring.first[p]);
    };
    const auto weigh = [&](int n) {
      hopper::pin(s);
      const float* shifts = shared.shifts[ring.place(begun + n)];
      const bool hides = item.query(n) == key;
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        const int column = 8 * c + lane % 4 * 2;
        const float2 shift = *reinterpret_cast<const float2*>(shifts + column);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          float& w = s[4 * c + e];
          w = power_of_2(fmaf(w, scale, e % 2 == 0 ? -shift.x : -shift.y));
          if (hides && 16 * warp + lane / 4 + 8 * (e / 2) > column + e % 2) w = 0;
        }
      }
    };
    const auto differ = [&](int n) {
      hopper::pin(d);
      const float* centres = shared.centres[ring.place(begun + n)];
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        const float2 centre = *reinterpret_cast<const float2*>(centres + 8 * c + lane % 4 * 2);
#pragma unroll
        for (int e = 0; e < 4; ++e)
          d[4 * c + e] = s[4 * c + e] * (d[4 * c + e] - (e % 2 == 0 ? centre.x : centre.y));
      }
    };
    int n = next(0);
    if (n < item.count) {
      begin(n);
      hopper::products_wait<1>();
      weigh(n);
      hopper::products_wait<0>();
      differ(n);
      weights.take(s);
      gradients.take(d);
      for (int after = next(n + 1); after < item.count; after = next(n + 1)) {
        begin(after);
        add(n);
        hopper::products_wait<3>();
        weigh(after);
        hopper::products_wait<2>();
        differ(after);
        hopper::products_wait<0>();
        hopper::pin(dv);
        hopper::pin(dk);
        ring.freed(begun + n);
        weights.take(s);
        gradients.take(d);
        n = after;
      }
      add(n);
      hopper::products_wait<0>();
      hopper::pin(dv);
      hopper::pin(dk);
      ring.freed(begun + n);
    }
    if (!k.kHeld) own.freed(j);
    begun += item.count;
    if (key >= a.T) continue;  // the sequence ended before this group's rows
    const SequenceHeads heads{item.first_row, a.T, kD};
    turn_back<kD>(dk, key, a.cosine, a.sine);
    store_group<kD>(dk, heads.to(a.dk, item.g), a.dk.stride, key, [&](int) { return a.scale; });
    store_group<kD>(dv, heads.to(a.dv, item.g), a.dv.stride, key, [](int) { return 1.0f; });
  }
}

struct QueryItem {
  int64_t h, first_row;
  int first, tiles;  // query; tiles of keys up to the block's last query
  __device__ QueryItem(const Arguments& a, int i) {
    const auto heads = static_cast<int>(a.N / a.T * a.H);
    h = i % heads % a.H;
    first_row = i % heads / a.H * a.T;
    first = (a.query_items / heads - 1 - i / heads) * kRowsOfBlock;
    tiles = min(first + kRowsOfBlock, a.T) / kTileRows;
  }
};

template <int kD>
__device__ void fetch_for_queries(const Arguments& a, const Maps& maps, Shared<kD>& shared) {
  auto& ring = shared.ring;
  int n = 0;  // tiles so far
  for (int j = 0, i = item_of(0); i < a.query_items; i = item_of(++j)) {
    const QueryItem item(a, i);
    fetch_own(shared.own, j, maps.q, maps.dout, item.h * kD, item.first_row + item.first);
    const int64_t column = item.h / a.group * kD;
    for (int tile = 0; tile < item.tiles; ++tile, ++n) {
      uint64_t* full = ring.fill(n, ring.kBytes);
      const int64_t row = item.first_row + tile * kTileRows;
      copy_tile(ring.first[ring.place(n)], maps.k, column, row, full);
      copy_tile(ring.second[ring.place(n)], maps.v, column, row, full);
    }
  }
}

template <int kD>
__device__ void multiply_for_queries(const Arguments& a, Shared<kD>& shared, int which) {
  auto& own = shared.own;
  auto& ring = shared.ring;
  const int lane = static_cast<int>(threadIdx.x) % 32,
            warp = static_cast<int>(threadIdx.x) / 32 % 4;
  const float scale = a.scale * kLog2E;
  int begun = 0;  // tiles of the items before
  for (int j = 0, i = item_of(0); i < a.query_items; i = item_of(++j)) {
    const QueryItem item(a, i);
    const int query = item.first + which * kTileRows;
    // Tiles of keys up to the group's own, or, past the sequence, one that comes to nothing; the rest is the other group's.
    const bool there = query < a.T;
    const int count = there ? query / kTileRows + 1 : 1;
    own.wait(j);
    LeftRows<kD> q, dout;
    q.take(own.rows[own.place(j)][0][which]);
    dout.take(own.rows[own.place(j)][1][which]);
    if (q.kHeld) own.freed(j);
    float dq[kD / 2] = {}, s[32], d[32], shift[2] = {}, centre[2] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t at = item.h * a.N + item.first_row + query + 16 * warp + lane / 4 + 8 * half;
      if (there) shift[half] = a.shifts[at], centre[half] = a.centres[at];
    }
    Packed<kTileRows> gradients;
    const auto begin = [&](int n) {
      ring.wait(begun + n);
      q.multiply(s, ring.first[ring.place(begun + n)]);
      dout.multiply(d, ring.second[ring.place(begun + n)]);
    };
    const auto add = [&](int n) {
      gradients.template add_product<kD>(dq, ring.first[ring.place(begun + n)]);
    };
    const auto weigh = [&](int n) {
      hopper::pin(s);
#pragma unroll
      for (int e = 0; e < 32; ++e) {
        const int half = e / 2 % 2;
        s[e] = power_of_2(fmaf(s[e], scale, -shift[half]));
        if (n == count - 1 && 8 * (e / 4) + lane % 4 * 2 + e % 2 > 16 * warp + lane / 4 + 8 * half)
          s[e] = 0;
      }
    };
    const auto differ = [&] {
      hopper::pin(d);
#pragma unroll
      for (int e = 0; e < 32; ++e) d[e] = s[e] * (d[e] - centre[e / 2 % 2]);
    };
    begin(0);
    hopper::products_wait<1>();
    weigh(0);
    hopper::products_wait<0>();
    differ();
    gradients.take(d);
    for (int n = 1; n < count; ++n) {
      begin(n);
      add(n - 1);
      hopper::products_wait<2>();
      weigh(n);
      hopper::products_wait<1>();
      differ();
      hopper::products_wait<0>();
      hopper::pin(dq);
      ring.freed(begun + n - 1);
      gradients.take(d);
    }
    add(count - 1);
    hopper::products_wait<0>();
    hopper::pin(dq);
    if (!q.kHeld) own.freed(j);
    ring.freed(begun + count - 1);
    for (int n = count; n < item.tiles; ++n) {
      ring.wait(begun + n);
      ring.freed(begun + n);
    }
    begun += item.tiles;
    if (!there) continue;
    const SequenceHeads heads{item.first_row, a.T, kD};
    turn_back<kD>(dq, query, a.cosine, a.sine);
    store_group<kD>(dq, heads.to(a.dq, item.h), a.dq.stride, query, [&](int) { return a.scale; });
  }
}

#endif

template <int kD, bool kKeys>
__global__ void __launch_bounds__(kHopperThreads, 1)
    backward_kernel(Arguments a, const __grid_constant__ Maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kD>*>(memory);
  if (threadIdx.x == 0) {
    shared.own.init();
    shared.ring.init();
    hopper::barrier_init_done();
  }
  __syncthreads();
  if constexpr (kKeys)
    divide_groups([&] { fetch_for_keys(a, maps, shared); },
                  [&](int which) { multiply_for_keys(a, shared, which); });
  else
    divide_groups([&] { fetch_for_queries(a, maps, shared); },
                  [&](int which) { multiply_for_queries(a, shared, which); });
#endif
}

template <int kD, bool kKeys>
void launch(StreamHandle stream, const Arguments& a, const Maps& maps) {
  const auto kernel = backward_kernel<kD, kKeys>;
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(sizeof(Shared<kD>))));
  const int blocks = std::min(kKeys ? a.key_items : a.query_items, device_limits().multiprocessors);
  kernel<<<static_cast<unsigned>(blocks), kHopperThreads, sizeof(Shared<kD>), stream>>>(a, maps);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace

void attention_backward_sm90(StreamHandle stream, const AttentionRun& run,
                             const AttentionGradients& gradients) {
  const HeadShape& shape = run.shape;
  Arguments a{};
  a.dq = gradients.dq, a.dk = gradients.dk, a.dv = gradients.dv;
  a.N = run.batch.sequences * run.batch.length;
  a.shifts = gradients.shifts, a.centres = gradients.centres;
  a.cosine = gradients.turn.cosine, a.sine = gradients.turn.sine;
  a.H = shape.H, a.G = shape.G, a.group = shape.H / shape.G;
  a.T = static_cast<int>(run.batch.length);
  a.scale = 1.0f / std::sqrt(static_cast<float>(shape.D));
  const Maps maps{heads_map(run.q, shape.H, shape.D, a.N), heads_map(run.k, shape.G, shape.D, a.N),
                  heads_map(run.v, shape.G, shape.D, a.N),
                  heads_map(gradients.dout, shape.H, shape.D, a.N)};
  const int64_t blocks = run.batch.sequences * ((a.T + kRowsOfBlock - 1) / kRowsOfBlock);
  a.key_items = static_cast<int>(blocks * a.G), a.query_items = static_cast<int>(blocks * a.H);
  if (shape.D == 64) {
    launch<64, true>(stream, a, maps);
    launch<64, false>(stream, a, maps);
  } else {
    launch<128, true>(stream, a, maps);
    launch<128, false>(stream, a, maps);
  }
}

}  // namespace trit::cuda
