// Ternary products of many rows through wgmma (Hopper).
//
// A block multiplies 256 weight rows by kTokens tokens: two warpgroups of 128 rows share the tokens, each warp holds
// two tiles of 16 rows, and one more thread keeps the copy engine several stages of 128 inputs ahead. Weights come
// packed to shared memory and are unpacked into the registers that wgmma takes as its left operand, while other
// products run.
//
// Where there are fewer tiles than multiprocessors, the blocks of a cluster share a tile along its inputs and add
// their integers through each other's shared memory. Otherwise blocks stay and take one tile after the other.

#include <algorithm>

#include "kernels/cuda/check.h"
#include "kernels/cuda/hopper.h"
#include "kernels/cuda/large_epilogue.h"
#include "kernels/cuda/linear_large.h"
#include "kernels/cuda/tensor_map.h"
#include "quant/mma_tiles.h"

namespace trit::cuda::large {
namespace {

constexpr int kRows = 256, kWarps = 8, kConsumers = 32 * kWarps, kThreads = kConsumers + 128;
// Token tiles that are gone through together for each row tile.
[[maybe_unused]] constexpr int kBand = 16;

template <int kTokens>
constexpr int kStages = kTokens <= 64 ? 8 : 6;

template <int kTokens>
struct Shared {
  struct Stage {
    int8_t tokens[kTokens * 128];
    uint4 weights[kRows / 16 * 32];
  };
  static constexpr int kEights = 2;  // of tokens that are written together
  Stage stages[kStages<kTokens>];
  float out[kWarps][kEights * kStageFloats];
  double step[2][kTokens];    // of each group
  float rounded[2][kTokens];  // the same in float32
  int32_t sum[2][kTokens];
  uint64_t full[kStages<kTokens>], empty[kStages<kTokens>];
};
template <int kTokens>
using Sums = int32_t[2][kTokens / 2];  // a lane's of both tiles

struct Job {
  const double* step;
  const int32_t* sum;
  const float* tile_scales;
  int blocks;  // of 128 inputs
  int row_tiles, token_tiles;
  int splits;
};
// What a block does: tiles first, first + step, ... below count, of each blocks begin..end - 1 of 128 inputs.
struct Part {
  int first, step, count, begin, end;
  int rank;  // in the cluster
};

struct Tile {
  int row, token;  // the first of it
};
template <int kTokens>
__device__ Tile tile_at(const Job& job, int index) {
  const int band_size = kBand * job.row_tiles, band = index / band_size,
            in_band = index % band_size;
  const int width = min(kBand, job.token_tiles - band * kBand);
  return {in_band / width * kRows, (band * kBand + in_band % width) * kTokens};
}

// A position in the ring of stages.
template <int kCount>
struct Ring {
  int stage = 0;
  uint32_t phase = 0;
  __device__ void next() {
    if (++stage == kCount) {
      stage = 0;
      phase ^= 1;
    }
  }
};

// Weights do not depend on the kernel before, so those of the first stages are fetched while it ends.
template <int kTokens>
__device__ void produce(Shared<kTokens>& shared, const CUtensorMap& x, const CUtensorMap& w,
                        const Job& job, const Part& part) {
  const auto weights = [&](int stage, int block, const Tile& tile) {
    hopper::barrier_expect(&shared.full[stage], sizeof(typename Shared<kTokens>::Stage));
    hopper::copy_box(shared.stages[stage].weights, &w, block * 128, tile.row / 16,
                     &shared.full[stage]);
  };
  int early = min(kStages<kTokens>, part.end - part.begin);
  for (int i = 0; i < early; ++i) weights(i, part.begin + i, tile_at<kTokens>(job, part.first));
  hopper::wait_for_kernel_before();

  Ring<kStages<kTokens>> at;
  for (int index = part.first; index < part.count; index += part.step) {
    const Tile tile = tile_at<kTokens>(job, index);
    for (int block = part.begin; block < part.end; ++block, at.next()) {
      if (early-- <= 0) {
        hopper::barrier_wait(&shared.empty[at.stage], at.phase ^ 1);
        weights(at.stage, block, tile);
      }
      hopper::copy_box(shared.stages[at.stage].tokens, &x, block * 128, tile.token,
                       &shared.full[at.stage]);
    }
  }
}

// c += codes of the warp's two tiles times the tokens, over blocks of 128 inputs.
template <int kTokens>
__device__ void multiply(Shared<kTokens>& shared, Ring<kStages<kTokens>>& at, int blocks,
                         Sums<kTokens>& c) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  // The warp has done with a stage.
  const auto release = [&](int stage) {
    if (lane == 0) hopper::barrier_arrive(&shared.empty[stage]);
  };
  int before = -1;
  for (int block = 0; block < blocks; ++block, at.next()) {
    hopper::barrier_wait(&shared.full[at.stage], at.phase);
    const auto& stage = shared.stages[at.stage];
    const uint4 packed[2] = {stage.weights[warp * 64 + lane], stage.weights[warp * 64 + 32 + lane]};
    const uint64_t tokens = hopper::swizzled_rows(stage.tokens);
    uint32_t a[4][2][4];
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      // The registers about to be written were read by groups that have ended: one may still run.
      hopper::products_wait<1>();
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) {
        const uint32_t words[4] = {packed[tile].x, packed[tile].y, packed[tile].z, packed[tile].w};
#pragma unroll
        for (int i = 0; i < 4; ++i) a[s][tile][i] = words[i] >> (2 * s) & 0x03030303U;
        hopper::pin(a[s][tile]);
      }
      hopper::products_begin();
      hopper::Product<kTokens>::add(c[0], a[s][0], tokens + 2 * s);
      hopper::Product<kTokens>::add(c[1], a[s][1], tokens + 2 * s);
      hopper::products_end();
      // By now all products of the stage before have ended.
      if (s == 1 && before >= 0) release(before);
    }
    before = at.stage;
  }
  hopper::products_wait<0>();
  if (before >= 0) release(before);
}

// The sums of kEights times eight tokens, from the n-th eight of the tile on, to y.
template <Way kWay, int kEights, int kTokens>
__device__ void finish_eights(Shared<kTokens>& shared, const Output& out, const Tile& tile, int n,
                              const EightSums (&sums)[kEights], const double (&scale)[2]) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32,
            group = warp / 4;
  Factors factors[kEights];
#pragma unroll
  for (int e = 0; e < kEights; ++e) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int token = 8 * (n + e) + 2 * (lane % 4) + i;
      factors[e].step[i] = shared.step[group][token];
      factors[e].rounded[i] = shared.rounded[group][token];
      factors[e].sum[i] = shared.sum[group][token];
    }
  }
  finish<kWay, kEights>(out, sums, factors, scale, tile.token + 8 * n, tile.row + warp * 32,
                        shared.out[warp]);
}

// The sums wander to the front of their registers, so that the loop's code is there once: straight on, it is longer than
// the memory for instructions, and fetching it took 20 us of a product that comes between other kernels.
template <Way kWay, int kTokens>
__device__ void finish_tile(Shared<kTokens>& shared, const Output& out, const Tile& tile,
                            Sums<kTokens>& c, const double (&scale)[2]) {
  constexpr int kEights = Shared<kTokens>::kEights;
#pragma unroll 1
  for (int n = 0; n < kTokens / 8; n += kEights) {
    EightSums sums[kEights];
#pragma unroll
    for (int e = 0; e < kEights; ++e) {
#pragma unroll
      for (int j = 0; j < 8; ++j) sums[e].v[j / 4][j % 4] = c[j / 4][4 * e + j % 4];
    }
    finish_eights<kWay, kEights, kTokens>(shared, out, tile, n, sums, scale);
#pragma unroll
    for (int i = 0; i < kTokens / 2 - 4 * kEights; ++i) {
      c[0][i] = c[0][i + 4 * kEights];
      c[1][i] = c[1][i + 4 * kEights];
    }
  }
}

// The same of a tile that the blocks of a cluster share: each takes some of the tokens and adds up all blocks' sums,
// which lie by lane where the stages were.
template <int kTokens, bool kBF16>
__device__ void finish_shared(Shared<kTokens>& shared, const Job& job, const Part& part,
                              const Output& out, const Tile& tile, const Sums<kTokens>& c,
                              const double (&scale)[2]) {
  constexpr int kEights = kTokens / 8;
  asm volatile("bar.sync 3, %0;" ::"n"(kConsumers) : "memory");  // all have done with the stages
  int4* partial = reinterpret_cast<int4*>(&shared.stages) + threadIdx.x;
#pragma unroll
  for (int n = 0; n < kEights; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i)
      partial[(2 * n + i) * kConsumers] = {c[i][4 * n], c[i][4 * n + 1], c[i][4 * n + 2],
                                           c[i][4 * n + 3]};
  }
  hopper::cluster_sync();
  for (int n = part.rank; n < kEights; n += job.splits) {
    EightSums sums[1] = {};
    for (int peer = 0; peer < job.splits; ++peer) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint32_t here = hopper::shared_address(partial + (2 * n + i) * kConsumers);
        const int4 v = hopper::load_shared_of(hopper::shared_of(here, static_cast<uint32_t>(peer)));
        sums[0].v[i][0] += v.x;
        sums[0].v[i][1] += v.y;
        sums[0].v[i][2] += v.z;
        sums[0].v[i][3] += v.w;
      }
    }
    with_way<kBF16>(out.way, [&](auto way) {
      finish_eights<decltype(way)::value, 1, kTokens>(shared, out, tile, n, sums, scale);
    });
  }
  hopper::cluster_sync();
}

template <int kTokens, bool kBF16>
__device__ void consume(Shared<kTokens>& shared, const Job& job, const Output& out,
                        const Part& part) {
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, group = warp / 4;
  const auto group_sync = [&] { asm volatile("bar.sync %0, 128;" ::"r"(1 + group) : "memory"); };
  Ring<kStages<kTokens>> at;
  hopper::wait_for_kernel_before();
  for (int index = part.first; index < part.count; index += part.step) {
    const Tile tile = tile_at<kTokens>(job, index);
    // What the end needs is fetched before the products.
    const int token = tile.token + thread % 128;
    const bool mine = thread % 128 < kTokens && token < out.T;
    const double step = mine ? job.step[token] : 0.0;
    const int32_t sum = mine ? job.sum[token] : 0;
    const int first = tile.row / 16 + 2 * warp, last = out.rows / 16 - 1;
    const float scales[2] = {job.tile_scales[min(first, last)],
                             job.tile_scales[min(first + 1, last)]};

    Sums<kTokens> c = {};
    multiply<kTokens>(shared, at, part.end - part.begin, c);

    group_sync();  // all warps have done with the last tile's
    if (thread % 128 < kTokens) {
      shared.step[group][thread % 128] = step;
      shared.rounded[group][thread % 128] = static_cast<float>(step);
      shared.sum[group][thread % 128] = sum;
    }
    group_sync();
    const double scale[2] = {static_cast<double>(scales[0]), static_cast<double>(scales[1])};
    if (job.splits > 1) {
      finish_shared<kTokens, kBF16>(shared, job, part, out, tile, c, scale);
    } else {
      with_way<kBF16>(out.way, [&](auto way) {
        finish_tile<decltype(way)::value, kTokens>(shared, out, tile, c, scale);
      });
    }
  }
}

template <int kTokens, bool kBF16>
__global__ __launch_bounds__(kThreads, 1) void ternary_wgmma(const __grid_constant__ CUtensorMap x,
                                                             const __grid_constant__ CUtensorMap w,
                                                             const Job job, const Output out) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte memory[];
  // The swizzle counts from multiples of 1,024.
  auto& shared = *reinterpret_cast<Shared<kTokens>*>(
      memory + (1024 - hopper::shared_address(memory) % 1024) % 1024);
  const bool producer = threadIdx.x >= kConsumers;
  if (threadIdx.x == kConsumers) {
    hopper::prefetch_map(&w);
    hopper::prefetch_map(&x);
  }
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages<kTokens>; ++i) {
      hopper::barrier_init(&shared.full[i], 1);
      hopper::barrier_init(&shared.empty[i], kWarps);
    }
    hopper::barrier_init_done();
  }
  __syncthreads();
  hopper::let_next_kernel_start();

  const int rank = job.splits > 1 ? static_cast<int>(hopper::cluster_rank()) : 0;
  const Part part{
      static_cast<int>(blockIdx.x) / job.splits, static_cast<int>(gridDim.x) / job.splits,
      job.row_tiles * job.token_tiles,           job.blocks * rank / job.splits,
      job.blocks * (rank + 1) / job.splits,      rank};
  if (producer) {
    hopper::give_registers<40>();
    if (threadIdx.x == kConsumers) produce<kTokens>(shared, x, w, job, part);
    __syncwarp();
    if (job.splits > 1) {
      hopper::cluster_sync();
      hopper::cluster_sync();
    }
  } else {
    hopper::take_registers<
        232>();  // 8 warps x 232 + 4 x 40 are what the block was launched with, 12 x 168
    consume<kTokens, kBF16>(shared, job, out, part);
  }
#endif
}

// What a launch in clusters of `splits` blocks needs; attributes: to be kept as long as the result.
template <int kTokens, bool kBF16>
cudaLaunchConfig_t configuration(int clusters, int splits, StreamHandle stream,
                                 cudaLaunchAttribute (&attributes)[2]) {
  constexpr int kBytes = static_cast<int>(sizeof(Shared<kTokens>)) + 1024;
  TRIT_CUDA(cudaFuncSetAttribute(ternary_wgmma<kTokens, kBF16>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(clusters * splits);
  config.blockDim = kThreads;
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {static_cast<unsigned>(splits), 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  config.attrs = attributes;
  config.numAttrs = 2;
  return config;
}

template <int kTokens, bool kBF16>
void launch(StreamHandle stream, const Product& p, int splits) {
  const int64_t blocks = mma_blocks(p.layer.columns);
  const CUtensorMap x = tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, CU_TENSOR_MAP_SWIZZLE_128B, p.x.q,
                                   blocks * 128, p.T, p.x.q_stride, 128, kTokens);
  const CUtensorMap w =
      tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT32, CU_TENSOR_MAP_SWIZZLE_NONE, p.layer.tiles,
                 blocks * 128, mma_tiles(p.layer.rows), blocks * 512, 128, kRows / 16);
  const Job job{p.x.step,
                p.x.sum,
                p.layer.tile_scales,
                static_cast<int>(blocks),
                static_cast<int>((p.layer.rows + kRows - 1) / kRows),
                static_cast<int>((p.T + kTokens - 1) / kTokens),
                splits};
  int device = 0, processors = 0;
  TRIT_CUDA(cudaGetDevice(&device));
  TRIT_CUDA(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
  const int tiles = job.row_tiles * job.token_tiles;
  cudaLaunchAttribute attributes[2] = {};
  const cudaLaunchConfig_t config = configuration<kTokens, kBF16>(
      splits > 1 ? tiles : std::min(tiles, processors), splits, stream, attributes);
  TRIT_CUDA(cudaLaunchKernelEx(&config, ternary_wgmma<kTokens, kBF16>, x, w, job, output_of(p)));
}

}  // namespace

Room room_on_device() {
  Room room;
  for (int splits = 1; splits <= kMostSplits; ++splits) {
    cudaLaunchAttribute attributes[2] = {};
    const cudaLaunchConfig_t config = configuration<128, false>(1, splits, nullptr, attributes);
    TRIT_CUDA(
        cudaOccupancyMaxActiveClusters(&room.clusters[splits], ternary_wgmma<128, false>, &config));
  }
  return room;
}

void multiply_wgmma(StreamHandle stream, const Product& product, const Cut& cut) {
  if (product.bf16) return launch<128, true>(stream, product, 1);
  switch (cut.tokens) {
    case 16:
      return launch<16, false>(stream, product, cut.splits);
    case 32:
      return launch<32, false>(stream, product, cut.splits);
    case 48:
      return launch<48, false>(stream, product, cut.splits);
    case 64:
      return launch<64, false>(stream, product, cut.splits);
    case 80:
      return launch<80, false>(stream, product, cut.splits);
    case 96:
      return launch<96, false>(stream, product, cut.splits);
    case 112:
      return launch<112, false>(stream, product, cut.splits);
    default:
      return launch<128, false>(stream, product, cut.splits);
  }
}

}  // namespace trit::cuda::large
