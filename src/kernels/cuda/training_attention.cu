// Causal attention of whole sequences, row by row in float32: a warp for each row of a head, whose lanes share the
// dimensions. Plain, for float32 and for shapes that the products on tensor cores do not take.

#include <cmath>

#include "kernels/cuda/training_attention.h"
#include "kernels/cuda/training_parts.h"

namespace trit::cuda {
namespace {

using namespace training;

constexpr int kWarps = 4, kMostDims = 128 / 32;  // dimensions lane, lane + 32, ... are a lane's

struct Lane {
  int lane = static_cast<int>(threadIdx.x) % 32, D;
  __device__ explicit Lane(int64_t dims) : D(static_cast<int>(dims)) {}
  template <class T>
  __device__ void load(const T* head, float (&v)[kMostDims]) const {
#pragma unroll
    for (int i = 0; i < kMostDims; ++i) v[i] = lane + 32 * i < D ? wide(head[lane + 32 * i]) : 0.0f;
  }
  template <class T>
  __device__ void store(T* head, const float (&v)[kMostDims]) const {
#pragma unroll
    for (int i = 0; i < kMostDims; ++i)
      if (lane + 32 * i < D) head[lane + 32 * i] = narrow<T>(v[i]);
  }
};
__device__ float dot(const float (&x)[kMostDims], const float (&y)[kMostDims]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kMostDims; ++i) sum = fmaf(x[i], y[i], sum);
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0U, sum, apart);
  return sum;
}
__device__ void add(float factor, const float (&x)[kMostDims], float (&y)[kMostDims]) {
#pragma unroll
  for (int i = 0; i < kMostDims; ++i) y[i] = fmaf(factor, x[i], y[i]);
}

template <class T>
struct Heads {
  View<const T> q, k, v, out, dout;
  const float* log_sums;
  int64_t N, T_, H, G, D;
  float scale;
  __device__ int64_t group() const { return H / G; }
};

template <class T>
__global__ void __launch_bounds__(32 * kWarps)
    forward_kernel(Heads<T> a, View<T> out, float* log_sums) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (n >= a.N) return;
  const int64_t h = blockIdx.y, g = h / a.group(), begin = n / a.T_ * a.T_;
  const Lane lane(a.D);
  float q[kMostDims], sums[kMostDims] = {};
  lane.load(a.q.row(n) + h * a.D, q);
  float largest = -INFINITY, sum = 0;
  for (int64_t j = begin; j <= n; ++j) {
    float k[kMostDims], v[kMostDims];
    lane.load(a.k.row(j) + g * a.D, k);
    lane.load(a.v.row(j) + g * a.D, v);
    const float s = dot(q, k) * a.scale;
    if (s > largest) {
      const float keep = expf(largest - s);
      sum *= keep;
#pragma unroll
      for (int i = 0; i < kMostDims; ++i) sums[i] *= keep;
      largest = s;
    }
    const float p = expf(s - largest);
    sum += p;
    add(p, v, sums);
  }
#pragma unroll
  for (int i = 0; i < kMostDims; ++i) sums[i] /= sum;
  lane.store(out.row(n) + h * a.D, sums);
  if (lane.lane == 0) log_sums[h * a.N + n] = largest + logf(sum);
}

// p of row n and position j of head h, and what its score's gradient is.
template <class T>
__device__ float2 weight_of(const Heads<T>& a, const float (&q)[kMostDims],
                            const float (&k)[kMostDims], const float (&v)[kMostDims],
                            const float (&dout)[kMostDims], float log_sum, float centre) {
  const float p = expf(dot(q, k) * a.scale - log_sum);
  return {p, p * (dot(dout, v) - centre) * a.scale};
}

// centres [H, N] = dout.out, for the other kernel.
template <class T>
__global__ void __launch_bounds__(32 * kWarps)
    queries_kernel(Heads<T> a, View<T> dq, float* centres) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (n >= a.N) return;
  const int64_t h = blockIdx.y, g = h / a.group(), begin = n / a.T_ * a.T_;
  const Lane lane(a.D);
  float q[kMostDims], dout[kMostDims], out[kMostDims], sums[kMostDims] = {};
  lane.load(a.q.row(n) + h * a.D, q);
  lane.load(a.dout.row(n) + h * a.D, dout);
  lane.load(a.out.row(n) + h * a.D, out);
  const float centre = dot(dout, out), log_sum = a.log_sums[h * a.N + n];
  if (lane.lane == 0) centres[h * a.N + n] = centre;
  for (int64_t j = begin; j <= n; ++j) {
    float k[kMostDims], v[kMostDims];
    lane.load(a.k.row(j) + g * a.D, k);
    lane.load(a.v.row(j) + g * a.D, v);
    add(weight_of(a, q, k, v, dout, log_sum, centre).y, k, sums);
  }
  lane.store(dq.row(n) + h * a.D, sums);
}

template <class T>
__global__ void __launch_bounds__(32 * kWarps)
    keys_kernel(Heads<T> a, const float* centres, View<T> dk, View<T> dv) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (j >= a.N) return;
  const int64_t g = blockIdx.y, end = (j / a.T_ + 1) * a.T_;
  const Lane lane(a.D);
  float k[kMostDims], v[kMostDims], of_k[kMostDims] = {}, of_v[kMostDims] = {};
  lane.load(a.k.row(j) + g * a.D, k);
  lane.load(a.v.row(j) + g * a.D, v);
  for (int64_t h = g * a.group(); h < (g + 1) * a.group(); ++h) {
    for (int64_t n = j; n < end; ++n) {
      float q[kMostDims], dout[kMostDims];
      lane.load(a.q.row(n) + h * a.D, q);
      lane.load(a.dout.row(n) + h * a.D, dout);
      const float2 w = weight_of(a, q, k, v, dout, a.log_sums[h * a.N + n], centres[h * a.N + n]);
      add(w.x, dout, of_v);
      add(w.y, q, of_k);
    }
  }
  lane.store(dk.row(j) + g * a.D, of_k);
  lane.store(dv.row(j) + g * a.D, of_v);
}

template <class T>
Heads<T> heads(const HeadShape& shape, const SequenceBatch& batch, ConstRows q, ConstRows k,
               ConstRows v) {
  Heads<T> a{};
  a.q = view<T>(q), a.k = view<T>(k), a.v = view<T>(v);
  a.N = batch.sequences * batch.length, a.T_ = batch.length;
  a.H = shape.H, a.G = shape.G, a.D = shape.D;
  a.scale = 1.0f / std::sqrt(static_cast<float>(shape.D));
  return a;
}
dim3 grid_of(int64_t N, int64_t heads) {
  return {static_cast<unsigned>((N + kWarps - 1) / kWarps), static_cast<unsigned>(heads)};
}
void turn_back(StreamHandle stream, const HeadShape& shape, const SequenceBatch& batch, Rows dq,
               Rows dk, const Angles& turn) {
  if (turn.cosine == nullptr) return;
  const int64_t N = batch.sequences * batch.length;
  rotate_positions(stream, dq, N, batch.length, shape.H, shape.D, turn.cosine, turn.sine, -1.0f);
  rotate_positions(stream, dk, N, batch.length, shape.G, shape.D, turn.cosine, turn.sine, -1.0f);
}
void check(const HeadShape& shape) {
  if (shape.D > 32 * kMostDims)
    columns_refused("a head", static_cast<long>(shape.D), 32 * kMostDims);
}

}  // namespace

int64_t causal_attention_scratch_bytes(const HeadShape& shape, const SequenceBatch& batch,
                                       Float type) {
  (void)type;
  return 2 * shape.H * batch.sequences * batch.length * int64_t{sizeof(float)};
}

void causal_attention(StreamHandle stream, const HeadShape& shape, const SequenceBatch& batch,
                      ConstRows q, ConstRows k, ConstRows v, Rows out, float* log_sums) {
  check(shape);
  const AttentionRun run{shape, batch, q, k, v};
  if (attention_takes_sm90(shape, batch, {q, k, v, out}))
    return attention_sm90(stream, run, out, log_sums);
  if (attention_takes(shape, {q, k, v, out})) return attention_mma(stream, run, out, log_sums);
  with_type(q.type, [&](auto t) {
    using T = decltype(t);
    const Heads<T> a = heads<T>(shape, batch, q, k, v);
    forward_kernel<T><<<grid_of(a.N, a.H), 32 * kWarps, 0, stream>>>(a, view<T>(out), log_sums);
  });
  TRIT_CUDA_LAUNCHED();
}

void causal_attention_backward(StreamHandle stream, const HeadShape& shape,
                               const SequenceBatch& batch, ConstRows q, ConstRows k, ConstRows v,
                               ConstRows out, const float* log_sums, ConstRows dout, Rows dq,
                               Rows dk, Rows dv, const Scratch& scratch, const Angles& turn) {
  check(shape);
  const int64_t needed = causal_attention_scratch_bytes(shape, batch, q.type);
  if (scratch.bytes < needed)
    scratch_too_small("causal_attention_backward", static_cast<long>(scratch.bytes),
                      static_cast<long>(needed));
  auto* centres = reinterpret_cast<float*>(scratch.memory);
  const std::initializer_list<ConstRows> rows = {q, k, v, out, dout, dq, dk, dv};
  if (attention_takes(shape, rows)) {
    const AttentionRun run{shape, batch, q, k, v};
    float* shifts = centres + shape.H * batch.sequences * batch.length;
    const AttentionGradients gradients{out, dout, log_sums, dq, dk, dv, centres, shifts, turn};
    attention_centres(stream, run, gradients);
    if (attention_takes_sm90(shape, batch, rows))
      return attention_backward_sm90(stream, run, gradients);
    attention_backward_mma(stream, run, gradients);
    return turn_back(stream, shape, batch, dq, dk, turn);
  }
  with_type(q.type, [&](auto t) {
    using T = decltype(t);
    Heads<T> a = heads<T>(shape, batch, q, k, v);
    a.out = view<T>(out), a.dout = view<T>(dout), a.log_sums = log_sums;
    queries_kernel<T><<<grid_of(a.N, a.H), 32 * kWarps, 0, stream>>>(a, view<T>(dq), centres);
    TRIT_CUDA_LAUNCHED();
    keys_kernel<T>
        <<<grid_of(a.N, a.G), 32 * kWarps, 0, stream>>>(a, centres, view<T>(dk), view<T>(dv));
    TRIT_CUDA_LAUNCHED();
  });
  turn_back(stream, shape, batch, dq, dk, turn);
}

}  // namespace trit::cuda
