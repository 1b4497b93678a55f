// Ternary products of many rows through mma.sync.m16n8k32, for devices without wgmma.
//
// A block multiplies 128 weight rows by 64 tokens; a warp two tiles of 16 rows. Activations come in by cp.async, 128
// inputs a stage; weights go from memory to the registers of the next stage and are unpacked there.

#include <algorithm>

#include "kernels/cuda/check.h"
#include "kernels/cuda/large_epilogue.h"
#include "kernels/cuda/linear_large.h"
#include "quant/mma_tiles.h"

namespace trit::cuda::large {
namespace {

constexpr int kTokens = 64, kWarps = 4, kThreads = 32 * kWarps, kTiles = 2 * kWarps, kStages = 3;
constexpr int kStageBytes = kTokens * 128;

struct Operands {
  const uint4* tiles;
  const float* tile_scales;
  const int8_t* q;
  int64_t q_stride;
  const double* step;
  const int32_t* sum;
  int blocks, row_tiles;
};

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// 128 inputs of 64 tokens; the 16-byte parts of a token stand permuted, so that ldmatrix meets no bank twice.
__device__ inline void load_tokens(const Operands& in, int T, int first_token, int block,
                                   int8_t* to) {
#pragma unroll
  for (int i = 0; i < kStageBytes / 16 / kThreads; ++i) {
    const int part = static_cast<int>(threadIdx.x) + i * kThreads, token = part / 8,
              column = part % 8;
    const int there = first_token + token < T ? 16 : 0;  // zeros otherwise
    const int8_t* from =
        in.q + (there != 0 ? first_token + token : 0) * in.q_stride + block * 128 + column * 16;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     shared_address(to + token * 128 + (column ^ token % 8) * 16)),
                 "l"(from), "r"(there));
  }
}

__device__ inline void multiply(int32_t (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, "
      "%9}, "
      "{%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <bool kBF16>
__global__ __launch_bounds__(kThreads) void ternary_mma(Operands in, Output out) {
  __shared__ alignas(128) int8_t stages[kStages][kStageBytes];
  __shared__ alignas(16) float stage[kWarps][kStageFloats];
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int first_token = static_cast<int>(blockIdx.x) * kTokens;
  const int first_tile = static_cast<int>(blockIdx.y) * kTiles + 2 * warp;

  // Tiles past the last one are read as that.
  const uint4* weights[2];
#pragma unroll
  for (int i = 0; i < 2; ++i)
    weights[i] = in.tiles +
                 static_cast<int64_t>(min(first_tile + i, in.row_tiles - 1)) * in.blocks * 32 +
                 lane;

#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < in.blocks) load_tokens(in, out.T, first_token, s, stages[s]);
    asm volatile("cp.async.commit_group;");
  }
  int32_t sums[2][kTokens / 8][4] = {};
  uint4 next[2] = {weights[0][0], weights[1][0]};
  for (int block = 0; block < in.blocks; ++block) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2));
    __syncthreads();
    const int ahead = block + kStages - 1;
    if (ahead < in.blocks) load_tokens(in, out.T, first_token, ahead, stages[ahead % kStages]);
    asm volatile("cp.async.commit_group;");

    const uint4 now[2] = {next[0], next[1]};
    if (block + 1 < in.blocks) {
#pragma unroll
      for (int i = 0; i < 2; ++i) next[i] = weights[i][(block + 1) * 32];
    }
    const int8_t* tokens = stages[block % kStages];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t a[2][2][4];
#pragma unroll
      for (int s = 0; s < 2; ++s) {
#pragma unroll
        for (int tile = 0; tile < 2; ++tile) {
          const uint32_t words[4] = {now[tile].x, now[tile].y, now[tile].z, now[tile].w};
#pragma unroll
          for (int i = 0; i < 4; ++i)
            a[s][tile][i] = words[i] >> (2 * (2 * half + s)) & 0x03030303U;
        }
      }
#pragma unroll
      for (int n = 0; n < kTokens / 8; ++n) {
        // Lane l gives the address of row l % 8 of matrix l / 8: token l % 8, inputs 16 (l / 8) of 64.
        const int token = 8 * n + lane % 8, column = 4 * half + lane / 8;
        uint32_t b[4];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                     : "r"(shared_address(tokens + token * 128 + (column ^ token % 8) * 16)));
#pragma unroll
        for (int tile = 0; tile < 2; ++tile) {
          multiply(sums[tile][n], a[0][tile], b[0], b[1]);
          multiply(sums[tile][n], a[1][tile], b[2], b[3]);
        }
      }
    }
  }

  double scale[2];
#pragma unroll
  for (int i = 0; i < 2; ++i)
    scale[i] = static_cast<double>(in.tile_scales[min(first_tile + i, in.row_tiles - 1)]);
  with_way<kBF16>(out.way, [&](auto way) {
#pragma unroll
    for (int n = 0; n < kTokens / 8; ++n) {
      Factors factors[1];
      EightSums eight[1];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int token = min(first_token + 8 * n + 2 * (lane % 4) + i, out.T - 1);
        factors[0].step[i] = in.step[token];
        factors[0].rounded[i] = static_cast<float>(in.step[token]);
        factors[0].sum[i] = in.sum[token];
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) eight[0].v[i / 4][i % 4] = sums[i / 4][n][i % 4];
      finish<decltype(way)::value, 1>(out, eight, factors, scale, first_token + 8 * n,
                                      first_tile * 16, stage[warp]);
    }
  });
}

}  // namespace

void multiply_mma(StreamHandle stream, const Product& p) {
  const Operands in{reinterpret_cast<const uint4*>(p.layer.tiles),
                    p.layer.tile_scales,
                    p.x.q,
                    p.x.q_stride,
                    p.x.step,
                    p.x.sum,
                    static_cast<int>(mma_blocks(p.layer.columns)),
                    static_cast<int>(mma_tiles(p.layer.rows))};
  const dim3 grid(static_cast<unsigned>((p.T + kTokens - 1) / kTokens),
                  static_cast<unsigned>((in.row_tiles + kTiles - 1) / kTiles));
  if (p.bf16)
    ternary_mma<true><<<grid, kThreads, 0, stream>>>(in, output_of(p));
  else
    ternary_mma<false><<<grid, kThreads, 0, stream>>>(in, output_of(p));
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda::large
