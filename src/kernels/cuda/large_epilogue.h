#pragma once
// For linear_large_*.cu only: what becomes of the sums of a ternary product, with the CPU's rounding.
//
// A warp holds two tiles of 16 weight rows against 8 tokens at a time as the tensor cores leave them (the
// accumulators of mma.m16n8k32 and of wgmma.m64nNk32 alike): lane l has rows l / 4 and l / 4 + 8, tokens
// 2 (l % 4) and the next. Rows follow each other in y, so they go through shared memory to be stored 16 bytes a lane.

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/linear_large.h"

namespace trit::cuda::large {

// 8 tokens of 32 rows; the 4 extra floats keep the lanes that write on different banks.
inline constexpr int kStagePitch = 36, kStageFloats = 8 * kStagePitch;

struct Output {
  float* y;
  int64_t y_stride;
  int T, rows;  // rows of the layer
  Epilogue epilogue;
  bool vectors;  // all rows of y are aligned to 16 bytes
};

inline Output output_of(const Product& p) {
  const bool vectors = reinterpret_cast<uintptr_t>(p.y) % 16 == 0 && p.y_stride % 4 == 0;
  return {p.y,        p.y_stride, static_cast<int>(p.T), static_cast<int>(p.layer.rows),
          p.epilogue, vectors};
}

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

template <Epilogue kKind>
inline constexpr bool kOfPairs = kKind == Epilogue::kSiluMul || kKind == Epilogue::kRelu2Mul;

// Eight tokens of a warp's rows: which 16 bytes of y a lane stores, once or twice.
template <Epilogue kKind>
struct Place {
  static constexpr int kTimes = kOfPairs<kKind> ? 1 : 2, kLanes = 4 * kTimes;  // lanes a token
  __device__ static int token(int i) {
    return static_cast<int>(threadIdx.x % 32) / kLanes + i * (32 / kLanes);
  }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % kLanes * 4; }
  __device__ static bool there(const Output& out, int first_token, int first_row, int i) {
    const int divisor = kOfPairs<kKind> ? 2 : 1;
    return first_token + token(i) < out.T && first_row / divisor + column() < out.rows / divisor;
  }
  __device__ static float* at(const Output& out, int first_token, int first_row, int i) {
    return out.y + (first_token + token(i)) * out.y_stride + first_row / (kOfPairs<kKind> ? 2 : 1) +
           column();
  }
};

// Of a lane's two tokens of eight.
struct Factors {
  double step[2];
  int32_t sum[2];
};

// The lane's values of y, but for what kAdd adds, to their places in the stage.
template <Epilogue kKind, bool kAll, int kEights>
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
      for (int tile = 0; tile < 2; ++tile)
        v[tile] = scaled(sums[e].v[tile][i] - factors[e].sum[i % 2],
                         __dmul_rn(factors[e].step[i % 2], scale[tile]));
      float* to = mine + i % 2 * kStagePitch + i / 2 * 8;
      if constexpr (kKind == Epilogue::kSiluMul) {
        to[0] = silu_mul<kAll>(v[0], v[1], more);
      } else if constexpr (kKind == Epilogue::kRelu2Mul) {
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
template <Epilogue kKind, int kEights>
__device__ inline void finish(const Output& out, const EightSums (&sums)[kEights],
                              const Factors (&factors)[kEights], const double (&scale)[2],
                              int first_token, int first_row, float* stage) {
  using At = Place<kKind>;
  constexpr bool kAdd = kKind == Epilogue::kAdd;
  float4 old[kEights][2];  // what kAdd adds to, fetched early
  if (kAdd && out.vectors) {
#pragma unroll
    for (int i = 0; i < 2 * kEights; ++i) {
      old[i / 2][i % 2] = {};
      if (At::there(out, first_token + i / 2 * 8, first_row, i % 2))
        old[i / 2][i % 2] = *reinterpret_cast<const float4*>(
            At::at(out, first_token + i / 2 * 8, first_row, i % 2));
    }
  }

  bool more = false;
  __syncwarp();  // the stage has been read
  put_values<kKind, false>(sums, factors, scale, stage, more);
  if (kKind == Epilogue::kSiluMul && more)
    put_values<kKind, true>(sums, factors, scale, stage, more);
  __syncwarp();
  const auto staged = [&](int e, int i) {
    return *reinterpret_cast<const float4*>(stage + e * kStageFloats + At::token(i) * kStagePitch +
                                            At::column());
  };
  if (out.vectors) {
#pragma unroll
    for (int e = 0; e < kEights; ++e) {
#pragma unroll
      for (int i = 0; i < At::kTimes; ++i) {
        float4 v = staged(e, i);
        if constexpr (kAdd) {
          const float4 before = old[e][i];
          v = {__fadd_rn(before.x, v.x), __fadd_rn(before.y, v.y), __fadd_rn(before.z, v.z),
               __fadd_rn(before.w, v.w)};
        }
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
    float* to = At::at(out, first_token + 8 * e, first_row, i);
    const float4 v = staged(e, i);
    const float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int k = 0; k < 4; ++k) to[k] = kAdd ? __fadd_rn(to[k], values[k]) : values[k];
  }
}

// body(std::integral_constant<Epilogue, ...>) of the epilogue that is asked for.
template <class Body>
__device__ inline void with_epilogue(Epilogue epilogue, Body body) {
  switch (epilogue) {
    case Epilogue::kStore:
      return body(std::integral_constant<Epilogue, Epilogue::kStore>{});
    case Epilogue::kAdd:
      return body(std::integral_constant<Epilogue, Epilogue::kAdd>{});
    case Epilogue::kSiluMul:
      return body(std::integral_constant<Epilogue, Epilogue::kSiluMul>{});
    case Epilogue::kRelu2Mul:
      return body(std::integral_constant<Epilogue, Epilogue::kRelu2Mul>{});
  }
}

}  // namespace trit::cuda::large
