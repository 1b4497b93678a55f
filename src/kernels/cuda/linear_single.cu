// The product of one row, from floats to floats: each block norms and quantises the whole row for itself, which takes
// less time than a kernel of its own and the way from it to this one. What the norm and the quantisation want to know of
// the whole row (its squares, its largest value) the product that makes the row leaves behind, tile by tile.
//
// One block a multiprocessor, with a share of the tiles that lie together. Each lane copies the weights that it will
// multiply itself into its warp's queue in shared memory, so the queue needs no barrier, runs on across tiles, and is full
// before the kernel ahead has ended. Warps meet when all tiles (16 at a time) have been multiplied; then each finishes one.
// Registers and shared memory are for two such blocks at a time.

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/dense_parts.h"
#include "kernels/cuda/linear_rows.h"
#include "kernels/cuda/linear_small.h"
#include "kernels/cuda/linear_small_parts.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = 16, kStages = 8;  // stages: blocks of 128 inputs that a warp's queue has
constexpr int kBlock = static_cast<int>(kMmaBlockBytes), kRows = static_cast<int>(kMmaRows);
constexpr int kQueueBytes = kWarps * kStages * kBlock;
constexpr int kGroup = kWarps;                  // units that are finished at once
constexpr int kUnitBytes = kWarps * kRows * 4;  // a unit's sums of all warps

struct Args {
  const uint8_t* tiles;
  const float* scales;
  int units, blocks;  // a unit is a tile, or a gate's and its up's; blocks of a tile
  int group;          // units of a block, at most kGroup
  SingleRow row;
  int K;
  bool vectors;  // x is aligned to 16 bytes
  Epilogue epilogue;
  SingleOut out;
  int32_t* not_finite;
};

// The row in the block's shared memory, [blocks * 128], and what its sums are scaled and corrected with.
struct Quantised {
  double step;
  int32_t sum;
};

__device__ inline Quantised quantised(const Args& a, int32_t largest, int32_t part,
                                      int32_t (&sums)[kWarps]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  part = __reduce_add_sync(~0U, part);
  if (lane == 0) sums[threadIdx.x / 32] = part;
  if (threadIdx.x == 0 && a.not_finite != nullptr && !rows::finite(largest)) *a.not_finite = 1;
  __syncthreads();
  return {rows::step_of(largest), __reduce_add_sync(~0U, lane < kWarps ? sums[lane] : 0)};
}

// From x and the norm alone.
template <int kStrips>
__device__ inline Quantised quantise(const Args& a, rows::Row<kWarps, kStrips>& row, int8_t* q) {
  __shared__ rows::Exchange<kWarps * kStrips> exchange;
  __shared__ int32_t sums[kWarps];
  row.load(a.row.x, a.vectors);
  if (a.row.norm.there) row.normalise(a.row.norm, exchange.squares);
  const int32_t largest = row.largest(exchange.largest);
  return quantised(a, largest, row.quantise(largest, q, a.blocks * 128), sums);
}

// The largest of unsigned numbers of a warp.
__device__ inline uint64_t warp_largest(uint64_t v) {
  const auto high = static_cast<uint32_t>(v >> 32);
  const uint32_t most = __reduce_max_sync(~0U, high);
  const uint32_t low = __reduce_max_sync(~0U, high == most ? static_cast<uint32_t>(v) : 0);
  return static_cast<uint64_t>(most) << 32 | low;
}
__device__ inline uint64_t magnitude(double v) {  // in the order of |v|, NaN above all
  return static_cast<uint64_t>(__double_as_longlong(v)) & 0x7FFFFFFFFFFFFFFFU;
}

// round_half_even(narrow(x r gain) * (127 / absmax)) of element k, r = high + low.
__device__ inline int8_t as_written(const Args& a, int k, float high, float low, float absmax) {
  const Norm& norm = a.row.norm;
  float v = __ldcg(a.row.x + k);
  if (norm.there)
    v = norm.gain != nullptr ? rows::normed(v, high, low, norm.gain[k])
                             : rows::normed(v, high, low);
  return static_cast<int8_t>(
      __double2int_rn(static_cast<double>(v) * (127.0 / static_cast<double>(absmax))));
}

// From what was handed over: x gain in float32, and of each tile the sum of x^2 and the largest |x gain|, exactly.
template <int kStrips>
__device__ inline Quantised quantise_handed(const Args& a, int8_t* q) {
  __shared__ double squares[kWarps * kStrips];
  __shared__ uint64_t of_warps[kWarps];
  __shared__ int32_t sums[kWarps];
  constexpr int kTiles = rows::kStrip / rows::kTile, kThreads = kWarps * 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int tiles = (a.K + rows::kTile - 1) / rows::kTile;
  const auto place = [&](int i) { return (i * kWarps + warp) * rows::kStrip + lane * 4; };
  double2 part[(kStrips + 3) / 4];
  float4 p[kStrips];
#pragma unroll
  for (int i = 0; i < (kStrips + 3) / 4; ++i) {
    const int tile = static_cast<int>(threadIdx.x) + i * kThreads;
    part[i] = tile < tiles ? __ldcg(reinterpret_cast<const double2*>(a.row.handed.tiles) + tile)
                           : double2{};
  }
#pragma unroll
  for (int i = 0; i < kStrips; ++i)  // zero from K to the end of its tile
    p[i] = place(i) < a.K ? __ldcg(reinterpret_cast<const float4*>(a.row.handed.gained + place(i)))
                          : float4{};
  uint64_t most = 0;
#pragma unroll
  for (int i = 0; i < (kStrips + 3) / 4; ++i) {
    if (i * kThreads >= tiles) break;
    double sum = part[i].x;
#pragma unroll
    for (int apart = 1; apart < kTiles; apart *= 2) sum += __shfl_xor_sync(~0U, sum, apart);
    const int strip = (static_cast<int>(threadIdx.x) + i * kThreads) / kTiles;
    if (lane % kTiles == 0 && strip < kWarps * kStrips) squares[strip] = sum;
    const uint64_t here = magnitude(part[i].y);
    most = here > most ? here : most;
  }
  most = warp_largest(most);
  if (lane == 0) of_warps[warp] = most;
  __syncthreads();
  const double r = a.row.norm.there ? rows::norm_factor(a.row.norm, squares, a.K) : 1.0;
  most = warp_largest(lane < kWarps ? of_warps[lane] : 0);
  const double largest_product = __longlong_as_double(static_cast<int64_t>(most));
  const float largest = static_cast<float>(largest_product * r);
  const int32_t bits =
      max(__float_as_int(largest) & 0x7FFFFFFF, __float_as_int(rows::kLeastLargest));
  const float absmax = __int_as_float(bits);
  const float high = static_cast<float>(r), low = static_cast<float>(r - high);

  // The float product is within six roundings of what it stands for, so only nearer than that to the middle of two
  // integers must it be done as it is written.
  const float factor = __fmul_rn(high, __fdiv_rn(127.0f, absmax));
  const auto close = [](float y, float off) { return fabsf(off) > fmaf(fabsf(y), -4e-7f, 0.5f); };
  int32_t sum = 0;
  uint32_t again = 0;  // strips with such elements
#pragma unroll
  for (int i = 0; i < kStrips; ++i) {
    const float* f = &p[i].x;
    uint32_t shifted[4];
    bool near = false;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float y = __fmul_rn(f[j], factor), rounded = __fadd_rn(y, rows::kRounds);
      near |= close(y, __fsub_rn(y, __fsub_rn(rounded, rows::kRounds)));
      shifted[j] = __float_as_uint(rounded);
    }
    again |= near ? 1U << i : 0;
    const uint32_t word = rows::low_bytes(shifted);
    if (place(i) < a.blocks * 128) *reinterpret_cast<uint32_t*>(q + place(i)) = word;
    sum = __dp4a(static_cast<int>(word), 0x01010101, sum);
  }
  for (; again != 0; again &= again - 1) {
    const int first = place(__ffs(static_cast<int>(again)) - 1);
    for (int k = first; k < min(first + 4, a.K); ++k) {
      const int8_t exact = as_written(a, k, high, low, absmax);
      sum += exact - q[k];
      q[k] = exact;
    }
  }
  return quantised(a, bits, sum, sums);
}

// What a warp needs to finish a unit, fetched early. Lane r has row r of its first tile or the only one, lane 16 + r that
// of the second.
template <bool kPair>
struct Finish {
  int64_t at = 0;
  float scale = 0, gain = 1, old = 0;
  bool there = false;

  __device__ Finish(const Args& a, int unit, int end) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    there = unit < end;
    if (!there) return;
    at = int64_t{unit} * kRows + lane % kRows;
    scale = a.scales[unit * (kPair ? 2 : 1) + (kPair ? lane / kRows : 0)];
    if (a.out.gain != nullptr) gain = a.out.gain[at];
  }
  __device__ void fetch_old(const Args& a) {
    if (there && a.epilogue == Epilogue::kAdd) old = __ldcg(a.out.y + at);
  }
  // parts: the unit's sums of codes, [kWarps][16].
  __device__ void store(const Args& a, const int32_t* parts, const Quantised& x) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    int32_t sum = 0;
#pragma unroll
    for (int i = 0; i < kWarps / 2; ++i)
      sum += parts[(lane / kRows * (kWarps / 2) + i) * kRows + lane % kRows];
    if (!kPair) sum += __shfl_xor_sync(~0U, sum, kRows);
    float v = scaled(sum - x.sum, __dmul_rn(x.step, static_cast<double>(scale)));
    if constexpr (kPair) {
      const float up = __shfl_xor_sync(~0U, v, kRows);
      v = a.epilogue == Epilogue::kSiluMul ? silu_mul(v, up) : relu2_mul(v, up);
    } else if (a.epilogue == Epilogue::kAdd) {
      v = __fadd_rn(old, v);
    }
    if (lane < kRows) a.out.y[at] = v;
    if (a.out.handed.tiles == nullptr) return;
    if (lane < kRows) a.out.handed.gained[at] = __fmul_rn(v, gain);
    const uint64_t most = warp_largest(
        lane < kRows ? magnitude(static_cast<double>(v) * static_cast<double>(gain)) : 0);
    const double squares = rows::squares_of_tile(v);
    if (lane == 0)
      reinterpret_cast<double2*>(a.out.handed.tiles)[at / kRows] =
          double2{squares, __longlong_as_double(static_cast<int64_t>(most))};
  }
};

template <int kStrips, bool kPair, bool kHanded>
__global__ void __launch_bounds__(kWarps * 32, kStrips <= 8 ? 2 : 1)
    single_kernel(const __grid_constant__ Args a) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const uint8_t* queue = shared + warp * kStages * kBlock + lane * 16;
  const auto queue_at = static_cast<uint32_t>(__cvta_generic_to_shared(queue));
  auto* parts = reinterpret_cast<int32_t*>(shared + kQueueBytes);
  auto* q = reinterpret_cast<int8_t*>(shared + kQueueBytes + a.group * kUnitBytes);

  // The warps that share a tile take its blocks in turn.
  constexpr int kTiles = kPair ? 2 : 1, kSharers = kWarps / kTiles;
  const int tile = warp / kSharers, first = warp % kSharers;
  const int begin = static_cast<int>(static_cast<int64_t>(a.units) * blockIdx.x / gridDim.x);
  const int end = static_cast<int>(static_cast<int64_t>(a.units) * (blockIdx.x + 1) / gridDim.x);
  const auto tile_at = [&](int unit) {
    return a.tiles + (int64_t{unit} * kTiles + tile) * a.blocks * kBlock + lane * 16;
  };
  // The queue's end: which block of which unit is copied next.
  int next_unit = first < a.blocks ? begin : end, next_block = first, in = 0;
  const uint8_t* next = tile_at(begin);
  const auto copy_next = [&] {
    if (next_unit < end) {
      copy_16(queue_at + static_cast<uint32_t>(in * kBlock), next + next_block * kBlock, 16);
      in = in + 1 == kStages ? 0 : in + 1;
      next_block += kSharers;
      if (next_block >= a.blocks) {
        next_block = first;
        next = tile_at(++next_unit);
      }
    }
    end_of_stage();
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) copy_next();
  Finish<kPair> finish(a, begin + warp, end);

  Quantised x;
  if constexpr (kHanded) {
    wait_for_previous();
    finish.fetch_old(a);
    x = quantise_handed<kStrips>(a, q);
  } else {
    rows::Row<kWarps, kStrips> row(a.K);
    row.fetch_gains(a.row.norm);
    wait_for_previous();
    finish.fetch_old(a);
    x = quantise(a, row, q);
  }
  const uint32_t my_q =
      static_cast<uint32_t>(__cvta_generic_to_shared(q)) + static_cast<uint32_t>(lane / 8 * 16);
  int out = 0;
  for (int group = begin; group < end; group += kGroup) {
    if (group > begin) {
      __syncthreads();  // the sums have been read
      finish = Finish<kPair>(a, group + warp, end);
      finish.fetch_old(a);
    }
    for (int unit = group; unit < min(group + kGroup, end); ++unit) {
      small::Sums sums;
      for (int block = first; block < a.blocks; block += kSharers) {
        copy_next();
        wait_for_stage<kStages - 1>();
        sums.add(*reinterpret_cast<const uint4*>(queue + out * kBlock),
                 my_q + static_cast<uint32_t>(block * 128));
        out = out + 1 == kStages ? 0 : out + 1;
      }
      int32_t* mine = parts + ((unit - group) * kWarps + warp) * kRows;
      const int upper = sums.take(0), lower = sums.take(2);
      if (lane % 4 == 0) {
        mine[lane / 4] = upper;
        mine[lane / 4 + 8] = lower;
      }
    }
    __syncthreads();
    if (finish.there) finish.store(a, parts + warp * kWarps * kRows, x);
  }
}

template <int kStrips, bool kPair, bool kHanded>
void launch_as(StreamHandle stream, const Args& a, int grid) {
  const auto kernel = single_kernel<kStrips, kPair, kHanded>;
  int64_t bytes = kQueueBytes + a.group * kUnitBytes + a.blocks * 128;
  if (a.epilogue == Epilogue::kAdd) bytes = without_sibling(bytes);
  // One limit for all shapes: a lower one would keep recorded launches from being copied.
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 device_limits().shared_bytes - 1024));
  launch_chained(stream, static_cast<unsigned>(grid), 32 * kWarps, static_cast<size_t>(bytes),
                 kernel, a);
}
template <int kStrips>
void launch(StreamHandle stream, const Args& a, int grid) {
  const bool pair = small::of_pairs(a.epilogue), handed = a.row.handed.tiles != nullptr;
  const auto way = pair ? handed ? launch_as<kStrips, true, true> : launch_as<kStrips, true, false>
                   : handed ? launch_as<kStrips, false, true>
                            : launch_as<kStrips, false, false>;
  way(stream, a, grid);
}

}  // namespace

int64_t ternary_single_columns() {
  constexpr int64_t kMost = kWarps * 16 * rows::kStrip;
  const int64_t room = device_limits().shared_bytes - 1024 - kQueueBytes - kGroup * kUnitBytes;
  return room < 0 ? 0 : room < kMost ? room / 128 * 128 : kMost;
}

void ternary_linear_single(StreamHandle stream, const TernaryLayer& layer, const SingleRow& row,
                           Epilogue epilogue, const SingleOut& out, const Scratch& scratch) {
  const int units = static_cast<int>(layer.rows / (small::of_pairs(epilogue) ? 2 * kRows : kRows));
  const int most = device_limits().multiprocessors, grid = units < most ? units : most;
  const int each = (units + grid - 1) / grid;
  const Args a{layer.tiles,
               layer.tile_scales,
               units,
               static_cast<int>(mma_blocks(layer.columns)),
               each < kGroup ? each : kGroup,
               row,
               static_cast<int>(layer.columns),
               reinterpret_cast<uintptr_t>(row.x) % 16 == 0,
               epilogue,
               out,
               scratch.not_finite};
  switch (rows::strips_of(int64_t{a.blocks} * 128, kWarps)) {
    case 1:
      return launch<1>(stream, a, grid);
    case 2:
      return launch<2>(stream, a, grid);
    case 3:
      return launch<3>(stream, a, grid);
    case 4:
      return launch<4>(stream, a, grid);
    case 6:
      return launch<6>(stream, a, grid);
    case 8:
      return launch<8>(stream, a, grid);
    case 16:
      return launch<16>(stream, a, grid);
    default:
      TRIT_CUDA(cudaErrorInvalidValue);
  }
}

}  // namespace trit::cuda
