// The gated unit, forward and backward, on gate and up in one matrix.

#include "kernels/cuda/as_cpu.h"
#include "kernels/cuda/training_parts.h"

namespace trit::cuda {
namespace {

using namespace training;

// Where the eight elements from f on lie.
struct Pairs {
  int64_t F;
  bool by_16, vectors;  // vectors: eight of up start at 16 bytes where those of gate do
  __device__ int64_t gate(int64_t f) const { return by_16 ? f / 16 * 32 + f % 16 : f; }
  __device__ int64_t up(int64_t f) const { return by_16 ? gate(f) + 16 : F + f; }
  // One past the last column of the eight that are there.
  __device__ int64_t end(int64_t column, int64_t f) const {
    return column + (F - f < kEach ? F - f : int64_t{kEach});
  }
};
Pairs pairs(GatePlaces places, int64_t F) {
  return {F, places == GatePlaces::kBy16, places == GatePlaces::kBy16 || F % kEach == 0};
}

// float32 rounds as the CPU does; what is rounded to bfloat16 takes the quick way.
template <bool kExact>
__device__ float sigmoid(float g) {
  if constexpr (kExact) return __fdiv_rn(1.0f, __fadd_rn(1.0f, exp_as_cpu(-g)));
  return __fdividef(1.0f, 1.0f + __expf(fminf(-g, 80.0f)));
}

template <class T, class Y, bool kSilu>
__global__ void __launch_bounds__(kThreads)
    glu_kernel(Groups groups, View<const T> x, Pairs pairs, View<Y> y) {
  constexpr bool kExact = std::is_same_v<Y, float>;
  int64_t r, f;
  if (!groups.place(r, f)) return;
  const bool vectors = x.vectors && pairs.vectors;
  const int64_t at = pairs.gate(f), up = pairs.up(f);
  float g[kEach], u[kEach];
  fetch(x.row(r), at, pairs.end(at, f), vectors, g);
  fetch(x.row(r), up, pairs.end(up, f), vectors, u);
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    if constexpr (kSilu)
      g[j] = __fmul_rn(__fmul_rn(g[j], sigmoid<kExact>(g[j])), u[j]);
    else
      g[j] = relu2_mul(g[j], u[j]);
  }
  put(y.row(r), f, pairs.F, y.vectors, g);
}

template <class T, class D, class Y, bool kSilu>
__global__ void __launch_bounds__(kThreads)
    glu_backward_kernel(Groups groups, View<const T> x, Pairs pairs, View<const D> dy, View<Y> dx) {
  constexpr bool kExact = std::is_same_v<Y, float>;
  int64_t r, f;
  if (!groups.place(r, f)) return;
  const bool vectors = x.vectors && pairs.vectors;
  const int64_t at = pairs.gate(f), up = pairs.up(f);
  float g[kEach], u[kEach], d[kEach];
  fetch(x.row(r), at, pairs.end(at, f), vectors, g);
  fetch(x.row(r), up, pairs.end(up, f), vectors, u);
  fetch(dy.row(r), f, pairs.F, dy.vectors, d);
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const float gate = g[j], by_up = __fmul_rn(d[j], u[j]);
    if constexpr (kSilu) {
      const float s = sigmoid<kExact>(gate);
      g[j] = __fmul_rn(__fmul_rn(by_up, s), __fadd_rn(1.0f, __fmul_rn(gate, __fsub_rn(1.0f, s))));
      u[j] = __fmul_rn(__fmul_rn(d[j], gate), s);
    } else {
      const float open = gate > 0.0f ? gate : 0.0f;
      g[j] = __fmul_rn(by_up, __fmul_rn(open, 2.0f));
      u[j] = __fmul_rn(d[j], __fmul_rn(open, open));
    }
  }
  const bool whole = dx.vectors && pairs.vectors;
  put(dx.row(r), at, pairs.end(at, f), whole, g);
  put(dx.row(r), up, pairs.end(up, f), whole, u);
}

template <class Body>
void with_activation(Epilogue activation, Body body) {
  if (activation == Epilogue::kSiluMul) return body(std::true_type{});
  body(std::false_type{});
}

}  // namespace

void glu_forward(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N, int64_t F,
                 Epilogue activation, Rows y) {
  const Groups all = groups(N, F);
  with_type(gate_up.type, [&](auto t) {
    with_type(y.type, [&](auto o) {
      with_activation(activation, [&](auto silu) {
        using T = decltype(t);
        using Y = decltype(o);
        glu_kernel<T, Y, silu.value><<<all.blocks(), kThreads, 0, stream>>>(
            all, view<T>(gate_up), pairs(places, F), view<Y>(y));
      });
    });
  });
  TRIT_CUDA_LAUNCHED();
}

void glu_backward(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N, int64_t F,
                  Epilogue activation, ConstRows dy, Rows dgate_up) {
  const Groups all = groups(N, F);
  with_type(gate_up.type, [&](auto t) {
    with_type(dy.type, [&](auto d) {
      with_type(dgate_up.type, [&](auto o) {
        with_activation(activation, [&](auto silu) {
          using T = decltype(t);
          using D = decltype(d);
          using Y = decltype(o);
          glu_backward_kernel<T, D, Y, silu.value><<<all.blocks(), kThreads, 0, stream>>>(
              all, view<T>(gate_up), pairs(places, F), view<D>(dy), view<Y>(dgate_up));
        });
      });
    });
  });
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
