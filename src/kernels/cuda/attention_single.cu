// Attention of single rows over their cached positions, on tensor cores (flash decoding: positions split over blocks).
// A block takes up to 16 query heads of one key/value head, as the rows of its products, and one chunk of a row's
// positions, 32 at a time a warp. The next keys are under way as soon as the last are used, and so are the values.
// What the chunks of a row find is put together, in order, by the last block to come to its end.

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kEach = 32;               // positions of a warp at a time
constexpr int kRound = kWarps * kEach;  // of a block
constexpr int kMostHeads = 16;          // query heads of a block
constexpr int kPage = static_cast<int>(kPagePositions);
static_assert(kChunkUnit % kRound == 0 && kPage % kEach == 0, "a warp's positions are of one page");

__host__ __device__ constexpr int pitch(int D) {
  return D + 8;
}  // halves from row to row: ldmatrix meets all banks

// The largest of a head's scores in the block.
__device__ inline float largest(const float (&most)[kWarps][kMostHeads], int head) {
  return fmaxf(fmaxf(most[0][head], most[1][head]), fmaxf(most[2][head], most[3][head]));
}

// A warp's shared memory: 32 keys and 32 values as float16; or both as they are in the page, with scales behind the
// numbers, and room for one of them as float16.
template <KvType kType, int kD>
struct WarpMemory {
  static constexpr bool kHalf = kType == KvType::kF16;
  static constexpr int kTile = kEach * pitch(kD) * 2;
  static constexpr int kNumbers = kEach * (kType == KvType::kInt8 ? kD : kD / 2);
  static constexpr int kRaw = kNumbers + kEach * (kType == KvType::kInt8 ? 4 : kD / 32 * 2);
  static constexpr int kBytes = kHalf ? 2 * kTile : kTile + 2 * kRaw;
};

// 32 rows of a page from row `place` on, their numbers at `data` and scales at `scales`, in the background; float16: zeros
// from row `count` on and dim D on.
template <KvType kType, int kD>
__device__ void fetch_rows(const PageForm& form, int D, const std::byte* data,
                           const std::byte* scales, int count, std::byte* to) {
  using Memory = WarpMemory<kType, kD>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if constexpr (Memory::kHalf) {
    constexpr int kPieces = kD / 8;  // of 8 dims
    const int pieces = (D + 7) / 8;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int at = 32 * i + lane, row = at / kPieces, piece = at % kPieces;
      const bool there = piece < pieces && row < count;
      copy_16_async(to + row * pitch(kD) * 2 + 16 * piece,
                    there ? data + row * form.row_bytes + 16 * piece : data, there);
    }
  } else {
#pragma unroll
    for (int i = 0; i < Memory::kNumbers / 512; ++i) {
      if (32 * i + lane < kEach / 16 * form.row_bytes)
        copy_16_async(to + 16 * (32 * i + lane), data + 16 * (32 * i + lane), true);
    }
    if (lane < kEach / 16 * form.groups * form.scale_bytes)
      copy_16_async(to + Memory::kNumbers + 16 * lane, scales + 16 * lane, true);
  }
}
// Integers that were fetched so as float16, zeros from row `count` on and dim D on.
template <KvType kType, int kD>
__device__ void decode_rows(const PageForm& form, int D, const std::byte* raw, int count,
                            __half* to) {
  constexpr int kPieces = kD / 8;
  const int lane = static_cast<int>(threadIdx.x) % 32, pieces = (D + 7) / 8;
  const std::byte* scales = raw + WarpMemory<kType, kD>::kNumbers;
#pragma unroll 4
  for (int i = 0; i < kPieces; ++i) {
    const int at = 32 * i + lane, row = at / kPieces, piece = at % kPieces;
    float v[8] = {};
    if (piece < pieces && row < count)
      load_eight<kType>(raw + row * form.row_bytes, scales + row * form.groups * form.scale_bytes,
                        piece, v);
    *reinterpret_cast<uint4*>(to + row * pitch(kD) + 8 * piece) =
        uint4{pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7])};
  }
}

// The sum over warps of shared [kWarps][heads][kD], each thread with its own elements; then body(head, dim, sum).
template <int kD, class Body>
__device__ void sum_of_warps(const float* shared, int heads, int D, Body body) {
  for (int i = static_cast<int>(threadIdx.x); i < heads * kD; i += kThreads) {
    if (i % kD >= D) continue;
    float v = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) v += shared[w * heads * kD + i];
    body(i / kD, i % kD, v);
  }
}

// What the chunks of heads first_head.. found (parts [heads][room]), in shared memory that nobody uses.
template <int kD>
__device__ void merge_chunks(const SingleRows& a, const float* parts, int heads, int chunks,
                             float* out, float* shared) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int D = static_cast<int>(a.shape.D), size = part_size(D);
  float* weights = shared + kWarps * heads * kD;  // [heads][kMostChunks]
  for (int h = warp; h < heads; h += kWarps) {
    float most[2], sum[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int c = lane + 32 * i;
      const float* part = parts + (h * static_cast<int64_t>(a.chunks) + c) * size;
      most[i] = c < chunks ? __ldcg(part) : -INFINITY;
      sum[i] = c < chunks ? __ldcg(part + 1) : 0.0f;
    }
    float high = fmaxf(most[0], most[1]);
    for (int apart = 16; apart > 0; apart /= 2)
      high = fmaxf(high, __shfl_xor_sync(~0u, high, apart));
    const float w0 = exp2f(most[0] - high), w1 = exp2f(most[1] - high);
    float total = w0 * sum[0] + w1 * sum[1];
    for (int apart = 16; apart > 0; apart /= 2) total += __shfl_xor_sync(~0u, total, apart);
    weights[h * kMostChunks + lane] = w0 / total;
    weights[h * kMostChunks + lane + 32] = w1 / total;
  }
  __syncthreads();
  constexpr int kColumns = kD / 4;
  for (int i = lane; i < heads * kColumns; i += 32) {
    const int h = i / kColumns, column = i % kColumns;
    float4 v{};
    if (4 * column < D) {
      const float* part = parts + h * static_cast<int64_t>(a.chunks) * size + 4 + 4 * column;
#pragma unroll 8
      for (int c = warp; c < chunks; c += kWarps) {
        const float4 x = __ldcg(reinterpret_cast<const float4*>(part + c * size));
        const float weight = weights[h * kMostChunks + c];
        v.x += weight * x.x, v.y += weight * x.y, v.z += weight * x.z, v.w += weight * x.w;
      }
    }
    *reinterpret_cast<float4*>(shared + (warp * heads + h) * kD + 4 * column) = v;
  }
  __syncthreads();
  sum_of_warps<kD>(shared, heads, D, [&](int h, int d, float v) { out[h * D + d] = v; });
}

// kHalves: 1 up to 8 heads.
template <KvType kType, int kD, int kHalves>
__global__ void __launch_bounds__(kThreads, 3) single_kernel(SingleRows a) {
  extern __shared__ __align__(16) std::byte shared[];
  using Memory = WarpMemory<kType, kD>;
  __shared__ float seen_most[kWarps][kMostHeads], seen_sum[kWarps][kMostHeads];
  __shared__ bool last;
  constexpr int kSteps = kD / 16, kHeads = 8 * kHalves;
  let_next_start();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int G = static_cast<int>(a.shape.G), group = static_cast<int>(a.shape.H) / G;
  const int D = static_cast<int>(a.shape.D);
  const int64_t z = blockIdx.z, t = a.row(z);
  const int parts = static_cast<int>(gridDim.y) / G;
  const int g = static_cast<int>(blockIdx.y) / parts, part = static_cast<int>(blockIdx.y) % parts;
  const int first_head = g * group + part * kHeads, heads = min(kHeads, group - part * kHeads);
  const int count = a.slots.positions[t] + 1, sequence = a.slots.sequences[t];
  const int chunk = chunk_of(count), chunks = (count + chunk - 1) / chunk;
  const int begin = static_cast<int>(blockIdx.x) * chunk, end = min(begin + chunk, count);
  const PageForm form = page_form(kType, D);
  const int32_t* table = a.slots.tables + sequence * a.slots.table_stride;
  std::byte* memory = shared + warp * Memory::kBytes;
  __half* tile = reinterpret_cast<__half*>(memory);
  __half* values_tile = tile + (Memory::kHalf ? Memory::kTile / 2 : 0);
  std::byte* raw_keys = memory + (Memory::kHalf ? 0 : Memory::kTile);
  std::byte* raw_values = raw_keys + (Memory::kHalf ? Memory::kTile : Memory::kRaw);
  const auto page_of = [&](int p) {
    return a.cache.pages + table[p / kPage] * a.cache.page_bytes + g * a.cache.head_bytes;
  };
  const auto fetch = [&](int p, int numbers, int scales, std::byte* to) {
    const int place = p % kPage;
    if (p < end)
      fetch_rows<kType, kD>(form, D, page_of(p) + numbers + place * form.row_bytes,
                            page_of(p) + scales + place * form.groups * form.scale_bytes, end - p,
                            to);
    copies_end();
  };
  const auto fetch_keys = [&](int p) { fetch(p, 0, form.key_scales, raw_keys); };
  const auto fetch_values = [&](int p) { fetch(p, form.values, form.value_scales, raw_values); };
  wait_for_previous();
  if (begin >= count) return;
  int first = begin + warp * kEach;
  fetch_keys(first);
  fetch_values(first);

  // The queries as left operands: a lane has rows lane / 4 and lane / 4 + 8.
  const float scale = a.scale * 1.44269504f;  // for exponentials of base 2
  uint32_t q[kSteps][2 * kHalves];
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < 2 * kHalves; ++i) {
      const int row = lane / 4 + i % kHalves * 8, d = 16 * s + lane % 4 * 2 + i / kHalves * 8;
      float2 two{};
      if (row < heads && d < D)
        two = *reinterpret_cast<const float2*>(a.q + t * a.q_stride + (first_head + row) * D + d);
      q[s][i] = pack(two.x * scale, two.y * scale);
    }
  }

  float sums[2 * kSteps][4] = {};
  float most[kHalves], sum[kHalves] = {};
#pragma unroll
  for (int half = 0; half < kHalves; ++half) most[half] = -INFINITY;
  for (; first < end; first += kRound) {
    copies_wait<1>();
    __syncwarp();
    if constexpr (!Memory::kHalf) {
      decode_rows<kType, kD>(form, D, raw_keys, end - first, tile);
      __syncwarp();
    }
    float score[4][4] = {};
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const uint32_t left[4] = {q[s][0], kHalves == 2 ? q[s][1] : 0, q[s][kHalves],
                                kHalves == 2 ? q[s][2 * kHalves - 1] : 0};
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        uint32_t k[4];
        load_matrices(
            k, tile + (16 * j + lane % 8 + lane / 16 * 8) * pitch(kD) + 16 * s + lane / 8 % 2 * 8);
        multiply(score[2 * j], left, k[0], k[1]);
        multiply(score[2 * j + 1], left, k[2], k[3]);
      }
    }
    __syncwarp();
    fetch_keys(first + kRound);
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      float high = most[half];
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        float& s = score[j / 2][2 * half + j % 2];
        if (first + j / 2 * 8 + lane % 4 * 2 + j % 2 >= end) s = -INFINITY;
        high = fmaxf(high, s);
      }
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
      const float keep = exp2f(most[half] - high);  // high is finite: position `first` is there
      most[half] = high;
      sum[half] *= keep;
#pragma unroll
      for (int n = 0; n < 2 * kSteps; ++n) sums[n][2 * half] *= keep, sums[n][2 * half + 1] *= keep;
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        float& s = score[j / 2][2 * half + j % 2];
        s = exp2f(s - high);
        sum[half] += s;
      }
    }
    copies_wait<1>();
    __syncwarp();
    if constexpr (!Memory::kHalf) {
      decode_rows<kType, kD>(form, D, raw_values, end - first, tile);
      __syncwarp();
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const uint32_t p[4] = {pack(score[2 * j][0], score[2 * j][1]),
                             kHalves == 2 ? pack(score[2 * j][2], score[2 * j][3]) : 0,
                             pack(score[2 * j + 1][0], score[2 * j + 1][1]),
                             kHalves == 2 ? pack(score[2 * j + 1][2], score[2 * j + 1][3]) : 0};
#pragma unroll
      for (int n = 0; n < kSteps; ++n) {
        uint32_t v[4];
        load_matrices_turned(
            v, values_tile + (16 * j + lane % 16) * pitch(kD) + 16 * n + lane / 16 * 8);
        multiply(sums[2 * n], p, v[0], v[1]);
        multiply(sums[2 * n + 1], p, v[2], v[3]);
      }
    }
    __syncwarp();
    fetch_values(first + kRound);
  }

  // The warps' sums together: all by the block's largest scores.
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
    sum[half] += __shfl_xor_sync(~0u, sum[half], 1);
    sum[half] += __shfl_xor_sync(~0u, sum[half], 2);
    if (lane % 4 == 0) {
      seen_most[warp][lane / 4 + 8 * half] = most[half];
      seen_sum[warp][lane / 4 + 8 * half] = sum[half];
    }
  }
  __syncthreads();
  float* together =
      reinterpret_cast<float*>(shared);  // [kWarps][heads][kD], over what the warps had
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
    const int row = lane / 4 + 8 * half;
    if (row >= heads) continue;
    const float factor = exp2f(most[half] - largest(seen_most, row));
#pragma unroll
    for (int n = 0; n < 2 * kSteps; ++n)
      *reinterpret_cast<float2*>(together + (warp * heads + row) * kD + 8 * n + lane % 4 * 2) =
          float2{sums[n][2 * half] * factor, sums[n][2 * half + 1] * factor};
  }
  __syncthreads();
  const auto total = [&](int h) {
    float all = 0;
    for (int w = 0; w < kWarps; ++w)
      all += seen_sum[w][h] * exp2f(seen_most[w][h] - largest(seen_most, h));
    return all;
  };
  float* to = a.out + t * a.out_stride + first_head * D;
  if (chunks == 1) {
    sum_of_warps<kD>(together, heads, D,
                     [&](int h, int d, float v) { to[h * D + d] = v / total(h); });
    return;
  }

  const int size = part_size(D);
  const int64_t head_size = static_cast<int64_t>(a.chunks) * size;
  float* of_row = a.partials + (z * a.shape.H + first_head) * head_size;
  float* mine = of_row + blockIdx.x * size;
  sum_of_warps<kD>(together, heads, D,
                   [&](int h, int d, float v) { mine[h * head_size + 4 + d] = v; });
  if (threadIdx.x < heads) {
    mine[threadIdx.x * head_size] = largest(seen_most, static_cast<int>(threadIdx.x));
    mine[threadIdx.x * head_size + 1] = total(static_cast<int>(threadIdx.x));
  }
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    // Wraps to zero with the last of them, for the next time.
    uint32_t* counter = a.counters + z * gridDim.y + blockIdx.y;
    const auto others = static_cast<unsigned>(chunks - 1);
    last = atomicInc(counter, others) == others;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  merge_chunks<kD>(a, of_row, heads, chunks, to, together);
}

template <KvType kType, int kD, int kHalves>
void launch(StreamHandle stream, const SingleRows& rows, dim3 grid) {
  constexpr int kBytes = kWarps * WarpMemory<kType, kD>::kBytes;
  static_assert(kWarps * 8 * kHalves * kD * 4 + 8 * kHalves * kMostChunks * 4 <= kBytes);
  const auto kernel = single_kernel<kType, kD, kHalves>;
  static const bool ready = [&] {
    TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
    return true;
  }();
  (void)ready;
  launch_chained(stream, grid, dim3(kThreads), kBytes, kernel, rows);
}

template <KvType kType, int kD>
void launch(StreamHandle stream, const SingleRows& rows, dim3 grid) {
  if (rows.shape.H / rows.shape.G <= 8) return launch<kType, kD, 1>(stream, rows, grid);
  launch<kType, kD, 2>(stream, rows, grid);
}

template <KvType kType>
void launch(StreamHandle stream, const SingleRows& rows, dim3 grid) {
  if (rows.shape.D <= 64) return launch<kType, 64>(stream, rows, grid);
  if (rows.shape.D <= 96) return launch<kType, 96>(stream, rows, grid);
  launch<kType, 128>(stream, rows, grid);
}

}  // namespace

void attention_of_singles(StreamHandle stream, const SingleRows& rows, dim3 grid) {
  if (rows.cache.type == KvType::kF16) return launch<KvType::kF16>(stream, rows, grid);
  if (rows.cache.type == KvType::kInt8) return launch<KvType::kInt8>(stream, rows, grid);
  launch<KvType::kInt4>(stream, rows, grid);
}

}  // namespace trit::cuda
