#include "kernels/cuda/linear_small.h"

#include <type_traits>

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/linear_rows.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace small {
namespace {

constexpr int kRowPad = 16;  // bytes between rows of x, so that 8 rows lie on different banks

struct Args {
  const uint4* tiles;
  const float* scales;
  int all_blocks;  // of 128 inputs
  int blocks;      // of which a thread block takes so many
  int units;       // tiles, or pairs of them
  int pair;        // tiles of a unit: 1 or 2
  int T;
  Epilogue epilogue;
  QuantizedRows x;
  float* y;
  int64_t y_stride;
};

__device__ inline uint4 load_once(const uint4* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

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

// Thread blocks that divide the inputs of a tile among them (a cluster, compute capability 9.0): their rank, a barrier, and
// stores into the shared memory of the first.
__device__ inline int cluster_rank() {
  uint32_t rank = 0;
#if __CUDA_ARCH__ >= 900
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return static_cast<int>(rank);
}
__device__ inline void cluster_barrier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive;\nbarrier.cluster.wait;" ::: "memory");
#endif
}
__device__ inline void store_to_first(int* here, int v) {
#if __CUDA_ARCH__ >= 900
  const uint32_t mine = static_cast<uint32_t>(__cvta_generic_to_shared(here));
  uint32_t there = 0;
  asm volatile("mapa.shared::cluster.u32 %0, %1, 0;" : "=r"(there) : "r"(mine));
  asm volatile("st.shared::cluster.s32 [%0], %1;" ::"r"(there), "r"(v) : "memory");
#endif
}

// One value of y: its row of the tile, its token, and what it needs of elsewhere, fetched early.
struct Value {
  float scale[2] = {1.0f, 1.0f};
  float old = 0;

  __device__ void fetch_scales(const Args& a, int unit) {
    if (unit >= a.units) return;
    scale[0] = a.scales[unit * a.pair];
    if (a.pair == 2) scale[1] = a.scales[unit * 2 + 1];
  }
  __device__ void fetch_old(const Args& a, int unit, int row, int token) {
    if (unit < a.units && a.epilogue == Epilogue::kAdd) old = *at(a, unit, row, token);
  }
  __device__ static float* at(const Args& a, int unit, int row, int token) {
    return a.y + token * a.y_stride + int64_t{unit} * 16 + row;
  }
  // sums: of codes, of the tile or the two tiles.
  __device__ void finish(const Args& a, int unit, int row, int token, const int (&sums)[2],
                         double step, int sum) const {
    const float v = scaled(sums[0] - sum, __dmul_rn(step, scale[0]));
    float* to = at(a, unit, row, token);
    if (a.pair == 1) {
      *to = a.epilogue == Epilogue::kAdd ? __fadd_rn(old, v) : v;
      return;
    }
    const float up = scaled(sums[1] - sum, __dmul_rn(step, scale[1]));
    *to = a.epilogue == Epilogue::kSiluMul ? silu_mul(v, up) : relu2_mul(v, up);
  }
};

// Rows as quantize_rows left them, to shared memory.
struct Stored {
  template <int W>
  __device__ static void stage(const Args& a, const Stored&, int first, int blocks, int8_t* x,
                               int pitch, double* step, int* sum) {
    // Several loads at a time, through L1: the blocks of a multiprocessor read the same, and all of the grid at once.
    constexpr int kAtOnce = 4;
    const int vectors = blocks * 8, all = a.T * vectors;
    for (int i = static_cast<int>(threadIdx.x); i < all; i += kAtOnce * 32 * W) {
      uint4 v[kAtOnce];
      int8_t* to[kAtOnce];
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        const int k = i + j * 32 * W, t = a.T == 1 ? 0 : k / vectors, at = 16 * (k - t * vectors);
        to[j] = x + t * pitch + at;
        if (k < all)
          v[j] = *reinterpret_cast<const uint4*>(a.x.q + t * a.x.q_stride + first * 128 + at);
      }
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j)
        if (i + j * 32 * W < all) *reinterpret_cast<uint4*>(to[j]) = v[j];
    }
    if (static_cast<int>(threadIdx.x) < a.T) {
      step[threadIdx.x] = a.x.step[threadIdx.x];
      sum[threadIdx.x] = a.x.sum[threadIdx.x];
    }
    __syncthreads();
  }
};

// Rows of floats, quantised by every block for itself.
template <int kStrips>
struct Fresh {
  FloatRows in;
  int K;
  bool vectors;

  template <int W>
  __device__ static void stage(const Args& a, const Fresh& f, int, int, int8_t* x, int pitch,
                               double* step, int* sum) {
    __shared__ rows::Exchange exchange[2];
    rows::Row<W, kStrips> row;
    for (int t = 0; t < a.T; ++t) {
      rows::Exchange& here = exchange[t % 2];
      row.load(f.in.x + t * f.in.stride, f.K, f.vectors);
      if (f.in.outer.there) row.normalise(f.in.outer, here.squares[0]);
      if (f.in.inner.there) row.normalise(f.in.inner, here.squares[1]);
      const int32_t largest = row.largest(here.largest);
      const int32_t part =
          __reduce_add_sync(~0U, row.quantise(largest, x + t * pitch, a.blocks * 128));
      if (row.lane == 0) here.sums[row.warp] = part;
      __syncthreads();
      if (row.warp == 0) {
        const int32_t all = __reduce_add_sync(~0U, row.lane < W ? here.sums[row.lane] : 0);
        if (row.lane == 0) {
          sum[t] = all;
          step[t] = rows::step_of(largest);
          if (f.in.not_finite != nullptr && !rows::finite(largest)) *f.in.not_finite = 1;
        }
      }
    }
    __syncthreads();
  }
};

template <int W, int kDepth>
constexpr int blocks_per_multiprocessor() {
  return (kDepth <= 4 ? 32 : 24) / W;
}

template <class Rows, int W, int kDepth, bool kCluster>
__global__ void __launch_bounds__(32 * W, blocks_per_multiprocessor<W, kDepth>())
    multiply_kernel(Args a, Rows in) {
  extern __shared__ __align__(16) int8_t x[];
  __shared__ double step[kSmallRows];
  __shared__ int sum[kSmallRows];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int pitch = a.blocks * 128 + kRowPad;
  int* parts = reinterpret_cast<int*>(x + a.T * pitch);  // [2][W][T][16]
  uint4 w[kDepth];

  // A cluster's thread blocks divide the tile's inputs.
  const int ranks = kCluster ? a.all_blocks / a.blocks + (a.all_blocks % a.blocks != 0) : 1;
  const int rank = kCluster ? cluster_rank() : 0, begin = rank * a.blocks;
  const int blocks = kCluster ? min(a.blocks, a.all_blocks - begin) : a.blocks;
  int* incoming = parts + 2 * W * a.T * 16;  // [2][ranks - 1][2][T][16]

  // The warps that share a tile take its blocks in turn, kDepth of them at a time.
  const int sharers = W / a.pair, tile = warp / sharers, first = warp % sharers;
  const int chunks = (blocks + sharers * kDepth - 1) / (sharers * kDepth);
  const uint4* from = a.tiles + (int64_t{tile} * a.all_blocks + begin) * 32 + lane;
  const auto fetch = [&](int unit, int block) {
    if (unit < a.units && block < blocks)
      return load_once(from + (int64_t{unit} * a.pair * a.all_blocks + block) * 32);
    return uint4{};
  };

  const int at_once = static_cast<int>(gridDim.x) / ranks;
  int unit = static_cast<int>(blockIdx.x) / ranks;
#pragma unroll
  for (int i = 0; i < kDepth; ++i) w[i] = fetch(unit, first + i * sharers);
  const bool finishes = static_cast<int>(threadIdx.x) < 16 * a.T;
  const int row = static_cast<int>(threadIdx.x) % 16, token = static_cast<int>(threadIdx.x) / 16;
  Value value;
  if (finishes) value.fetch_scales(a, unit);

  wait_for_previous();
  let_next_start();  // not earlier: one grid ahead is enough
  Rows::template stage<W>(a, in, begin, blocks, x, pitch, step, sum);
  if constexpr (kCluster) cluster_barrier();  // all have begun
  const uint32_t my_x = static_cast<uint32_t>(__cvta_generic_to_shared(x)) +
                        static_cast<uint32_t>(min(lane % 8, a.T - 1) * pitch + lane / 8 * 16);
  Sums sums;
  for (int odd = 0; unit < a.units; odd ^= 1) {
    if (finishes) value.fetch_old(a, unit, row, token);
    const int next_unit = unit + at_once;
    for (int c = 0; c < chunks; ++c) {
      const bool last = c + 1 == chunks;
      const int this_block = first + c * kDepth * sharers;
      const int next_block = last ? first : this_block + kDepth * sharers;
#pragma unroll
      for (int i = 0; i < kDepth; ++i) {
        const int block = this_block + i * sharers;
        if (block < blocks) sums.add(w[i], my_x + static_cast<uint32_t>(block * 128));
        w[i] = fetch(last ? next_unit : unit, next_block + i * sharers);
      }
    }
    int* mine = parts + (odd * W + warp) * a.T * 16;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int t = 2 * (lane % 4) + i % 2, v = sums.take(i);
      if (t < a.T) mine[t * 16 + lane / 4 + i / 2 * 8] = v;
    }
    __syncthreads();
    int all[2] = {0, 0};
    if (finishes) {
      const int* part = parts + odd * W * a.T * 16 + threadIdx.x;
#pragma unroll
      for (int k = 0; k < W; ++k) all[2 * k / W] += part[k * a.T * 16];
      if (a.pair == 1) all[0] += all[1];
    }
    if constexpr (kCluster) {
      int* slot = incoming + odd * (ranks - 1) * 2 * a.T * 16 + threadIdx.x;
      if (finishes && rank > 0) {
        store_to_first(slot + (rank - 1) * 2 * a.T * 16, all[0]);
        store_to_first(slot + ((rank - 1) * 2 + 1) * a.T * 16, all[1]);
      }
      cluster_barrier();
      if (finishes && rank == 0) {
        for (int r = 0; r < ranks - 1; ++r) {
          all[0] += slot[r * 2 * a.T * 16];
          all[1] += slot[(r * 2 + 1) * a.T * 16];
        }
      }
    }
    if (finishes && rank == 0) {
      value.finish(a, unit, row, token, all, step[token], sum[token]);
      value.fetch_scales(a, next_unit);
    }
    unit = next_unit;
  }
}

template <class Rows, int W, int kDepth, bool kCluster>
void launch_as(StreamHandle stream, const Args& a, const Rows& in, const Cut& cut, int64_t bytes) {
  const auto kernel = multiply_kernel<Rows, W, kDepth, kCluster>;
  if (bytes > 48 * 1024)
    TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(bytes)));
  if constexpr (!kCluster) {
    launch_chained(stream, static_cast<unsigned>(cut.blocks), 32 * W, static_cast<size_t>(bytes),
                   kernel, a, in);
  } else {
    cudaLaunchAttribute attributes[2]{};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim.x = static_cast<unsigned>(cut.ranks);
    attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = static_cast<unsigned>(cut.blocks * cut.ranks);
    config.blockDim = 32 * W;
    config.dynamicSmemBytes = static_cast<size_t>(bytes);
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = 2;
    TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                   cudaSharedmemCarveoutMaxShared));  // as launch_chained asks
    TRIT_CUDA(cudaLaunchKernelEx(&config, kernel, a, in));
  }
}
template <class Rows, int W, int kDepth>
void launch(StreamHandle stream, const Args& a, const Rows& in, const Cut& cut, int64_t bytes) {
  if constexpr (std::is_same_v<Rows, Stored> && W == 16 && kDepth == 8)
    if (cut.ranks > 1) return launch_as<Rows, W, kDepth, true>(stream, a, in, cut, bytes);
  launch_as<Rows, W, kDepth, false>(stream, a, in, cut, bytes);
}

template <class Rows>
void dispatch(StreamHandle stream, const Args& a, const Rows& in, const Cut& cut, int64_t bytes) {
  using std::integral_constant;
  const auto depths = [&]<int W>(integral_constant<int, W>) {
    switch (cut.depth) {
      case 1:
        return launch<Rows, W, 1>(stream, a, in, cut, bytes);
      case 2:
        return launch<Rows, W, 2>(stream, a, in, cut, bytes);
      case 3:
        return launch<Rows, W, 3>(stream, a, in, cut, bytes);
      case 4:
        return launch<Rows, W, 4>(stream, a, in, cut, bytes);
      case 6:
        return launch<Rows, W, 6>(stream, a, in, cut, bytes);
      case 8:
        return launch<Rows, W, 8>(stream, a, in, cut, bytes);
    }
    TRIT_CUDA(cudaErrorInvalidValue);
  };
  if (cut.warps == 8) return depths(integral_constant<int, 8>{});
  return depths(integral_constant<int, 16>{});
}

Args args_of(const Product& p, const Cut& cut) {
  const int pair = of_pairs(p.epilogue) ? 2 : 1,
            blocks = static_cast<int>(mma_blocks(p.layer.columns));
  return {reinterpret_cast<const uint4*>(p.layer.tiles),
          p.layer.tile_scales,
          blocks,
          (blocks + cut.ranks - 1) / cut.ranks,
          static_cast<int>(p.layer.rows / (16 * pair)),
          pair,
          static_cast<int>(p.T),
          p.epilogue,
          p.x,
          p.y,
          p.y_stride};
}

}  // namespace

int64_t shared_bytes(int64_t columns, int64_t T, int warps, int ranks) {
  const int64_t blocks = (mma_blocks(columns) + ranks - 1) / ranks;
  return T * (blocks * 128 + kRowPad) + 2 * warps * T * 64 + 4 * (ranks - 1) * T * 64;
}

void multiply(StreamHandle stream, const Product& p, const Cut& cut) {
  dispatch(stream, args_of(p, cut), Stored{}, cut,
           shared_bytes(p.layer.columns, p.T, cut.warps, cut.ranks));
}

void multiply_fused(StreamHandle stream, const Product& p, const FloatRows& rows, const Cut& cut) {
  const auto with = [&]<int kStrips>(std::integral_constant<int, kStrips>) {
    const Fresh<kStrips> in{rows, static_cast<int>(p.layer.columns),
                            reinterpret_cast<uintptr_t>(rows.x) % 16 == 0 && rows.stride % 4 == 0};
    dispatch(stream, args_of(p, cut), in, cut,
             shared_bytes(p.layer.columns, p.T, cut.warps, cut.ranks));
  };
  switch (rows::strips_of(mma_blocks(p.layer.columns) * 128, cut.warps)) {
    case 1:
      return with(std::integral_constant<int, 1>{});
    case 2:
      return with(std::integral_constant<int, 2>{});
    default:
      TRIT_CUDA(cudaErrorInvalidValue);
  }
}

}  // namespace small
}  // namespace trit::cuda
