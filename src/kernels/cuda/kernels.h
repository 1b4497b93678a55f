#pragma once
// The computations of kernels/kernels.h on NVIDIA devices, fused where that saves memory traffic or a launch. All
// pointers are device memory unless said otherwise. Calls queue work on a stream and return; sizes that change
// from step to step while a graph is replayed (positions, page tables) are read from device memory.
//
// Integer products are exact, so linear layers give the CPU's integers bit for bit, and their epilogue rounds as the
// CPU's does. Float rows sum in another order than the CPU's.
//
// Letters as in kernels/kernels.h: T rows (tokens), K inputs, N outputs, D size of an attention head, H query heads, G
// key/value heads.

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/cuda/device.h"
#include "kernels/kv.h"

namespace trit::cuda {

// Scratch memory that calls on one stream share, and a flag that rows with NaN or infinities raise.
struct Scratch {
  std::byte* memory = nullptr;
  int64_t bytes = 0;
  int32_t* not_finite = nullptr;
};

// ---- Rows ready for ternary layers (linear_rows.cu) ----

// [T, q_stride] int8, zero past K; q_stride is a multiple of 128. step [T] and sum [T] as quantize_i8 gives them.
struct QuantizedRows {
  int8_t* q = nullptr;
  int64_t q_stride = 0;
  double* step = nullptr;
  int32_t* sum = nullptr;
};

struct Norm {
  bool there = false;
  const float* gain = nullptr;  // [K], or null: ones
  float epsilon = 1e-5f;
};

// out.q = int8 of inner(outer(x)), x [T, K] float32 rows x_stride apart; the sums of the norms in double.
void quantize_rows(StreamHandle stream, const float* x, int64_t x_stride, int64_t T, int64_t K,
                   const Norm& outer, const Norm& inner, const QuantizedRows& out,
                   const Scratch& scratch);
// y = norm(x) [T, K], rows y_stride apart.
void rmsnorm_rows(StreamHandle stream, const float* x, int64_t x_stride, int64_t T, int64_t K,
                  const Norm& norm, float* y, int64_t y_stride);

// ---- Ternary layers (linear_small.cu up to 8 or 16 rows, linear_large.cu) ----

enum class Epilogue : uint8_t {
  kStore,     // y = v
  kAdd,       // y += v
  kSiluMul,   // rows of the layer alternate: 16 of gate, 16 of up; y [T, N / 2] = silu(gate) up
  kRelu2Mul,  // the same, y = max(gate, 0)^2 up
};

// Levels in tiles of 16 rows (quant/mma_tiles.h); each tile has a scale, so matrices that share their input can
// stand one below the other.
struct TernaryLayer {
  const uint8_t* tiles = nullptr;
  const float* tile_scales = nullptr;  // [N / 16]
  int64_t rows = 0;                    // N, a multiple of 16
  int64_t columns = 0;                 // K
};

// v[t][n] = float(sum_k level[n][k] q[t][k] * (step[t] * scale)), the product of the scales and that with the sum in
// double; y [T, N or N / 2] float32, rows y_stride apart.
void ternary_linear(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                    int64_t T, Epilogue epilogue, float* y, int64_t y_stride,
                    const Scratch& scratch);
// The two ways of it. `small` takes T <= kSmallRows.
inline constexpr int64_t kSmallRows = 8;
void ternary_linear_small(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                          int64_t T, Epilogue epilogue, float* y, int64_t y_stride,
                          const Scratch& scratch);
void ternary_linear_large(StreamHandle stream, const TernaryLayer& layer, const QuantizedRows& x,
                          int64_t T, Epilogue epilogue, float* y, int64_t y_stride,
                          const Scratch& scratch);

// ---- Float layers: the baseline's and the head (dense.cu) ----

struct DenseLayer {
  const void* weights = nullptr;  // [N, K] row-major
  DType type = DType::kF16;       // float32, float16 or bfloat16
  int64_t rows = 0, columns = 0;
};
// y [T, N] (+)= x W^T, x [T, K] float32 rows x_stride apart. float32 weights: products and sums in float32. Half
// weights: x is rounded to the weights' type, products exact, sums in float32. Epilogues as above (gate and up
// alternate by 16 rows too).
void dense_linear(StreamHandle stream, const DenseLayer& layer, const float* x, int64_t x_stride,
                  int64_t T, Epilogue epilogue, float* y, int64_t y_stride, const Scratch& scratch);

// x [T, C] = rows `tokens` of the table [V, C] of that type.
void embed(StreamHandle stream, const DenseLayer& table, const int32_t* tokens, int64_t T,
           float* x);

// The k <= 64 largest of each row of logits [T, V], the largest first, of tied ones the smaller token first: tokens
// and values [T, k].
void top_logits(StreamHandle stream, const float* logits, int64_t T, int64_t V, int64_t k,
                int32_t* tokens, float* values, const Scratch& scratch);

// ---- Attention over paged keys and values (attention.cu, kv.cu) ----

// The device's pages of one layer: page i at pages + i * page_bytes, in it head g at + g * head_bytes, 64 positions a
// page (kernels::kPagePositions). What is inside is the device's own (kv.cu), with the types of kernels/kv.h but for
// their order.
struct KvLayer {
  kernels::KvType type = kernels::KvType::kF16;
  std::byte* pages = nullptr;
  int64_t page_bytes = 0, head_bytes = 0;
};
int64_t kv_head_bytes(kernels::KvType type, int64_t D);

struct HeadShape {
  int64_t H = 0, G = 0, D = 0;
};

// Where rows stand: row t is position positions[t] of sequence sequences[t], whose pages are
// tables[sequence * table_stride + i]. longest (host): no position is as large as it.
struct RowSlots {
  const int32_t* sequences = nullptr;
  const int32_t* positions = nullptr;
  const int32_t* tables = nullptr;
  int64_t table_stride = 0;
  int64_t longest = 0;
};

// qkv [T, (H + 2 G) D] float32, rows stride apart, q before k before v at the given columns. Norms q and k over each
// head where there are norms, turns them (cosine and sine [positions, D / 2]), writes q back in place and k and v
// into the pages.
struct QkvColumns {
  int64_t q = 0, k = 0, v = 0;
};
void rotate_and_store(StreamHandle stream, const HeadShape& shape, float* qkv, int64_t stride,
                      const QkvColumns& columns, int64_t T, const Norm& q_norm, const Norm& k_norm,
                      const float* cosine, const float* sine, const RowSlots& slots,
                      const KvLayer& cache);

// out [T, H D] (rows out_stride apart) = softmax(q.k / sqrt(D)) v over positions 0..positions[t] of the row's sequence,
// all of them in the cache. Rows of a sequence
// stand together, in order. A row's result depends on its query and those positions alone.
void attention(StreamHandle stream, const HeadShape& shape, const float* q, int64_t q_stride,
               int64_t T, const RowSlots& slots, const KvLayer& cache, float* out,
               int64_t out_stride, const Scratch& scratch);
// Bytes of Scratch that attention may need for T rows of up to `longest` positions.
int64_t attention_scratch_bytes(const HeadShape& shape, int64_t T, int64_t longest);

}  // namespace trit::cuda
