// Embedding, positions, and what is done to rows element by element. A thread has eight elements of a row.

#include "kernels/cuda/training_parts.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

using namespace training;

template <class Table, class Y>
__global__ void __launch_bounds__(kThreads)
    embedding_kernel(Groups groups, View<const Table> table, const int32_t* tokens, int64_t K,
                     View<Y> y) {
  int64_t r, k;
  if (!groups.place(r, k)) return;
  float v[kEach];
  fetch(table.row(tokens[r]), k, K, table.vectors, v);
  put(y.row(r), k, K, y.vectors, v);
}

// A block for each place of the order; the first one of a token adds up all rows of that token, in order. The block finds
// the next rows together, and then loads of eight of them are under way at once.
constexpr int kAdders = 64, kAhead = 8;
template <class T>
__global__ void __launch_bounds__(kAdders)
    embedding_backward_kernel(const int32_t* tokens, const int32_t* order, int64_t N, int64_t K,
                              View<const T> dy, View<float> table) {
  __shared__ int32_t rows[kAdders];
  const int64_t first = blockIdx.x;
  const int32_t token = tokens[order[first]];
  if (first > 0 && tokens[order[first - 1]] == token) return;
  const int64_t k = (static_cast<int64_t>(blockIdx.y) * kAdders + threadIdx.x) * kEach;
  float sum[kEach];
  fetch(table.row(token), k, K, table.vectors, sum);
  for (int64_t begin = first;; begin += kAdders) {
    const int64_t i = begin + threadIdx.x;
    const int32_t row = i < N ? order[i] : -1;
    const bool same = row >= 0 && tokens[row] == token;
    rows[threadIdx.x] = row;
    const int count = __syncthreads_count(same);  // equal tokens follow each other
    for (int r = 0; r < count; r += kAhead) {
      float v[kAhead][kEach];
#pragma unroll
      for (int j = 0; j < kAhead; ++j)
        if (r + j < count) fetch(dy.row(rows[r + j]), k, K, dy.vectors, v[j]);
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        if (r + j >= count) break;
#pragma unroll
        for (int e = 0; e < kEach; ++e) sum[e] = __fadd_rn(sum[e], v[j][e]);
      }
    }
    if (count < kAdders) break;
    __syncthreads();
  }
  put(table.row(token), k, K, table.vectors, sum);
}

// As rotate of kernels/cpu/float_rows.h rounds. K: half a head.
template <class T>
__global__ void __launch_bounds__(kThreads)
    rotate_kernel(Groups groups, View<T> x, int64_t T_, int64_t heads, int64_t half,
                  const float* cosine, const float* sine, float direction, bool whole) {
  int64_t i, k;
  if (!groups.place(i, k)) return;
  const int64_t r = i / heads, position = r % T_;
  T* head = x.row(r) + i % heads * 2 * half;
  const bool vectors = x.vectors && half % kEach == 0;
  float a[kEach], b[kEach], c[kEach], s[kEach];
  fetch(head, k, half, vectors, a);
  fetch(head + half, k, half, vectors, b);
  fetch(cosine + position * half, k, half, whole, c);
  fetch(sine + position * half, k, half, whole, s);
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const float first = a[j], turn = __fmul_rn(s[j], direction);
    a[j] = __fsub_rn(__fmul_rn(first, c[j]), __fmul_rn(b[j], turn));
    b[j] = __fadd_rn(__fmul_rn(b[j], c[j]), __fmul_rn(first, turn));
  }
  put(head, k, half, vectors, a);
  put(head + half, k, half, vectors, b);
}

template <class X, class Z, class Y>
__global__ void __launch_bounds__(kThreads)
    add_kernel(Groups groups, View<const X> x, View<const Z> z, int64_t K, View<Y> y) {
  int64_t r, k;
  if (!groups.place(r, k)) return;
  float a[kEach], b[kEach];
  fetch(x.row(r), k, K, x.vectors, a);
  fetch(z.row(r), k, K, z.vectors, b);
#pragma unroll
  for (int j = 0; j < kEach; ++j) a[j] += b[j];
  put(y.row(r), k, K, y.vectors, a);
}

template <class X, class Y>
__global__ void __launch_bounds__(kThreads)
    scale_kernel(Groups groups, View<const X> x, const float* factors, int64_t K, View<Y> y) {
  int64_t r, k;
  if (!groups.place(r, k)) return;
  float a[kEach];
  fetch(x.row(r), k, K, x.vectors, a);
  if (factors != nullptr) {
#pragma unroll
    for (int j = 0; j < kEach; ++j) a[j] *= factors[r];
  }
  put(y.row(r), k, K, y.vectors, a);
}

// float(double(q) step), as scale_i8 of kernels/kernels.h, by way of an exact product of floats and what is missing.
template <class Y>
__global__ void __launch_bounds__(kThreads)
    dequantize_kernel(Groups groups, QuantizedRows x, int64_t K, View<Y> y) {
  int64_t r, k;
  if (!groups.place(r, k)) return;
  const uint2 bytes = *reinterpret_cast<const uint2*>(x.q + r * x.q_stride + k);
  const double step = x.step[r];
  const float high = __double2float_rn(step);
  const float low = __double2float_rn(step - static_cast<double>(high));
  float a[kEach];
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const uint32_t word = j < 4 ? bytes.x : bytes.y;
    const auto q = static_cast<float>(static_cast<int8_t>(word >> (8 * (j % 4))));
    const float product = __fmul_rn(q, high);
    a[j] = __fadd_rn(product, __fmaf_rn(q, low, __fmaf_rn(q, high, -product)));
  }
  put(y.row(r), k, K, y.vectors, a);
}

// A warp for each block of 16 rows by 128 inputs.
template <class Y>
__global__ void __launch_bounds__(kThreads)
    unpack_kernel(TernaryLayer layer, bool scaled, int64_t across, View<Y> y) {
  const int64_t block = static_cast<int64_t>(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t tile = block / across, first = block % across * kMmaInputs + lane % 4 * 4;
  if (tile * kMmaRows >= layer.rows) return;
  const float scale = scaled ? layer.tile_scales[tile] : 1.0f;
  const uint4 four = reinterpret_cast<const uint4*>(layer.tiles + block * kMmaBlockBytes)[lane];
  const uint32_t words[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t row = tile * kMmaRows + lane / 4 + 8 * (i % 2);
    if (row >= layer.rows) continue;
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      const int64_t k = first + 32 * s + 16 * (i / 2);
      float v[4];
#pragma unroll
      for (int b = 0; b < 4; ++b)
        v[b] = scale * (static_cast<float>((words[i] >> (8 * b + 2 * s)) & 3) - 1.0f);
      Y* at = y.row(row) + k;
      if (y.vectors && k + 4 <= layer.columns) {
        if constexpr (sizeof(Y) == 2)
          *reinterpret_cast<uint2*>(at) = make_uint2(pair(v[0], v[1]), pair(v[2], v[3]));
        else
          *reinterpret_cast<float4*>(at) = make_float4(v[0], v[1], v[2], v[3]);
        continue;
      }
#pragma unroll
      for (int b = 0; b < 4; ++b)
        if (k + b < layer.columns) at[b] = narrow<Y>(v[b]);
    }
  }
}

}  // namespace

void embedding_forward(StreamHandle stream, ConstRows table, const int32_t* tokens, int64_t N,
                       int64_t K, Rows y) {
  const Groups all = groups(N, K);
  with_type(table.type, [&](auto t) {
    with_type(y.type, [&](auto o) {
      embedding_kernel<<<all.blocks(), kThreads, 0, stream>>>(all, view<decltype(t)>(table), tokens,
                                                              K, view<decltype(o)>(y));
    });
  });
  TRIT_CUDA_LAUNCHED();
}

void embedding_backward(StreamHandle stream, const int32_t* tokens, const int32_t* order, int64_t N,
                        int64_t K, ConstRows dy, float* dtable) {
  constexpr int64_t kColumns = kAdders * kEach;
  const dim3 grid(static_cast<unsigned>(N), static_cast<unsigned>((K + kColumns - 1) / kColumns));
  with_type(dy.type, [&](auto t) {
    embedding_backward_kernel<<<grid, kAdders, 0, stream>>>(
        tokens, order, N, K, view<decltype(t)>(dy), view<float>(Rows{dtable, K}));
  });
  TRIT_CUDA_LAUNCHED();
}

void rotate_positions(StreamHandle stream, Rows x, int64_t N, int64_t T, int64_t heads, int64_t D,
                      const float* cosine, const float* sine, float direction) {
  const Groups all = groups(N * heads, D / 2);
  const bool whole = D / 2 % kEach == 0 && reinterpret_cast<uintptr_t>(cosine) % 16 == 0 &&
                     reinterpret_cast<uintptr_t>(sine) % 16 == 0;
  with_type(x.type, [&](auto t) {
    rotate_kernel<<<all.blocks(), kThreads, 0, stream>>>(all, view<decltype(t)>(x), T, heads, D / 2,
                                                         cosine, sine, direction, whole);
  });
  TRIT_CUDA_LAUNCHED();
}

void add_rows(StreamHandle stream, ConstRows x, ConstRows z, int64_t N, int64_t K, Rows y) {
  const Groups all = groups(N, K);
  with_type(x.type, [&](auto a) {
    with_type(z.type, [&](auto b) {
      with_type(y.type, [&](auto c) {
        add_kernel<<<all.blocks(), kThreads, 0, stream>>>(
            all, view<decltype(a)>(x), view<decltype(b)>(z), K, view<decltype(c)>(y));
      });
    });
  });
  TRIT_CUDA_LAUNCHED();
}

void scale_rows(StreamHandle stream, ConstRows x, const float* factors, int64_t N, int64_t K,
                Rows y) {
  const Groups all = groups(N, K);
  with_type(x.type, [&](auto a) {
    with_type(y.type, [&](auto b) {
      scale_kernel<<<all.blocks(), kThreads, 0, stream>>>(all, view<decltype(a)>(x), factors, K,
                                                          view<decltype(b)>(y));
    });
  });
  TRIT_CUDA_LAUNCHED();
}

void convert_rows(StreamHandle stream, ConstRows x, int64_t N, int64_t K, Rows y) {
  scale_rows(stream, x, nullptr, N, K, y);
}

void dequantize_activations(StreamHandle stream, const QuantizedRows& x, int64_t N, int64_t K,
                            Rows y) {
  const Groups all = groups(N, K);
  with_type(y.type, [&](auto t) {
    dequantize_kernel<<<all.blocks(), kThreads, 0, stream>>>(all, x, K, view<decltype(t)>(y));
  });
  TRIT_CUDA_LAUNCHED();
}

void unpack_levels(StreamHandle stream, const TernaryLayer& layer, bool scaled, Rows y) {
  const int64_t across = mma_blocks(layer.columns), blocks = mma_tiles(layer.rows) * across;
  const auto grid = static_cast<unsigned>((blocks + kThreads / 32 - 1) / (kThreads / 32));
  with_type(y.type, [&](auto t) {
    unpack_kernel<<<grid, kThreads, 0, stream>>>(layer, scaled, across, view<decltype(t)>(y));
  });
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
