#pragma once
// For linear_large_*.cu only: what becomes of the sums of a ternary product, with the CPU's rounding.
//
// A warp holds two tiles of 16 weight rows against 8 tokens at a time as the tensor cores leave them (the
// accumulators of mma.m16n8k32 and of wgmma.m64nNk32 alike): lane l has rows l / 4 and l / 4 + 8, tokens
// 2 (l % 4) and the next. Rows follow each other in y, so they go through shared memory to be stored 16 bytes a lane.

#include <cstdint>
#include <type_traits>

#include <cuda_bf16.h>

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/linear_large.h"

namespace trit::cuda::large {

// 8 tokens of 32 rows; the 4 extra floats keep the lanes that write on different banks.
inline constexpr int kStagePitch = 36, kStageFloats = 8 * kStagePitch;

// The epilogues, and those of training: y in bfloat16, scales multiplied in float32.
enum class Way : uint8_t { kStore, kAdd, kSiluMul, kRelu2Mul, kStoreBF16, kAddBF16 };

struct Output {
  void* y;
  const void* add;  // what kAdd and kAddBF16 add: y itself, or rows elsewhere
  int64_t y_stride, add_stride;
  int T, rows;  // rows of the layer
  Way way;
  bool vectors;  // all rows of y and add are aligned to 16 bytes
};

inline Output output_of(const Product& p) {
  const bool bf16 = p.bf16, adds = p.epilogue == Epilogue::kAdd;
  const void* add = p.add == nullptr ? p.y : p.add;
  const int64_t add_stride = p.add == nullptr ? p.y_stride : p.add_stride;
  const auto aligned = [&](const void* data, int64_t stride) {
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % (bf16 ? 8 : 4) == 0;
  };
  const Way way = bf16 ? (adds ? Way::kAddBF16 : Way::kStoreBF16) : static_cast<Way>(p.epilogue);
  return {p.y,
          add,
          p.y_stride,
          add_stride,
          static_cast<int>(p.T),
          static_cast<int>(p.layer.rows),
          way,
          aligned(p.y, p.y_stride) && aligned(add, add_stride)};
}
static_assert(static_cast<Way>(Epilogue::kStore) == Way::kStore &&
              static_cast<Way>(Epilogue::kAdd) == Way::kAdd &&
              static_cast<Way>(Epilogue::kSiluMul) == Way::kSiluMul &&
              static_cast<Way>(Epilogue::kRelu2Mul) == Way::kRelu2Mul);

// One lane's share of 8 tokens: v[tile][i], i = 0..3: row l / 4 + 8 (i / 2), token 2 (l % 4) + i % 2.
struct EightSums {
  int32_t v[2][4];
};

// 1 / d, rounded to nearest, for 1 <= d < 2^126 (all of which were compared with __frcp_rn): what that does, without
// its branch.
__device__ inline float reciprocal(float d) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(d));
  return __fmaf_rn(r, -__fmaf_rn(d, r, -1.0f), r);
}
// kAll: right for all gates; otherwise `more` becomes true for those (below -87.3) that need it.
template <bool kAll>
__device__ inline float silu_mul(float gate, float up, bool& more) {
  const float d = __fadd_rn(1.0f, exp_as_cpu(-gate));
  more |= d >= 0x1p126f;
  const float sigmoid = kAll ? __frcp_rn(d) : reciprocal(d);
  return __fmul_rn(__fmul_rn(gate, sigmoid), up);
}

template <Way kWay>
inline constexpr bool kOfPairs = kWay == Way::kSiluMul || kWay == Way::kRelu2Mul;
template <Way kWay>
inline constexpr bool kToBF16 = kWay == Way::kStoreBF16 || kWay == Way::kAddBF16;
template <Way kWay>
inline constexpr bool kAdds = kWay == Way::kAdd || kWay == Way::kAddBF16;

// Eight tokens of a warp's rows: which 16 bytes of y a lane stores, once or twice.
template <Way kWay>
struct Place {
  using Value = std::conditional_t<kToBF16<kWay>, __nv_bfloat16, float>;
  static constexpr int kTimes = kOfPairs<kWay> || kToBF16<kWay> ? 1 : 2;
  static constexpr int kLanes = 4 * kTimes;  // lanes a token
  static constexpr int kValues = 16 / static_cast<int>(sizeof(Value));
  __device__ static int token(int i) {
    return static_cast<int>(threadIdx.x % 32) / kLanes + i * (32 / kLanes);
  }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % kLanes * kValues; }
  __device__ static bool there(const Output& out, int first_token, int first_row, int i) {
    const int divisor = kOfPairs<kWay> ? 2 : 1;
    return first_token + token(i) < out.T && first_row / divisor + column() < out.rows / divisor;
  }
  __device__ static int64_t offset(int64_t stride, int first_token, int first_row, int i) {
    return (first_token + token(i)) * stride + first_row / (kOfPairs<kWay> ? 2 : 1) + column();
  }
  __device__ static Value* at(const Output& out, int first_token, int first_row, int i) {
    return static_cast<Value*>(out.y) + offset(out.y_stride, first_token, first_row, i);
  }
  __device__ static const Value* added(const Output& out, int first_token, int first_row, int i) {
    return static_cast<const Value*>(out.add) + offset(out.add_stride, first_token, first_row, i);
  }
};

// 16 bytes of y: of what was there (kAdds) and of the product's values.
__device__ inline float4 plus(float4 old, const float* v) {
  return {__fadd_rn(old.x, v[0]), __fadd_rn(old.y, v[1]), __fadd_rn(old.z, v[2]),
          __fadd_rn(old.w, v[3])};
}
template <Way kWay>
__device__ inline float4 result(const float* stage, float4 old) {
  const float4 low = *reinterpret_cast<const float4*>(stage);
  if constexpr (!kToBF16<kWay>) {
    const float v[4] = {low.x, low.y, low.z, low.w};
    return kAdds<kWay> ? plus(old, v) : low;
  } else {
    const float4 high = *reinterpret_cast<const float4*>(stage + 4);
    const float v[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    float4 packed;
    auto* pairs = reinterpret_cast<__nv_bfloat162*>(&packed);
    const auto* before = reinterpret_cast<const __nv_bfloat162*>(&old);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float2 sum = {v[2 * i], v[2 * i + 1]};
      if constexpr (kAdds<kWay>) {
        const float2 b = __bfloat1622float2(before[i]);
        sum = {b.x + sum.x, b.y + sum.y};
      }
      pairs[i] = __float22bfloat162_rn(sum);
    }
    return packed;
  }
}

// Of a lane's two tokens of eight.
struct Factors {
  double step[2];
  float rounded[2];  // the same, for bfloat16
  int32_t sum[2];
};

// The lane's values of y, but for what kAdd adds, to their places in the stage.
template <Way kWay, bool kAll, int kEights>
__device__ inline void put_values(const EightSums (&sums)[kEights],
                                  const Factors (&factors)[kEights], const double (&scale)[2],
                                  float* stage, bool& more) {
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int e = 0; e < kEights; ++e) {
    float* mine = stage + e * kStageFloats + 2 * (lane % 4) * kStagePitch + lane / 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float v[2];
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) {
        const int32_t levels = sums[e].v[tile][i] - factors[e].sum[i % 2];
        if constexpr (kToBF16<kWay>)
          v[tile] = static_cast<float>(levels) *
                    (factors[e].rounded[i % 2] * static_cast<float>(scale[tile]));
        else
          v[tile] = scaled(levels, __dmul_rn(factors[e].step[i % 2], scale[tile]));
      }
      float* to = mine + i % 2 * kStagePitch + i / 2 * 8;
      if constexpr (kWay == Way::kSiluMul) {
        to[0] = silu_mul<kAll>(v[0], v[1], more);
      } else if constexpr (kWay == Way::kRelu2Mul) {
        to[0] = relu2_mul(v[0], v[1]);
      } else {
        to[0] = v[0];
        to[16] = v[1];
      }
    }
  }
}

// Sums of codes of rows first_row.. (two tiles) and of kEights times eight tokens from first_token on, to y. scale: of
// the two tiles. stage: kEights * kStageFloats of the warp's own.
template <Way kWay, int kEights>
__device__ inline void finish(const Output& out, const EightSums (&sums)[kEights],
                              const Factors (&factors)[kEights], const double (&scale)[2],
                              int first_token, int first_row, float* stage) {
  using At = Place<kWay>;
  float4 old[kEights][At::kTimes];  // what is added to, fetched early
  if (kAdds<kWay> && out.vectors) {
#pragma unroll
    for (int i = 0; i < At::kTimes * kEights; ++i) {
      const int e = i / At::kTimes, time = i % At::kTimes;
      old[e][time] = {};
      if (At::there(out, first_token + 8 * e, first_row, time))
        old[e][time] =
            *reinterpret_cast<const float4*>(At::added(out, first_token + 8 * e, first_row, time));
    }
  }

  bool more = false;
  __syncwarp();  // the stage has been read
  put_values<kWay, false>(sums, factors, scale, stage, more);
  if (kWay == Way::kSiluMul && more) put_values<kWay, true>(sums, factors, scale, stage, more);
  __syncwarp();
  const auto staged = [&](int e, int i) {
    return stage + e * kStageFloats + At::token(i) * kStagePitch + At::column();
  };
  if (out.vectors) {
#pragma unroll
    for (int e = 0; e < kEights; ++e) {
#pragma unroll
      for (int i = 0; i < At::kTimes; ++i) {
        const float4 v = result<kWay>(staged(e, i), kAdds<kWay> ? old[e][i] : float4{});
        if (At::there(out, first_token + 8 * e, first_row, i))
          *reinterpret_cast<float4*>(At::at(out, first_token + 8 * e, first_row, i)) = v;
      }
    }
    return;
  }
#pragma unroll 1
  for (int j = 0; j < kEights * At::kTimes; ++j) {
    const int e = j / At::kTimes, i = j % At::kTimes;
    if (!At::there(out, first_token + 8 * e, first_row, i)) continue;
    typename At::Value* to = At::at(out, first_token + 8 * e, first_row, i);
    const typename At::Value* from = At::added(out, first_token + 8 * e, first_row, i);
    const float* v = staged(e, i);
#pragma unroll
    for (int k = 0; k < At::kValues; ++k)
      to[k] = kAdds<kWay> ? typename At::Value(static_cast<float>(from[k]) + v[k])
                          : typename At::Value(v[k]);
  }
}

// body(std::integral_constant<Way, ...>) of the way that is asked for. Kernels to bfloat16 are apart from the others, so that
// each has the registers that its own ways need.
template <bool kBF16, class Body>
__device__ inline void with_way(Way way, Body body) {
  if constexpr (kBF16) {
    if (way == Way::kAddBF16) return body(std::integral_constant<Way, Way::kAddBF16>{});
    return body(std::integral_constant<Way, Way::kStoreBF16>{});
  } else {
    switch (way) {
      case Way::kAdd:
        return body(std::integral_constant<Way, Way::kAdd>{});
      case Way::kSiluMul:
        return body(std::integral_constant<Way, Way::kSiluMul>{});
      case Way::kRelu2Mul:
        return body(std::integral_constant<Way, Way::kRelu2Mul>{});
      default:
        return body(std::integral_constant<Way, Way::kStore>{});
    }
  }
}

}  // namespace trit::cuda::large
