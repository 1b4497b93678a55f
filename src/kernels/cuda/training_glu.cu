// The gated unit, forward and backward, on gate and up in one matrix.

#include "kernels/cuda/training_gate.h"

namespace trit::cuda {
namespace {

using namespace training;

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
  for (int j = 0; j < kEach; ++j) g[j] = gated<kSilu>(g[j], u[j], opening<kSilu, kExact>(g[j]));
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
  for (int j = 0; j < kEach; ++j)
    gate_backward<kSilu>(d[j], opening<kSilu, kExact>(g[j]), g[j], u[j]);
  const bool whole = dx.vectors && pairs.vectors;
  put(dx.row(r), at, pairs.end(at, f), whole, g);
  put(dx.row(r), up, pairs.end(up, f), whole, u);
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
