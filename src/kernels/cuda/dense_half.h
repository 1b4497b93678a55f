#pragma once
// Dense layers of half floats for up to eight rows at the speed of memory. For .cu files.
//
// A block of eight warps takes 16 rows of weights at a time and shares their inputs: step s of 64 inputs belongs to
// warp s mod 8. Each lane copies the weights that it will multiply itself into a queue in shared memory, so nothing
// waits for other lanes, the queue runs on across the ends of rows, and it is full before the previous kernel's
// results are looked at. Products are m16n8k16 with weights as A and tokens as the eight columns, so a token's
// result does not depend on the others. A lane's sixteen bytes are eight inputs of one row: the order of inputs
// within a product is free as long as x has the same.
//
// Order of summation: per warp two sums (inputs 0..31 and 32..63 of its steps), added; then warps 0..7.

#include "kernels/cuda/chain.h"
#include "kernels/cuda/dense_parts.h"

namespace trit::cuda {

constexpr int kHalfWarps = 8, kHalfStep = 64;
constexpr int kHalfStageBytes = 16 * kHalfStep * 2;  // of a warp
constexpr int kHalfSumBytes = 2 * kHalfWarps * 512;  // two tiles' sums

// Elements from one token's x to the next's in shared memory: 64 bytes off a multiple of 128, so that lanes read
// without bank conflicts.
inline __host__ __device__ int64_t half_x_stride(int64_t K) {
  return (K + kHalfStep - 1) / kHalfStep * kHalfStep + 32;
}

inline __device__ uint32_t pack_pair(__half, float low, float high) {
  const __half2 v = __floats2half2_rn(low, high);
  return reinterpret_cast<const uint32_t&>(v);
}
inline __device__ uint32_t pack_pair(__nv_bfloat16, float low, float high) {
  const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(v);
}

template <class Half>
__device__ void store_rounded(Half* to, float4 v) {
  *reinterpret_cast<uint2*>(to) =
      make_uint2(pack_pair(Half(), v.x, v.y), pack_pair(Half(), v.z, v.w));
}

// norm(x) [T, K] rounded, zero from K to the end of the last step. Many loads at once: their latency is on the way from
// one kernel to the next.
template <class Half>
__device__ void stage_rows(const DenseArguments& a, Half* to) {
  constexpr int kAtOnce = 8, kThreads = kHalfWarps * 32;
  const int stride = static_cast<int>(half_x_stride(a.K)), K = static_cast<int>(a.K);
  const RowNorms& norms = row_norms<kHalfWarps>(a);
  int t = 0, k = threadIdx.x * 4;
  for (int at = k; at < a.T * stride; at += kAtOnce * kThreads * 4) {
    float4 v[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      for (; k >= stride; k -= stride) ++t;
      v[i] = float4{};
      if (t < a.T && k < K) {  // K is a multiple of 8
        v[i] = load_four(a.x + t * a.x_stride + k);
        if (a.norm.there) v[i] = normed(norms.r[t], gain_of_four(a, k), v[i]);
      }
      k += kThreads * 4;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i)
      if (at + i * kThreads * 4 < a.T * stride) store_rounded(to + at + i * kThreads * 4, v[i]);
  }
}

// The same of one row that fits the block's registers, which is read once; gains are on their way before.
constexpr int kRowFours = 9, kRowInputs = kRowFours * kHalfWarps * 32 * 4;

struct RowGains {
  float4 of[kRowFours];
};
inline __device__ RowGains row_gains(const DenseArguments& a) {
  RowGains gains{};
#pragma unroll
  for (int i = 0; i < kRowFours; ++i) {
    const int k = (i * kHalfWarps * 32 + threadIdx.x) * 4;
    if (a.norm.there && k < a.K) gains.of[i] = gain_of_four(a, k);
  }
  return gains;
}
template <class Half>
__device__ void stage_row(const DenseArguments& a, const RowGains& gains, Half* to) {
  __shared__ double sums[kHalfWarps];
  const int stride = static_cast<int>(half_x_stride(a.K));
  float4 v[kRowFours];
#pragma unroll
  for (int i = 0; i < kRowFours; ++i) {
    const int k = (i * kHalfWarps * 32 + threadIdx.x) * 4;
    v[i] = k < a.K ? load_four(a.x + k) : float4{};
  }
  if (a.norm.there) {
    double sum = 0.0;
#pragma unroll
    for (int i = 0; i < kRowFours; ++i) sum = add_squares(v[i], sum);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    const float r = norm_factor(a, sums);
#pragma unroll
    for (int i = 0; i < kRowFours; ++i) v[i] = normed(r, gains.of[i], v[i]);
  }
#pragma unroll
  for (int i = 0; i < kRowFours; ++i) {
    const int k = (i * kHalfWarps * 32 + threadIdx.x) * 4;
    if (k < stride) store_rounded(to + k, v[i]);
  }
}

// One lane's results of a tile: (row, token 2c), (row, 2c + 1), and those of the second row.
struct TileOutputs {
  float* y[4];  // null: not there
};
inline __device__ TileOutputs tile_outputs(const DenseArguments& a, int64_t tile, int g, int c) {
  TileOutputs out{};
  const bool paired = is_glu(a.epilogue);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int t = 2 * c + i % 2;
    const int64_t n = paired ? tile * 8 + g : tile * 16 + g + i / 2 * 8;
    if (t < a.T && n < (paired ? a.rows / 2 : a.rows) && !(paired && i >= 2))
      out.y[i] = a.y + t * a.y_stride + n;
  }
  return out;
}

template <class Half, int kStages>
__global__ void __launch_bounds__(kHalfWarps * 32, 2)
    dense_half(const __grid_constant__ DenseArguments a) {
  extern __shared__ __align__(128) uint8_t shared[];
  float4* sums = reinterpret_cast<float4*>(shared);
  uint8_t* queues = shared + kHalfSumBytes;
  Half* xs = reinterpret_cast<Half*>(queues + kHalfWarps * kStages * kHalfStageBytes);

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const int64_t tiles = (a.rows + 15) / 16, steps = (a.K + kHalfStep - 1) / kHalfStep;
  const auto* w = static_cast<const Half*>(a.weights);
  const uint8_t* queue = queues + warp * kStages * kHalfStageBytes + lane * 16;
  const auto queue_at = static_cast<uint32_t>(__cvta_generic_to_shared(queue));

  // A block's tiles lie together: each of the device's pages is then read by few blocks.
  const int64_t first_tile = tiles * blockIdx.x / gridDim.x;
  const int64_t last_tile = tiles * (blockIdx.x + 1) / gridDim.x;
  // The queue's end: which step of which tile is copied next.
  int64_t next_tile = first_tile, next_step = warp;
  int in = 0;
  const auto copy_next = [&] {
    if (next_tile < last_tile && next_step < steps) {
      const TileRows rows = tile_rows(a.epilogue, next_tile, g);
      const bool first = rows.first < a.rows, second = rows.first + rows.apart < a.rows;
      const int64_t k = next_step * kHalfStep + c * 8;
      const Half* p = w + rows.first * a.K + k;
      const Half* q = p + rows.apart * a.K;
      const uint32_t to = queue_at + in * kHalfStageBytes;
      const bool low = k < a.K, high = k + 32 < a.K;
      copy_16(to, first && low ? p : w, first && low ? 16 : 0);
      copy_16(to + 512, second && low ? q : w, second && low ? 16 : 0);
      copy_16(to + 1024, first && high ? p + 32 : w, first && high ? 16 : 0);
      copy_16(to + 1536, second && high ? q + 32 : w, second && high ? 16 : 0);
      next_step += kHalfWarps;
      if (next_step >= steps) {
        next_step = warp;
        ++next_tile;
      }
      in = in + 1 == kStages ? 0 : in + 1;
    }
    end_of_stage();
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) copy_next();

  if (a.T == 1 && half_x_stride(a.K) <= kRowInputs) {
    const RowGains gains = row_gains(a);
    wait_for_previous();
    stage_row(a, gains, xs);
  } else {
    wait_for_previous();
    stage_rows(a, xs);
  }
  __syncthreads();

  // Columns beyond T repeat token 0 and are not looked at.
  const Half* x = xs + (g < a.T ? g : 0) * half_x_stride(a.K) + c * 8;
  int out = 0, turn = 0;
  for (int64_t tile = first_tile; tile < last_tile; ++tile, ++turn) {
    float4 even{}, odd{};
    for (int64_t step = warp; step < steps; step += kHalfWarps) {
      copy_next();
      wait_for_stage<kStages - 1>();
      const auto* stage = reinterpret_cast<const uint4*>(queue + out * kHalfStageBytes);
      const uint4 a0 = stage[0], a1 = stage[32], a2 = stage[64], a3 = stage[96];
      const uint4 b0 = *reinterpret_cast<const uint4*>(x + step * kHalfStep);
      const uint4 b1 = *reinterpret_cast<const uint4*>(x + step * kHalfStep + 32);
      multiply<Half>(even, a0.x, a1.x, a0.y, a1.y, b0.x, b0.y);
      multiply<Half>(odd, a2.x, a3.x, a2.y, a3.y, b1.x, b1.y);
      multiply<Half>(even, a0.z, a1.z, a0.w, a1.w, b0.z, b0.w);
      multiply<Half>(odd, a2.z, a3.z, a2.w, a3.w, b1.z, b1.w);
      out = out + 1 == kStages ? 0 : out + 1;
    }
    float4* mine = sums + turn % 2 * kHalfWarps * 32;
    mine[warp * 32 + lane] =
        make_float4(even.x + odd.x, even.y + odd.y, even.z + odd.z, even.w + odd.w);
    // The warps take turns to finish a tile; meanwhile the others go on with the next two.
    const bool finishes = turn % kHalfWarps == warp;
    TileOutputs to{};
    float4 v{};
    if (finishes) {
      to = tile_outputs(a, tile, g, c);
      if (a.epilogue == Epilogue::kAdd) {
        if (to.y[0] != nullptr) v.x = *to.y[0];
        if (to.y[1] != nullptr) v.y = *to.y[1];
        if (to.y[2] != nullptr) v.z = *to.y[2];
        if (to.y[3] != nullptr) v.w = *to.y[3];
      }
    }
    __syncthreads();
    if (!finishes) continue;
    float4 sum = mine[lane];
#pragma unroll
    for (int i = 1; i < kHalfWarps; ++i) {
      const float4 s = mine[i * 32 + lane];
      sum = make_float4(sum.x + s.x, sum.y + s.y, sum.z + s.z, sum.w + s.w);
    }
    v = is_glu(a.epilogue)
            ? make_float4(glu(a.epilogue, sum.x, sum.z), glu(a.epilogue, sum.y, sum.w), 0.0f, 0.0f)
            : make_float4(v.x + sum.x, v.y + sum.y, v.z + sum.z, v.w + sum.w);
    if (to.y[0] != nullptr) *to.y[0] = v.x;
    if (to.y[1] != nullptr) *to.y[1] = v.y;
    if (to.y[2] != nullptr) *to.y[2] = v.z;
    if (to.y[3] != nullptr) *to.y[3] = v.w;
  }
}

}  // namespace trit::cuda
