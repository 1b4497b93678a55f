#include "kernels/cuda/linear_small.h"

#include <type_traits>

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/linear_small_parts.h"
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
template <int W>
__device__ inline void stage_rows(const Args& a, int first, int blocks, int8_t* x, int pitch,
                                  double* step, int* sum) {
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

template <int W, int kDepth>
constexpr int blocks_per_multiprocessor() {
  return (kDepth <= 4 ? 32 : 24) / W;
}

template <int W, int kDepth, bool kCluster>
__global__ void __launch_bounds__(32 * W, blocks_per_multiprocessor<W, kDepth>())
    multiply_kernel(Args a) {
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
  stage_rows<W>(a, begin, blocks, x, pitch, step, sum);
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

template <int W, int kDepth, bool kCluster>
void launch_as(StreamHandle stream, const Args& a, const Cut& cut, int64_t bytes) {
  const auto kernel = multiply_kernel<W, kDepth, kCluster>;
  if (bytes > 48 * 1024)
    TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(bytes)));
  if constexpr (!kCluster) {
    launch_chained(stream, static_cast<unsigned>(cut.blocks), 32 * W, static_cast<size_t>(bytes),
                   kernel, a);
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
    TRIT_CUDA(cudaLaunchKernelEx(&config, kernel, a));
  }
}
template <int W, int kDepth>
void launch(StreamHandle stream, const Args& a, const Cut& cut, int64_t bytes) {
  if constexpr (W == 16 && kDepth == 8)
    if (cut.ranks > 1) return launch_as<W, kDepth, true>(stream, a, cut, bytes);
  launch_as<W, kDepth, false>(stream, a, cut, bytes);
}

void dispatch(StreamHandle stream, const Args& a, const Cut& cut, int64_t bytes) {
  using std::integral_constant;
  const auto depths = [&]<int W>(integral_constant<int, W>) {
    switch (cut.depth) {
      case 1:
        return launch<W, 1>(stream, a, cut, bytes);
      case 2:
        return launch<W, 2>(stream, a, cut, bytes);
      case 3:
        return launch<W, 3>(stream, a, cut, bytes);
      case 4:
        return launch<W, 4>(stream, a, cut, bytes);
      case 6:
        return launch<W, 6>(stream, a, cut, bytes);
      case 8:
        return launch<W, 8>(stream, a, cut, bytes);
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
  dispatch(stream, args_of(p, cut), cut, shared_bytes(p.layer.columns, p.T, cut.warps, cut.ranks));
}

}  // namespace small
}  // namespace trit::cuda
