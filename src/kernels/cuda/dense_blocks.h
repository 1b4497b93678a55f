#pragma once
// Dense layers of ggml's blocks for up to eight rows, from the blocks as their files have them. For .cu files.
//
// Integers are exact in bf16, and a float32 is exactly the sum of three bf16. So the codes of 16 rows are multiplied
// with x as three columns a token (m16n8k16), and each run's sums with its rows' scales, in float32: the sums of
// decoding to float32 and multiplying in float32, with fewer roundings.
//
// A warp takes 16 rows, 256 inputs a step. Rows begin at any even address, so the warp copies the sixteenths of a line
// that hold a step into its queue in shared memory, and reads words from there. In matrices of few rows `splits` warps
// share a tile, steps in turn. Order of summation: steps of a warp; low, middle and high part; warps.

#include "kernels/cuda/block_forms.h"
#include "kernels/cuda/dense_parts.h"

namespace trit::cuda {

constexpr int kBlockWarps = 16, kBlockStep = 256;
// Floats of a row of sums: its columns, and one against bank conflicts.
inline __host__ __device__ constexpr int block_sums(int groups) { return 8 * groups + 1; }

template <class Step>
struct BlockStage {
  static constexpr int kChunks = (Step::kBytes + (Step::kAligned ? 0 : 14) + 15) / 16;
  static constexpr int kStride = (kChunks | 1) * 16;  // odd sixteenths: no bank conflicts
  static constexpr int kBytes = 16 * kStride;
};

// Elements from one column of x to the next.
inline __host__ __device__ int64_t block_x_stride(int64_t K) {
  return (K + kBlockStep - 1) / kBlockStep * kBlockStep + 16;
}

// Columns 3 t, 3 t + 1, 3 t + 2: the high, middle and low part of token t, zero from K on.
inline __device__ void stage_x_parts(const DenseArguments& a, __nv_bfloat16* to) {
  const RowNorms& norms = row_norms<kBlockWarps>(a);
  const int64_t stride = block_x_stride(a.K);
  for (int t = 0; t < a.T; ++t) {
#pragma unroll 8
    for (int64_t k = threadIdx.x; k < stride; k += kBlockWarps * 32) {
      float left = k < a.K ? normed(a, norms, t, k, a.x[t * a.x_stride + k]) : 0.0f;
#pragma unroll
      for (int part = 0; part < 3; ++part) {
        const __nv_bfloat16 v = __float2bfloat16_rn(left);
        to[(3 * t + part) * stride + k] = v;
        left -= __bfloat162float(v);
      }
    }
  }
}

// A step of two rows a lane, p0 (row g) and p1. x + column[m]: inputs 4 c of the step in column 8 m + g.
template <class Step, int kGroups, int kOdd>
__device__ void add_step(const uint8_t* p0, const uint8_t* p1, const __nv_bfloat16* x,
                         const int (&column)[kGroups], int c, float4 (&total)[kGroups]) {
  constexpr int kParts = Step::kRun / 16;
  constexpr uint32_t kOnes = 0x3F803F80u;
#pragma unroll
  for (int i = 0; i < 16; i += kParts) {
    float4 run[kGroups]{}, sum[kGroups]{};
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const uint2 a0 = Step::weights(p0, i + part, c, kOdd);
      const uint2 a1 = Step::weights(p1, i + part, c, kOdd);
#pragma unroll
      for (int m = 0; m < kGroups; ++m) {
        const uint2 b = *reinterpret_cast<const uint2*>(x + column[m] + (i + part) * 16);
        multiply<__nv_bfloat16>(run[m], a0.x, a1.x, a0.y, a1.y, b.x, b.y);
        if constexpr (Step::kLeast)
          multiply<__nv_bfloat16>(sum[m], kOnes, kOnes, kOnes, kOnes, b.x, b.y);
      }
    }
    const float s0 = Step::scale(p0, i, kOdd), s1 = Step::scale(p1, i, kOdd);
#pragma unroll
    for (int m = 0; m < kGroups; ++m) {
      if constexpr (Step::kLeast) {
        const float l0 = Step::least(p0, i), l1 = Step::least(p1, i);
        total[m].x = fmaf(-l0, sum[m].x, total[m].x);
        total[m].y = fmaf(-l0, sum[m].y, total[m].y);
        total[m].z = fmaf(-l1, sum[m].z, total[m].z);
        total[m].w = fmaf(-l1, sum[m].w, total[m].w);
      }
      total[m].x = fmaf(s0, run[m].x, total[m].x);
      total[m].y = fmaf(s0, run[m].y, total[m].y);
      total[m].z = fmaf(s1, run[m].z, total[m].z);
      total[m].w = fmaf(s1, run[m].w, total[m].w);
    }
  }
}

// Sums of a tile, one [16, row_sums] of each of `splits` warps, to y. Called by one warp.
inline __device__ void finish_tile(const DenseArguments& a, int64_t tile, int splits, int row_sums,
                                   const float* sums) {
  const bool paired = is_glu(a.epilogue);
  const int rows = paired ? 8 : 16;
  const int64_t outputs = paired ? a.rows / 2 : a.rows;
  const auto sum_of = [&](int row, int t) {
    float v = 0.0f;
    for (int s = 0; s < splits; ++s) {
      const float* parts = sums + (s * 16 + row) * row_sums + 3 * t;
      v += parts[2] + parts[1] + parts[0];
    }
    return v;
  };
  for (int i = threadIdx.x % 32; i < rows * a.T; i += 32) {
    const int row = i % rows, t = i / rows;
    const int64_t n = tile * rows + row;
    if (n >= outputs) continue;
    float& out = a.y[t * a.y_stride + n];
    const float v = sum_of(row, t);
    if (paired)
      out = glu(a.epilogue, v, sum_of(row + 8, t));
    else
      out = a.epilogue == Epilogue::kAdd ? out + v : v;
  }
}

template <class Step, int kGroups, int kStages>
__global__ void __launch_bounds__(kBlockWarps * 32, 1)
    dense_blocks(const __grid_constant__ DenseArguments a, const int64_t row_bytes,
                 const int splits) {
  using Stage = BlockStage<Step>;
  constexpr int kSums = block_sums(kGroups), kSumBytes = kBlockWarps * 16 * kSums * 4;
  extern __shared__ __align__(128) uint8_t shared[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  float* sums = reinterpret_cast<float*>(shared) + warp * 16 * kSums;
  uint8_t* queue = shared + kSumBytes + warp * kStages * Stage::kBytes;
  auto* xs =
      reinterpret_cast<__nv_bfloat16*>(shared + kSumBytes + kBlockWarps * kStages * Stage::kBytes);

  const int64_t tiles = (a.rows + 15) / 16, steps = (a.K + kBlockStep - 1) / kBlockStep;
  const auto bytes = static_cast<int>(row_bytes);
  const int of_block = kBlockWarps / splits, split = warp % splits;
  const int64_t block_tile = tiles * blockIdx.x / gridDim.x;
  const int64_t last_tile = tiles * (blockIdx.x + 1) / gridDim.x;
  const int64_t first_tile = block_tile + warp / splits;
  const auto* w = static_cast<const uint8_t*>(a.weights);

  int64_t next_tile = first_tile, next_step = split;
  int in = 0;
  // Lanes 0..15 copy rows 0, 2, ..., the others 1, 3, ...
  const auto copy_next = [&] {
    if (next_tile < last_tile && next_step < steps) {
      // Offsets from a row whose number is a multiple of 16, so from a whole sixteenth.
      const TileRows rows = tile_rows(a.epilogue, next_tile, 0);
      const int64_t base_row = rows.first & ~int64_t{15};
      const uint8_t* base = w + base_row * row_bytes;
      const int64_t all_left = (a.rows - base_row) * row_bytes;
      const int left = static_cast<int>(all_left < (1 << 30) ? all_left : 1 << 30);
      const int from = static_cast<int>(next_step) * Step::kBytes;
      int row = (static_cast<int>(rows.first - base_row) + lane / 16) * bytes;
      auto to = static_cast<uint32_t>(__cvta_generic_to_shared(
          queue + in * Stage::kBytes + lane / 16 * Stage::kStride + lane % 16 * 16));
#pragma unroll
      for (int pair = 0; pair < 8; ++pair) {
        if (pair == 4) row += (rows.apart - 8) * bytes;
        // Up to the row's end in whole sixteenths; what is behind it counts for nothing, its x being zero.
        const int end = row + bytes < left ? row + bytes : left;
#pragma unroll
        for (int more = 0; more < Stage::kChunks; more += 16) {
          const int at = ((row + from) & ~15) + lane % 16 * 16 + more * 16;
          if (lane % 16 + more < Stage::kChunks)
            copy_16(to + more * 16, base + (at < end ? at : 0),
                    at < end ? (left - at < 16 ? left - at : 16) : 0);
        }
        row += 2 * bytes;
        to += 2 * Stage::kStride;
      }
      next_step += splits;
      if (next_step >= steps) {
        next_step = split;
        next_tile += of_block;
      }
      in = in + 1 == kStages ? 0 : in + 1;
    }
    end_of_stage();
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) copy_next();

  wait_for_previous();
  stage_x_parts(a, xs);
  __syncthreads();

  const int64_t x_stride = block_x_stride(a.K);
  const __nv_bfloat16* x = xs + 4 * c;
  int column[kGroups];  // those beyond 3 T repeat column 0 and are not looked at
#pragma unroll
  for (int m = 0; m < kGroups; ++m)
    column[m] = 8 * m + g < 3 * a.T ? static_cast<int>((8 * m + g) * x_stride) : 0;
  const bool rows_alike = row_bytes % 4 == 0;
  int out = 0;
  // Every warp of a block has as many turns, since they wait for each other.
  for (int64_t turn = 0; block_tile + turn * of_block < last_tile; ++turn) {
    const int64_t tile = first_tile + turn * of_block;
    float4 total[kGroups]{};
    if (tile < last_tile) {
      const TileRows rows = tile_rows(a.epilogue, tile, g);
      for (int64_t step = split; step < steps; step += splits) {
        copy_next();
        wait_for_stage<kStages - 1>();
        __syncwarp();
        const int from =
            static_cast<int>(rows.first % 16) * bytes + static_cast<int>(step) * Step::kBytes;
        const uint8_t* stage = queue + out * Stage::kBytes + g * Stage::kStride;
        const uint8_t* p0 = stage + (from & 15);
        const uint8_t* p1 = stage + 8 * Stage::kStride + ((from + rows.apart * bytes) & 15);
        const __nv_bfloat16* xk = x + step * kBlockStep;
        // Steps of whole words keep what the rows are.
        if (rows_alike && (Step::kBytes % 4 == 0 || (from & 2) == 0)) {
          add_step<Step, kGroups, 0>(p0, p1, xk, column, c, total);
        } else if constexpr (Step::kBytes % 4 != 0) {
          if (rows_alike)
            add_step<Step, kGroups, 1>(p0, p1, xk, column, c, total);
          else
            add_step<Step, kGroups, 2>(p0, p1, xk, column, c, total);
        } else if constexpr (!Step::kAligned) {
          add_step<Step, kGroups, 2>(p0, p1, xk, column, c, total);
        }
        __syncwarp();  // before the next step is copied over this one
        out = out + 1 == kStages ? 0 : out + 1;
      }
    }
#pragma unroll
    for (int m = 0; m < kGroups; ++m) {
      float* at = sums + g * kSums + 8 * m + 2 * c;
      at[0] = total[m].x;
      at[1] = total[m].y;
      at[8 * kSums] = total[m].z;
      at[8 * kSums + 1] = total[m].w;
    }
    if (splits > 1)
      __syncthreads();
    else
      __syncwarp();
    if (split == 0 && tile < last_tile) finish_tile(a, tile, splits, kSums, sums);
    if (splits > 1)
      __syncthreads();
    else
      __syncwarp();
  }
}

}  // namespace trit::cuda
