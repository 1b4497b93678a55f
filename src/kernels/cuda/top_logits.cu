// Two kernels. The first gives each part of a row a block, which leaves its k largest, in order; the second merges the
// parts. A logit and its token are one key of 64 bits whose order is the one asked for, so that neither the parts nor
// the order of merging shows.
//
// A warp holds 64 keys in order, two a lane: `a` of lane i is key i, `b` key 32 + i. Sorting and merging are bitonic.

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

using Key = unsigned long long;

constexpr int kThreads = 256, kWarps = kThreads / 32, kMost = 64;
constexpr int kRoom = kThreads * 2;  // keys that a block orders at once
constexpr int kFew = kRoom * 4;      // keys that are ordered without much ado
constexpr int kMergers = 32;         // warps that merge the parts of a row

// Larger keys come first. NaN, of either sign, comes last.
__device__ Key key_of(float value, int64_t token) {
  const unsigned bits = __float_as_uint(value + 0.0f);  // -0 becomes 0: they are tied
  const unsigned order = isnan(value) ? 0u : (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<Key>(order) << 32 | (0xFFFFFFFFu - static_cast<unsigned>(token));
}
__device__ int32_t token_of(Key key) {
  return static_cast<int32_t>(0xFFFFFFFFu - static_cast<unsigned>(key));
}

struct Keys {
  Key a = 0, b = 0;
};

// Of this lane's key and that of lane ^ apart the larger or the smaller.
__device__ Key exchange(Key key, int apart, bool larger) {
  const Key other = __shfl_xor_sync(~0u, key, apart);
  return (key > other) == larger ? key : other;
}

// Bitonic keys (first falling, then rising, or turned around) into falling order.
__device__ void order_bitonic(Keys& keys, int lane) {
  const Key larger = keys.a > keys.b ? keys.a : keys.b;
  keys.b = keys.a > keys.b ? keys.b : keys.a;
  keys.a = larger;
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) {
    const bool first = (lane & apart) == 0;
    keys.a = exchange(keys.a, apart, first);
    keys.b = exchange(keys.b, apart, first);
  }
}

// Any keys into falling order.
__device__ void sort(Keys& keys, int lane) {
#pragma unroll
  for (int run = 2; run <= 32; run *= 2) {
#pragma unroll
    for (int apart = run / 2; apart > 0; apart /= 2) {
      const bool first = (lane & apart) == 0, falls = run == 32 || (lane & run) == 0;
      keys.a = exchange(keys.a, apart, first == falls);
      // The upper half rises in the end, so that both are bitonic.
      keys.b = exchange(keys.b, apart, first == (run == 32 ? false : falls));
    }
  }
  order_bitonic(keys, lane);
}

// The 64 largest of two runs in falling order.
__device__ void merge(Keys& keys, Keys others, int lane) {
  const Key a = __shfl_sync(~0u, others.b, 31 - lane), b = __shfl_sync(~0u, others.a, 31 - lane);
  if (a > keys.a) keys.a = a;
  if (b > keys.b) keys.b = b;
  order_bitonic(keys, lane);
}

// The warps' runs into one, which warp 0 has in the end.
template <int kCount>
__device__ void merge_warps(Keys& keys, Key (&shared)[kCount][kMost]) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int apart = kCount / 2; apart > 0; apart /= 2) {
    if (warp >= apart && warp < 2 * apart) {
      shared[warp][lane] = keys.a;
      shared[warp][32 + lane] = keys.b;
    }
    __syncthreads();
    if (warp < apart)
      merge(keys, {shared[warp + apart][lane], shared[warp + apart][32 + lane]}, lane);
  }
}

// The k largest of at(0) .. at(n - 1), in order, in warp 0. Of many only those are ordered that are not less than the
// k-th largest of the largest of kRoom groups, which are few unless the keys were laid out to deceive.
template <class Source>
__device__ Keys largest_keys(const Source& at, int n, int k) {
  __shared__ Key shared[kWarps][kMost], few[kRoom];
  __shared__ Key bound;
  __shared__ int found;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (n > kFew) {
    Keys most;
#pragma unroll 4
    for (int i = threadIdx.x; i < n; i += kRoom) {
      const Key a = at(i), b = i + kThreads < n ? at(i + kThreads) : 0;
      most.a = a > most.a ? a : most.a;
      most.b = b > most.b ? b : most.b;
    }
    sort(most, lane);
    merge_warps(most, shared);
    if (threadIdx.x == (k - 1) % 32) {
      bound = k <= 32 ? most.a : most.b;
      found = 0;
    }
    __syncthreads();
#pragma unroll 4
    for (int i = threadIdx.x; i < n; i += kThreads) {
      const Key key = at(i);
      if (key < bound) continue;
      const int place = atomicAdd(&found, 1);
      if (place < kRoom) few[place] = key;
    }
    __syncthreads();
  }
  const bool ordered = n > kFew && found <= kRoom;
  const int count = ordered ? found : n;
  Keys keys;
  for (int i = warp * 64; i < count; i += kRoom) {
    const int second = i + 32 + lane;
    Keys more;
    if (i + lane < count) more.a = ordered ? few[i + lane] : at(i + lane);
    if (second < count) more.b = ordered ? few[second] : at(second);
    sort(more, lane);
    merge(keys, more, lane);
  }
  merge_warps(keys, shared);
  return keys;
}

// Part blockIdx.x of row blockIdx.y: keys [rows, parts, k].
__global__ void __launch_bounds__(kThreads)
    top_of_parts(const float* logits, int64_t V, int64_t part, int k, Key* out) {
  wait_for_previous();
  const int lane = threadIdx.x;
  const float* row = logits + blockIdx.y * V;
  const int64_t begin = blockIdx.x * part, end = begin + part < V ? begin + part : V;
  const auto at = [&](int i) { return key_of(row[begin + i], begin + i); };
  const Keys keys = largest_keys(at, static_cast<int>(end - begin), k);
  out += (static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) * k;
  if (lane < 32 && lane < k) out[lane] = keys.a;
  if (lane < 32 && 32 + lane < k) out[32 + lane] = keys.b;
}

__device__ void write(Key key, const float* row, int64_t at, int32_t* tokens, float* values) {
  tokens[at] = token_of(key);
  values[at] = row[token_of(key)];
}

__global__ void __launch_bounds__(kMergers * 32)
    merge_parts(const Key* in, int parts, const float* logits, int64_t V, int k, int32_t* tokens,
                float* values) {
  __shared__ Key shared[kMergers][kMost];
  wait_for_previous();
  const int lane = threadIdx.x % 32;
  const int64_t t = blockIdx.x;
  in += t * parts * k;
  Keys keys;
  for (int i = threadIdx.x / 32; i < parts; i += kMergers) {
    const Keys more{lane < k ? in[i * k + lane] : 0, 32 + lane < k ? in[i * k + 32 + lane] : 0};
    merge(keys, more, lane);
  }
  merge_warps(keys, shared);
  if (threadIdx.x >= 32) return;
  if (lane < k) write(keys.a, logits + t * V, t * k + lane, tokens, values);
  if (32 + lane < k) write(keys.b, logits + t * V, t * k + 32 + lane, tokens, values);
}

__device__ Key block_largest(Key key, Key (&shared)[kWarps]) {
  for (int apart = 16; apart > 0; apart /= 2) key = exchange(key, apart, true);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = key;
  __syncthreads();
  for (const Key other : shared) key = other > key ? other : key;
  return key;
}

__global__ void __launch_bounds__(kThreads)
    largest_of_parts(const float* logits, int64_t V, int64_t part, Key* out) {
  __shared__ Key shared[kWarps];
  wait_for_previous();
  const float* row = logits + blockIdx.y * V;
  const int64_t begin = blockIdx.x * part, end = begin + part < V ? begin + part : V;
  Key key = 0;
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const Key other = key_of(row[i], i);
    key = other > key ? other : key;
  }
  key = block_largest(key, shared);
  if (threadIdx.x == 0) out[static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x] = key;
}

__global__ void __launch_bounds__(kThreads)
    largest_part(const Key* in, int parts, const float* logits, int64_t V, int32_t* tokens,
                 float* values) {
  __shared__ Key shared[kWarps];
  wait_for_previous();
  const int64_t t = blockIdx.x;
  Key key = 0;
  for (int i = threadIdx.x; i < parts; i += kThreads) {
    const Key other = in[t * parts + i];
    key = other > key ? other : key;
  }
  key = block_largest(key, shared);
  if (threadIdx.x == 0) write(key, logits + t * V, t, tokens, values);
}

// Parts of at least 1024 logits, as many as give every multiprocessor one.
struct Parts {
  int64_t count, length;
};
Parts parts_of(int64_t T, int64_t V) {
  constexpr int64_t kLeast = 1024;
  const int64_t wanted = (device_limits().multiprocessors + T - 1) / T;
  const int64_t most = (V + kLeast - 1) / kLeast, count = wanted < most ? wanted : most;
  const int64_t length = ((V + count - 1) / count + 63) / 64 * 64;
  return {(V + length - 1) / length, length};
}
constexpr int64_t kRowsAtOnce = 32768;

}  // namespace

int64_t top_logits_scratch_bytes(int64_t T, int64_t V, int64_t k) {
  return T * parts_of(T < kRowsAtOnce ? T : kRowsAtOnce, V).count * k *
         static_cast<int64_t>(sizeof(Key));
}

void top_logits(StreamHandle stream, const float* logits, int64_t T, int64_t V, int64_t k,
                int32_t* tokens, float* values, const Scratch& scratch) {
  auto* keys = reinterpret_cast<Key*>(scratch.memory);
  for (int64_t t = 0; t < T; t += kRowsAtOnce) {
    const int64_t rows = T - t < kRowsAtOnce ? T - t : kRowsAtOnce;
    const Parts parts = parts_of(rows, V);
    const float* from = logits + t * V;
    const dim3 grid(static_cast<unsigned>(parts.count), static_cast<unsigned>(rows));
    const dim3 merging(static_cast<unsigned>(rows));
    const auto count = static_cast<int>(parts.count), of_each = static_cast<int>(k);
    if (k == 1) {
      launch_chained(stream, grid, dim3(kThreads), 0, largest_of_parts, from, V, parts.length,
                     keys);
      launch_chained(stream, merging, dim3(kThreads), 0, largest_part, keys, count, from, V,
                     tokens + t, values + t);
    } else {
      launch_chained(stream, grid, dim3(kThreads), 0, top_of_parts, from, V, parts.length, of_each,
                     keys);
      launch_chained(stream, merging, dim3(kMergers * 32), 0, merge_parts, keys, count, from, V,
                     of_each, tokens + t * k, values + t * k);
    }
  }
}

}  // namespace trit::cuda
