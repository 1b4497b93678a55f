// attention_prompt.cu on Hopper (FlashAttention-3, arXiv 2407.08608): four warps fetch, two groups of four warps have 64
// rows of the tile each. Products are wgmma's, straight from shared memory, 128 positions a step. While a group makes
// weights of a step's scores, its sums of the step before run on, and the other group's products; the groups take
// turns in queueing theirs. A block does several tiles, the next one's queries and pages under way by then.

#include <algorithm>

#include "kernels/cuda/attention_prompt.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/hopper_half.h"
#include "kernels/cuda/tensor_map.h"

namespace trit::cuda {
namespace {

constexpr int kPage = static_cast<int>(kPagePositions);
constexpr int kRows = static_cast<int>(kPromptRows);
constexpr int kStep = 2 * kPage;  // positions of a step
constexpr int kStages = 2;        // steps in shared memory
constexpr int kGroup = 128, kFetchers = kGroup, kThreads = 3 * kGroup;
// As wgmma takes operands, with 128-byte swizzle: blocks of 64 columns, 128 rows of 128 bytes.
constexpr int kBlockBytes = 128 * 128;
static_assert(kRows == 128 && kStep == 128);

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// One of the two places for something: filled by those who fetch, freed by the warps that multiply.
struct Place {
  uint64_t full[2], free[2];
};
template <int kD>
struct Shared {
  static constexpr int kTile = kD / 64 * kBlockBytes;
  std::byte queries[2][kTile];  // of this item and the next
  std::byte keys[kStages][kTile], values[kStages][kTile];
  Place query, key, value;
  uint64_t landed;  // the last pages of an item's values
};
// What is at the n-th time: where, and the parity of its barriers.
__device__ inline int place_of(int n) { return n % 2; }
__device__ inline uint32_t parity_of(int n) { return static_cast<uint32_t>(n / 2 % 2); }

// The i-th item of this block: forth and back, so that all blocks have as much to do.
__device__ inline int item_of(int i) {
  const int blocks = static_cast<int>(gridDim.x), b = static_cast<int>(blockIdx.x);
  return i * blocks + (i % 2 == 0 ? b : blocks - 1 - b);
}

// Where 8 columns of a row are in swizzled blocks.
__device__ inline std::byte* piece_at(std::byte* tile, int row, int piece) {
  return tile + piece / 8 * kBlockBytes + row * 128 + (piece % 8 ^ row % 8) * 16;
}

// An item's queries, by `threads` threads of which this is number `thread`; zeros past its rows and dims.
template <int kD>
__device__ void fetch_queries(const PromptArguments& a, const PromptItem& item, std::byte* to,
                              int thread, int threads) {
  constexpr int kPieces = kD / 8;
  const int D = static_cast<int>(a.shape.D);
#pragma unroll 2
  for (int i = thread; i < kRows * kPieces; i += threads) {
    const int row = i / kPieces, piece = i % kPieces;
    const float* from = a.q + (item.first + row) * a.q_stride + item.head * D + 8 * piece;
    uint32_t halves[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float2 two{};
      if (row < item.rows && 8 * piece + 2 * j < D)
        two = *reinterpret_cast<const float2*>(from + 2 * j);
      halves[j] = pack(two.x * a.scale, two.y * a.scale);
    }
    *reinterpret_cast<uint4*>(piece_at(to, row, piece)) =
        uint4{halves[0], halves[1], halves[2], halves[3]};
  }
}

// ---- The warps that fetch ----

// A step's keys or values of integers on their way, by all who fetch: 16 bytes of a row at a time.
template <KvType kType, int kD>
struct Integers {
  static constexpr int kDims = kType == KvType::kInt8 ? 16 : 32;  // in 16 bytes
  static constexpr int kUnits = kD / kDims, kCount = kStep * kUnits / kFetchers;
  uint32_t words[kCount][4];
  float scales[kCount];  // zeros from the item's last position and dim D on

  __device__ static int row_of(int i) {
    return (static_cast<int>(threadIdx.x) + i * kFetchers) / kUnits;
  }
  __device__ static int unit() { return static_cast<int>(threadIdx.x) % kUnits; }

  __device__ void load(const PromptArguments& a, const PromptItem& item, int step, bool values) {
    const PageForm form = page_form(kType, static_cast<int>(a.shape.D));
    const bool wide = form.row_bytes % 16 == 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int row = row_of(i), place = row % kPage;
      scales[i] = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) words[i][j] = 0;
      if (step * kStep + row >= item.count() || 16 * unit() >= form.row_bytes) continue;
      const std::byte* page = a.cache.pages +
                              item.table[2 * step + row / kPage] * a.cache.page_bytes +
                              item.g * a.cache.head_bytes;
      const auto* numbers = reinterpret_cast<const uint32_t*>(
          page + (values ? form.values : 0) + place * form.row_bytes + 16 * unit());
      const std::byte* scale = page + (values ? form.value_scales : form.key_scales) +
                               place * form.groups * form.scale_bytes;
      if (wide) {
        const uint4 four = *reinterpret_cast<const uint4*>(numbers);
        words[i][0] = four.x, words[i][1] = four.y, words[i][2] = four.z, words[i][3] = four.w;
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j)
          if (16 * unit() + 4 * j < form.row_bytes) words[i][j] = numbers[j];
      }
      scales[i] = kType == KvType::kInt8
                      ? *reinterpret_cast<const float*>(scale)
                      : __half2float(reinterpret_cast<const __half*>(scale)[unit()]);
    }
  }
  __device__ void store(std::byte* to) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      uint32_t halves[kDims / 2];
#pragma unroll
      for (int j = 0; j < 4; ++j) decode(words[i][j], scales[i], halves + kDims / 8 * j);
#pragma unroll
      for (int j = 0; j < kDims / 8; ++j)
        *reinterpret_cast<uint4*>(piece_at(to, row_of(i), kDims / 8 * unit() + j)) =
            uint4{halves[4 * j], halves[4 * j + 1], halves[4 * j + 2], halves[4 * j + 3]};
    }
  }
  // The numbers of a word, times their scale, rounded once.
  __device__ static void decode(uint32_t word, float scale, uint32_t* halves) {
    if constexpr (kType == KvType::kInt8) {
      word ^= 0x80808080u;
      const float2 even = __half22float2(halves_of_codes(word, 0x00FF00FFu, 128));
      const float2 odd = __half22float2(halves_of_codes(word >> 8, 0x00FF00FFu, 128));
      halves[0] = pack(even.x * scale, odd.x * scale);
      halves[1] = pack(even.y * scale, odd.y * scale);
    } else {
      __half2 apart[4];  // dims i and i + 4
#pragma unroll
      for (int i = 0; i < 4; ++i)
        apart[i] =
            __hmul2(halves_of_codes(word >> 4 * i, 0x000F000Fu, 8), __float2half2_rn(scale));
      halves[0] = as_word(__lows2half2(apart[0], apart[1]));
      halves[1] = as_word(__lows2half2(apart[2], apart[3]));
      halves[2] = as_word(__highs2half2(apart[0], apart[1]));
      halves[3] = as_word(__highs2half2(apart[2], apart[3]));
    }
  }
};

// By one thread: the copy engine brings a step's keys or values.
template <int kD>
__device__ void copy_step(const PromptArguments& a, const CUtensorMap& map, const PromptItem& item,
                          int step, bool values, std::byte* to, uint64_t* barrier) {
  const int row_bytes = page_form(KvType::kF16, static_cast<int>(a.shape.D)).row_bytes;
  const int pages = min(2, (item.count() - step * kStep + kPage - 1) / kPage);
  hopper::barrier_expect(barrier, static_cast<uint32_t>(pages * kD * kPage * 2));
  for (int page = 0; page < pages; ++page) {
    const int64_t at =
        item.table[2 * step + page] * a.cache.page_bytes + item.g * a.cache.head_bytes;
    const int row = static_cast<int>(at / row_bytes) + (values ? kPage : 0);
#pragma unroll
    for (int block = 0; block < kD / 64; ++block)
      hopper::copy_box(to + block * kBlockBytes + page * kPage * 128, &map, 64 * block, row,
                       barrier);
  }
}

// Zeros for values of positions that nobody has written: what is there could be no number, and it is multiplied by 0.
template <int kD>
__device__ void clear_from(int position, std::byte* values) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int i = position * 8 + lane; i < kStep * 8; i += 32) {
#pragma unroll
    for (int block = 0; block < kD / 64; ++block)
      *reinterpret_cast<uint4*>(values + block * kBlockBytes + 16 * i) = uint4{};
  }
  hopper::show_writes();
  __syncwarp();
}

template <KvType kType, int kD>
__device__ void fetch_items(const PromptArguments& a, const CUtensorMap& map, Shared<kD>& shared) {
  constexpr bool kCopies = kType == KvType::kF16;  // warp 0 keeps the copy engine busy
  const int thread = static_cast<int>(threadIdx.x), items = static_cast<int>(a.items());
  int n = 0, ends = 0;  // steps, and last pages, so far
  for (int i = 0, index = item_of(0); index < items; index = item_of(++i)) {
    const PromptItem item = prompt_item(a, index);
    if (!kCopies || thread >= 32) {
      if (i > 0) {  // the first ones are there
        hopper::barrier_wait(&shared.query.free[place_of(i)], parity_of(i) ^ 1);
        fetch_queries<kD>(a, item, shared.queries[place_of(i)], kCopies ? thread - 32 : thread,
                          kCopies ? kFetchers - 32 : kFetchers);
        hopper::show_writes();
      }
      hopper::barrier_arrive(&shared.query.full[place_of(i)]);
    }
    if (kCopies && thread >= 32) continue;
    const int steps = (item.count() - 1) / kStep + 1, rest = item.count() % kStep;
    for (int step = 0; step < steps; ++step, ++n) {
      const int p = place_of(n);
      for (const bool values : {false, true}) {
        std::byte* to = values ? shared.values[p] : shared.keys[p];
        Place& place = values ? shared.value : shared.key;
        if constexpr (!kCopies) {
          Integers<kType, kD> integers;
          integers.load(a, item, step, values);
          hopper::barrier_wait(&place.free[p], parity_of(n) ^ 1);
          integers.store(to);
          hopper::show_writes();
          hopper::barrier_arrive(&place.full[p]);
          continue;
        }
        hopper::barrier_wait(&place.free[p], parity_of(n) ^ 1);
        if (values && rest != 0 && step == steps - 1) {
          if (thread == 0) copy_step<kD>(a, map, item, step, true, to, &shared.landed);
          hopper::barrier_wait(&shared.landed, static_cast<uint32_t>(ends++ % 2));
          clear_from<kD>(rest, to);
          if (thread == 0) hopper::barrier_arrive(&place.full[p]);
        } else if (thread == 0) {
          copy_step<kD>(a, map, item, step, values, to, &place.full[p]);
        }
      }
    }
  }
}

// ---- The groups that multiply ----

// A group's 64 rows: a thread has two of them (halves), 16 warp + lane / 4 and 8 below.
template <int kD>
struct Group {
  float score[64], out[kD / 2];
  uint32_t p[8][4];
  float most[2], sum[2], keep[2];

  // Queues the scores of these keys.
  __device__ void begin_scores(const std::byte* queries, const std::byte* keys) {
    hopper::pin(score);
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < kD / 16; ++s) {
      const int at = s / 4 * kBlockBytes + s % 4 * 32;
      hopper::multiply_rows(score, hopper::swizzled_rows(queries + at),
                            hopper::swizzled_rows(keys + at), s > 0);
    }
    hopper::products_end();
  }
  __device__ void begin_sums(const std::byte* values) {
#pragma unroll
    for (int j = 0; j < 8; ++j) hopper::pin(p[j]);
    hopper::pin(out);
    hopper::products_begin();
#pragma unroll
    for (int j = 0; j < 8; ++j)
      hopper::add_product(out, p[j], hopper::swizzled_columns(values + j * 2048, kBlockBytes));
    hopper::products_end();
  }
  // The place of the j-th score of a half, j < 32: position 8 (j / 2) + 2 (lane % 4) + j % 2 of the step.
  __device__ static constexpr int at(int half, int j) { return j / 2 * 4 + 2 * half + j % 2; }

  __device__ void mask(int first, int row_position) {
    const int column = first + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 32; ++j) {
        if (column + j / 2 * 8 + j % 2 > row_position + 8 * half) score[at(half, j)] = -INFINITY;
      }
    }
  }
  // Scores become weights; keep: what the sums so far count for.
  __device__ void weigh() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float high = most[half], other = score[at(half, 1)];
#pragma unroll
      for (int j = 0; j < 32; j += 2) {
        high = fmaxf(high, score[at(half, j)]);
        other = fmaxf(other, score[at(half, j + 1)]);
      }
      high = fmaxf(high, other);
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));  // finite: every row sees position 0
      keep[half] = power_of_2(most[half] - high);
      most[half] = high;
      float all = sum[half] * keep[half], more = 0;
#pragma unroll
      for (int j = 0; j < 32; j += 2) {
        float& s = score[at(half, j)];
        float& t = score[at(half, j + 1)];
        s = power_of_2(s - high);
        t = power_of_2(t - high);
        all += s, more += t;
      }
      sum[half] = all + more;
    }
  }
  __device__ void pack_weights() {
#pragma unroll
    for (int i = 0; i < 32; ++i) p[i / 4][i % 4] = pack(score[2 * i], score[2 * i + 1]);
  }
  __device__ void rescale() {
    if (!__any_sync(~0u, keep[0] != 1.0f || keep[1] != 1.0f)) return;
#pragma unroll
    for (int i = 0; i < kD / 2; ++i) out[i] *= keep[i / 2 % 2];
  }
};

template <KvType kType, int kD>
__device__ void multiply_items(const PromptArguments& a, Shared<kD>& shared) {
  const int thread = static_cast<int>(threadIdx.x) - kFetchers, lane = thread % 32;
  const int which = thread / kGroup, items = static_cast<int>(a.items());
  const int row0 = thread / 32 * 16 + lane / 4;  // and 8 below
  const auto freed = [&](uint64_t& barrier) {
    if (lane == 0) hopper::barrier_arrive(&barrier);
  };
  Group<kD> group;
  if (which == 1) hopper::named_arrive(1, 2 * kGroup);  // group 0 has the first turn
  int n = 0;
  for (int i = 0, index = item_of(0); index < items; index = item_of(++i)) {
    const PromptItem item = prompt_item(a, index);
    const int steps = (item.count() - 1) / kStep + 1;
    const std::byte* queries = shared.queries[place_of(i)] + which * 64 * 128;
    // The lowest position of the warp's rows: steps that reach past it have scores to hide.
    const int lowest = item.position + thread / 32 * 16;
    const auto weigh = [&](int step) {
      if ((step + 1) * kStep > lowest + 1) group.mask(step * kStep, item.position + row0);
      group.weigh();
    };
#pragma unroll
    for (int half = 0; half < 2; ++half)
      group.most[half] = -INFINITY, group.sum[half] = 0;
#pragma unroll
    for (int j = 0; j < kD / 2; ++j) group.out[j] = 0;

    hopper::barrier_wait(&shared.query.full[place_of(i)], parity_of(i));
    hopper::barrier_wait(&shared.key.full[place_of(n)], parity_of(n));
    group.begin_scores(queries, shared.keys[place_of(n)]);
    hopper::products_wait<0>();
    hopper::pin(group.score);
    freed(shared.key.free[place_of(n)]);
    weigh(0);
    group.pack_weights();
    for (int step = 1; step < steps; ++step, ++n) {
      const int next = place_of(n + 1), now = place_of(n);
      hopper::barrier_wait(&shared.key.full[next], parity_of(n + 1));
      hopper::named_wait(1 + which, 2 * kGroup);
      group.begin_scores(queries, shared.keys[next]);
      hopper::barrier_wait(&shared.value.full[now], parity_of(n));
      group.begin_sums(shared.values[now]);
      hopper::named_arrive(2 - which, 2 * kGroup);
      hopper::products_wait<1>();
      hopper::pin(group.score);
      freed(shared.key.free[next]);
      weigh(step);
      hopper::products_wait<0>();
      hopper::pin(group.out);
      freed(shared.value.free[now]);
      group.rescale();
      group.pack_weights();
    }
    freed(shared.query.free[place_of(i)]);
    hopper::barrier_wait(&shared.value.full[place_of(n)], parity_of(n));
    group.begin_sums(shared.values[place_of(n)]);
    hopper::products_wait<0>();
    hopper::pin(group.out);
    freed(shared.value.free[place_of(n)]);
    ++n;
#pragma unroll
    for (int half = 0; half < 2; ++half)
      finish_row<kD>(a, item, row0 + 8 * half, group.sum[half], [&](int j) {
        return group.out[j / 2 * 4 + 2 * half + j % 2];
      });
  }
  if (which == 0) hopper::named_wait(1, 2 * kGroup);  // the turn that group 1 has given back
}

#endif

template <KvType kType, int kD>
__global__ void __launch_bounds__(kThreads, 1)
    prompt_kernel(PromptArguments a, const __grid_constant__ CUtensorMap map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kD>*>(memory);
  constexpr bool kCopies = kType == KvType::kF16;
  const int thread = static_cast<int>(threadIdx.x);
  let_next_start();
  if (thread == 0) {
    for (int i = 0; i < 2; ++i) {
      hopper::barrier_init(&shared.query.full[i], kCopies ? kFetchers - 32 : kFetchers);
      for (Place* place : {&shared.key, &shared.value})
        hopper::barrier_init(&place->full[i], kCopies ? 1 : kFetchers);
      for (Place* place : {&shared.query, &shared.key, &shared.value})
        hopper::barrier_init(&place->free[i], 2 * kGroup / 32);
    }
    hopper::barrier_init(&shared.landed, 1);
    hopper::barrier_init_done();
  }
  wait_for_previous();
  fetch_queries<kD>(a, prompt_item(a, item_of(0)), shared.queries[0], thread, kThreads);
  hopper::show_writes();
  __syncthreads();
  // A multiprocessor has 512 registers for a warp of each group.
  if (thread < kFetchers) {
    hopper::give_registers<kCopies ? 88 : 104>();
    fetch_items<kType, kD>(a, map, shared);
  } else {
    hopper::take_registers<kCopies ? 208 : 200>();
    multiply_items<kType, kD>(a, shared);
  }
#endif
}

template <KvType kType, int kD>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  constexpr int kBytes = (2 + 2 * kStages) * kD / 64 * kBlockBytes + 256;
  CUtensorMap map{};
  if (kType == KvType::kF16)
    map = tensor_map(CU_TENSOR_MAP_DATA_TYPE_FLOAT16, CU_TENSOR_MAP_SWIZZLE_128B,
                     arguments.cache.pages, arguments.shape.D, int64_t{1} << 31,
                     page_form(kType, static_cast<int>(arguments.shape.D)).row_bytes, 64, kPage);
  const auto kernel = prompt_kernel<kType, kD>;
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const int64_t blocks = std::min<int64_t>(arguments.items(), device_limits().multiprocessors);
  launch_chained(stream, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), kBytes, kernel,
                 arguments, map);
}

template <KvType kType>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  if (arguments.shape.D <= 64) return launch<kType, 64>(stream, arguments);
  launch<kType, 128>(stream, arguments);
}

}  // namespace

void attention_of_tiles_sm90(StreamHandle stream, const PromptArguments& arguments) {
  if (arguments.cache.type == KvType::kF16) return launch<KvType::kF16>(stream, arguments);
  if (arguments.cache.type == KvType::kInt8) return launch<KvType::kInt8>(stream, arguments);
  launch<KvType::kInt4>(stream, arguments);
}

}  // namespace trit::cuda
