#pragma once
// For .cu files: shared memory of attention_prompt_sm90.cu, and the four warps of a block that fill it: queries as float16,
// keys and values by the copy engine or, integers, decoded on the way.

#include "kernels/cuda/attention_prompt.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/hopper_half.h"
#include "kernels/cuda/tensor_map.h"

namespace trit::cuda::prompt {

inline constexpr int kPage = static_cast<int>(kPagePositions);
inline constexpr int kRows = static_cast<int>(kPromptRows);
inline constexpr int kStep = 2 * kPage;  // positions of a step
inline constexpr int kStages = 2;        // steps in shared memory
inline constexpr int kGroup = 128, kFetchers = kGroup, kThreads = 3 * kGroup;
// As wgmma takes operands, with 128-byte swizzle: blocks of 64 columns, 128 rows of 128 bytes.
inline constexpr int kBlockBytes = 128 * 128;
static_assert(kRows == 128 && kStep == 128);

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
inline __device__ std::byte* piece_at(std::byte* tile, int row, int piece) {
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
      const auto* numbers = reinterpret_cast<const uint32_t*>(page + (values ? form.values : 0) +
                                                              place * form.row_bytes + 16 * unit());
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
        apart[i] = __hmul2(halves_of_codes(word >> 4 * i, 0x000F000Fu, 8), __float2half2_rn(scale));
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

}  // namespace trit::cuda::prompt
