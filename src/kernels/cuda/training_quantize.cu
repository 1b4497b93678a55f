// Scales of matrices from the sums of their pieces (training_optimizer.cu), and their levels in tiles.

#include "kernels/cuda/training_parts.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

using namespace training;

constexpr int kWarps = kThreads / 32;

__device__ int64_t tiles_of(int64_t rows) { return (rows + kMmaRows - 1) / kMmaRows; }
__device__ int64_t blocks_of(int64_t columns) { return (columns + kMmaInputs - 1) / kMmaInputs; }

// fit_quantizer of quant/weights.cpp: a block for each matrix.
__global__ void __launch_bounds__(kThreads)
    scale_kernel(const ParameterPlan::Quantised* table, const double* sums, QuantizeCounts* counts,
                 int32_t* not_finite) {
  __shared__ double warps[2][kWarps];
  const ParameterPlan::Quantised& matrix = table[blockIdx.x];
  const ParameterTensor& tensor = matrix.tensor;
  double size = 0, plain = 0;
  for (int i = static_cast<int>(threadIdx.x); i < matrix.pieces; i += kThreads) {
    const double* of_piece = sums + 2 * (static_cast<int64_t>(matrix.first_piece) + i);
    size += of_piece[0];
    plain += of_piece[1];
  }
  size = sum_of_block<kWarps>(size, warps[0]);
  plain = sum_of_block<kWarps>(plain, warps[1]);
  const auto elements = static_cast<double>(tensor.rows * tensor.columns);
  const double count = elements > 1.0 ? elements : 1.0;
  const float mean = __double2float_rn(size / count);
  const float scale = mean < kScaleFloor ? kScaleFloor : mean;
  for (int64_t i = threadIdx.x; i < tiles_of(tensor.rows); i += kThreads)
    tensor.tile_scales[i * tensor.scale_stride] = scale;
  if (threadIdx.x != 0) return;
  counts[blockIdx.x] = {scale, __double2float_rn(plain / count), 0, 0};
  if (not_finite != nullptr && !isfinite(size)) *not_finite = 1;
}

// Which matrix has run i of blocks: the last that begins at it or before.
__device__ int matrix_of(const ParameterPlan::Quantised* table, int matrices, int64_t run) {
  int low = 0, high = matrices;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (table[middle].first_run <= run)
      low = middle;
    else
      high = middle;
  }
  return low;
}

// Four neighbours of a row, zeros past the matrix.
__device__ float4 four(const float* w, int64_t columns, int64_t rows, int64_t r, int64_t c,
                       bool vectors) {
  const float* at = w + r * columns + c;
  if (r >= rows) return {};
  if (vectors && c + 4 <= columns) return *reinterpret_cast<const float4*>(at);
  float4 v{};
  if (c < columns) v.x = at[0];
  if (c + 1 < columns) v.y = at[1];
  if (c + 2 < columns) v.z = at[2];
  if (c + 3 < columns) v.w = at[3];
  return v;
}

// Levels as quantize_weights has them, as codes.
struct Quantizer {
  bool binary;
  float inverse, threshold;
  __device__ uint32_t code(float w) const {
    if (binary) return w > threshold ? 2 : 0;
    const float scaled = __fmul_rn(w, inverse);
    return 1 + static_cast<uint32_t>(scaled > 0.5f) - static_cast<uint32_t>(scaled < -0.5f);
  }
};

// A warp makes blocks of 16 rows by 128 inputs: a lane its four words, of four neighbours in each of 16 places.
__global__ void __launch_bounds__(kThreads)
    tiles_kernel(const ParameterPlan::Quantised* table, int matrices, const float* parameters,
                 QuantizeCounts* counts) {
  __shared__ uint32_t zeros[kWarps], flips[kWarps];
  const int which = matrix_of(table, matrices, blockIdx.x);
  const ParameterTensor& tensor = table[which].tensor;
  const int64_t rows = tensor.rows, columns = tensor.columns, across = blocks_of(columns);
  const int64_t blocks = tiles_of(rows) * across;
  const float* w = parameters + tensor.offset;
  const bool vectors = columns % 4 == 0;
  const bool binary = tensor.kind == WeightKind::kBinary;
  const Quantizer quantizer{binary, __fdiv_rn(1.0f, counts[which].scale), counts[which].threshold};
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4, t = lane % 4;
  uint32_t zero = 0, flipped = 0;
  for (int i = warp; i < ParameterPlan::kBlocksAtOnce; i += kWarps) {
    const int64_t block = (blockIdx.x - table[which].first_run) * ParameterPlan::kBlocksAtOnce + i;
    if (block >= blocks) break;
    const int64_t tile = block / across, first = block % across * kMmaInputs + 4 * t;
    auto* out = reinterpret_cast<uint4*>(tensor.tiles + tile * tensor.tile_stride +
                                         block % across * kMmaBlockBytes) +
                lane;
    const uint4 before = *out;
    uint32_t words[4] = {};
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const int64_t row = tile * kMmaRows + g + 8 * (word % 2);
      const int64_t column = first + 16 * (word / 2);
      float4 v[4];
#pragma unroll
      for (int s = 0; s < 4; ++s) v[s] = four(w, columns, rows, row, column + 32 * s, vectors);
#pragma unroll
      for (int s = 0; s < 4; ++s) {
        const float* f = &v[s].x;
#pragma unroll
        for (int b = 0; b < 4; ++b) {
          const bool there = row < rows && column + 32 * s + b < columns;
          const uint32_t code = there ? quantizer.code(f[b]) : 1;
          words[word] |= code << (8 * b + 2 * s);
          zero += static_cast<uint32_t>(there && code == 1);
        }
      }
    }
    const uint32_t old[4] = {before.x, before.y, before.z, before.w};
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const uint32_t differs = old[word] ^ words[word];
      flipped += static_cast<uint32_t>(__popc((differs | differs >> 1) & 0x55555555U));
    }
    *out = make_uint4(words[0], words[1], words[2], words[3]);
  }
  zero = __reduce_add_sync(~0U, zero);
  flipped = __reduce_add_sync(~0U, flipped);
  if (lane == 0) zeros[warp] = zero, flips[warp] = flipped;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kWarps; ++i) zero += zeros[i], flipped += flips[i];
  atomicAdd(&counts[which].zeros, static_cast<unsigned long long>(zero));
  atomicAdd(&counts[which].flips, static_cast<unsigned long long>(flipped));
}

}  // namespace

void quantize_summed(StreamHandle stream, const ParameterPlan& plan, const float* parameters,
                     const Scratch& scratch) {
  if (plan.quantised() == 0) return;
  scale_kernel<<<static_cast<unsigned>(plan.quantised()), kThreads, 0, stream>>>(
      plan.quantised_table(), plan.sums(), plan.counts_for_writing(), scratch.not_finite);
  TRIT_CUDA_LAUNCHED();
  tiles_kernel<<<static_cast<unsigned>(plan.block_runs()), kThreads, 0, stream>>>(
      plan.quantised_table(), static_cast<int>(plan.quantised()), parameters,
      plan.counts_for_writing());
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
