#pragma once
// For .cu files: a warp of attention_single.cu at work on a round of 128 positions.

#include "kernels/cuda/attention_chunks.h"

namespace trit::cuda::single {

template <KvType kType, int kD, int kHeads>
struct BlockMemory {
  // A round in each stage: integers are soon done with, so that the next one would come too late.
  static constexpr int kStages = kType == KvType::kF16 ? 1 : 2;
  WarpMemory<kType, kD> warps[kWarps][kStages];
  __half queries[kHeads][kD + 8];
  // Of a round and the next: the warps' weights, with what they are relative to: the largest score, their sum, and the
  // scale of values (int8).
  __half weights[2][kHeads][kPitch];
  float most[2][kWarps][kHeads], sum[2][kWarps][kHeads], scale[2][kWarps][kHeads];
  // The row's own key and value as its page has them.
  alignas(16) std::byte fresh[2][kD * 2], fresh_scales[2][16];
  float angles[2][kD / 2];  // cosines and sines of the row's position
  bool last;
};

// The sums of a row's heads over some positions, as a warp has them: heads lane / 4 and lane / 4 + 8 of all, the dims of
// kTiles tiles.
template <int kTiles>
struct Sums {
  float most[2], sum[2], out[kTiles][4];
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < 2; ++i) most[i] = -INFINITY, sum[i] = 0;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) out[t][0] = out[t][1] = out[t][2] = out[t][3] = 0;
  }
  // More positions, behind these.
  template <int kHalves>
  __device__ void add(const Sums& more) {
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const float high = fmaxf(most[half], more.most[half]);
      const float keep = power_of_2(most[half] - high), factor = power_of_2(more.most[half] - high);
      most[half] = high;
      sum[half] = together(sum[half], keep, more.sum[half], factor);
#pragma unroll
      for (int t = 0; t < kTiles; ++t) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i)
          out[t][i] = together(out[t][i], keep, more.out[t][i], factor);
      }
    }
  }
};

// A block's warp at work on its rounds.
template <KvType kType, int kD, int kHalves, bool kRotates>
struct Warp {
  static constexpr int kHeads = 8 * kHalves, kTiles = kD / 32;
  using Block = BlockMemory<kType, kD, kHeads>;
  using Memory = WarpMemory<kType, kD>;
  const SingleRows& a;
  const Work& w;
  const PageForm& form;
  Block& block;
  int warp, lane;
  static constexpr int kStages = Block::kStages;

  __device__ Memory& memory_of(int round) const {
    return block.warps[warp][round / kRound % kStages];
  }

  // Positions from here on are not in the pages.
  __device__ int limit() const { return kRotates ? w.position : w.count(); }
  __device__ const std::byte* page_of(int p) const {
    return a.cache.pages + w.table[p / kPage] * a.cache.page_bytes + w.g * a.cache.head_bytes;
  }
  __device__ int scales_bytes(int positions) const {
    return positions * form.groups * form.scale_bytes;
  }
  // The number of bytes of scales, in 16s, that hold those of so many positions.
  __device__ int scales_there(int positions) const {
    return (scales_bytes(positions) + 15) / 16 * 16;
  }

  __device__ void fetch_keys(int round) {
    Memory& mine = memory_of(round);
    const int first = round + kEach * warp, rows = min(limit() - first, kEach);
    if (round < w.end() && rows > 0) {
      const std::byte* page = page_of(first);
      const int place = first % kPage;
      fetch_rows<Memory::kKeyRow, kEach>(mine.keys, page + place * form.row_bytes, form.row_bytes,
                                         form.row_bytes, rows);
      if constexpr (kType != KvType::kF16)
        fetch_scales(mine.key_scales, page + form.key_scales + scales_bytes(place),
                     scales_bytes(kEach), scales_there(rows));
    }
    copies_end();
  }
  __device__ void fetch_values(int round) {
    Memory& mine = memory_of(round);
    constexpr int kBytes = Memory::kValueRow;
    if (round < w.end()) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int first = round + kPage * i, rows = max(min(limit() - first, kPage), 0);
        const std::byte* page = rows > 0 ? page_of(first) : a.cache.pages;
        const std::byte* from =
            form.row_bytes > warp * kBytes ? page + form.values + warp * kBytes : page;
        fetch_rows<kBytes, kPage>(mine.values + i * kPage * kBytes, from, form.row_bytes,
                                  form.row_bytes - warp * kBytes, rows);
        if constexpr (kType == KvType::kInt4)
          fetch_scales(mine.value_scales + i * scales_bytes(kPage), page + form.value_scales,
                       scales_bytes(kPage), scales_there(rows));
      }
      if constexpr (kType == KvType::kInt8) {
        const int first = round + kEach * warp, rows = min(limit() - first, kEach);
        if (rows > 0)
          fetch_scales(mine.value_scales,
                       page_of(first) + form.value_scales + scales_bytes(first % kPage),
                       scales_bytes(kEach), scales_there(rows));
      }
    }
    copies_end();
  }
  // The row's own key, and value, where it belongs.
  __device__ void put_scales(std::byte* to, int position, const std::byte* from) {
    if (lane * 2 < scales_bytes(1))
      reinterpret_cast<uint16_t*>(to + scales_bytes(position))[lane] =
          reinterpret_cast<const uint16_t*>(from)[lane];
  }
  __device__ void put_key(int round) {
    Memory& mine = memory_of(round);
    const int at = w.position - round;
    if (!kRotates || at >= kRound || at / kEach != warp) return;
    put_row<Memory::kKeyRow>(mine.keys, at % kEach, block.fresh[0]);
    put_scales(mine.key_scales, at % kEach, block.fresh_scales[0]);
    __syncwarp();
  }
  __device__ void put_value(int round) {
    Memory& mine = memory_of(round);
    const int at = w.position - round;
    if (at >= kRound - 1 && !(kRotates && at == kRound - 1)) return;
    if (kRotates) {
      put_row<Memory::kValueRow>(mine.values, at, block.fresh[1] + warp * Memory::kValueRow);
      if (kType == KvType::kInt4) put_scales(mine.value_scales, at, block.fresh_scales[1]);
      if (kType == KvType::kInt8 && at / kEach == warp)
        put_scales(mine.value_scales, at % kEach, block.fresh_scales[1]);
    }
    // Scales of what is not there could be no numbers.
    if constexpr (kType == KvType::kInt4) {
      for (int i = (at + 1) * form.groups + lane; i < kRound * form.groups; i += 32)
        reinterpret_cast<__half*>(mine.value_scales)[i] = __half(0.0f);
    }
    __syncwarp();
  }

  // 16 columns of what stands in rows, from `column` on, as left operand. Up to 8 heads are there twice, and nobody looks
  // at the second ones' products: zeros would be put into registers anew for each.
  template <int kPitchOfRow>
  __device__ void load_left(uint32_t (&left)[4], const __half (&rows)[kHeads][kPitchOfRow],
                            int column) const {
    load_matrices(left, &rows[lane % kHeads % 16][column + lane / 16 * 8]);
  }

  // The warp's scores of a round become weights in the block's memory.
  __device__ void weigh(int round, int turn) {
    Memory& mine = memory_of(round);
    float score[4][4] = {};
    constexpr int kSteps = Keys<kType, kD>::kSteps;
    const Keys<kType, kD> keys{mine, form.groups};
#pragma unroll kType == KvType::kInt8 ? 8 : 4
    for (int s = 0; s < kD / 16; s += kSteps) {
      uint32_t left[kSteps][4];
#pragma unroll
      for (int i = 0; i < kSteps; ++i) load_left(left[i], block.queries, 16 * (s + i));
      keys.operands(s, [&](int j, int step, uint32_t b0, uint32_t b1) {
        multiply(score[j], left[step - s], b0, b1);
      });
    }
    const int first = round + kEach * warp, column = lane % 4 * 2;
    float value_scale[8], scale_of_all = 0;  // int8: a weight takes its value's scale along
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int key = j / 2 * 8 + column + j % 2;
      const bool there = first + key < w.count();
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
        float& s = score[j / 2][2 * half + j % 2];
        s = there ? s * keys.scale(key) : -INFINITY;
      }
      if constexpr (kType == KvType::kInt8) {
        value_scale[j] = there ? reinterpret_cast<const float*>(mine.value_scales)[key] : 0.0f;
        scale_of_all = fmaxf(scale_of_all, value_scale[j]);
      }
    }
    float inverse = 1;
    if constexpr (kType == KvType::kInt8) {
      scale_of_all = fmaxf(scale_of_all, __shfl_xor_sync(~0u, scale_of_all, 1));
      scale_of_all = fmaxf(scale_of_all, __shfl_xor_sync(~0u, scale_of_all, 2));
      inverse = scale_of_all > 0 ? 1.0f / scale_of_all : 0.0f;
    }
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      float high = -INFINITY;
#pragma unroll
      for (int j = 0; j < 8; ++j) high = fmaxf(high, score[j / 2][2 * half + j % 2]);
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
      const float zero = high == -INFINITY ? 0.0f : high;  // no position of the warp's is there
      float sum = 0, weight[8];
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        weight[j] = power_of_2(score[j / 2][2 * half + j % 2] - zero);
        sum += weight[j];
        if constexpr (kType == KvType::kInt8) weight[j] *= value_scale[j] * inverse;
      }
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      const int head = lane / 4 + 8 * half;
#pragma unroll
      for (int j = 0; j < 4; ++j)
        *reinterpret_cast<uint32_t*>(&block.weights[turn][head][kEach * warp + 8 * j + column]) =
            pack(weight[2 * j], weight[2 * j + 1]);
      if (lane % 4 == 0) {
        block.most[turn][warp][head] = high;
        block.sum[turn][warp][head] = sum;
        if constexpr (kType == KvType::kInt8) block.scale[turn][warp][head] = scale_of_all;
      }
    }
  }

  // The weighted values of a round, all positions, this warp's dims.
  __device__ void sum_values(int round, int turn, Sums<kTiles>& found) {
    const Memory& mine = memory_of(round);
    found.clear();
    const int group = warp * kD / kWarps / 32, head = lane / 4;
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const auto most = [&](int i) { return block.most[turn][i][head + 8 * half]; };
      // Finite: the round's first position is there.
      found.most[half] = fmaxf(fmaxf(most(0), most(1)), fmaxf(most(2), most(3)));
    }
    // By the warps whose weights they are. More at a time would take registers that there are not.
#pragma unroll kType == KvType::kInt4 ? 1 : 2
    for (int i = 0; i < kWarps; ++i) {
      float part[kTiles][4] = {};
#pragma unroll
      for (int j = 0; j < kEach / 16; ++j) {
        const int s = kEach / 16 * i + j;
        uint32_t p[4], v[kTiles][2];
        load_left(p, block.weights[turn], 16 * s);
        load_values<kType, kD>(mine, s, form.groups, group, v);
#pragma unroll
        for (int t = 0; t < kTiles; ++t) multiply(part[t], p, v[t][0], v[t][1]);
      }
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
        float factor = power_of_2(block.most[turn][i][head + 8 * half] - found.most[half]);
        found.sum[half] += block.sum[turn][i][head + 8 * half] * factor;
        if constexpr (kType == KvType::kInt8) factor *= block.scale[turn][i][head + 8 * half];
#pragma unroll
        for (int t = 0; t < kTiles; ++t) {
          found.out[t][2 * half] += part[t][2 * half] * factor;
          found.out[t][2 * half + 1] += part[t][2 * half + 1] * factor;
        }
      }
    }
  }

  // body(head of the block, dim, value) for all that this lane has.
  template <class Body>
  __device__ void each_sum(const Sums<kTiles>& sums, Body body) const {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 2 * kHalves; ++i) {
        const int head = lane / 4 + i / 2 * 8;
        const int d = warp * kD / kWarps + value_dim<kType>(t, lane % 4 * 2 + i % 2);
        if (head < w.heads && d < static_cast<int>(a.shape.D)) body(head, d, sums.out[t][i], i / 2);
      }
    }
  }
};

}  // namespace trit::cuda::single
