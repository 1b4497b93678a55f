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

#include "kernels/cuda/device.h"
#include "kernels/kv.h"

namespace trit::cuda {

// Scratch memory that calls on one stream share, a flag that rows with NaN or infinities raise, and counters that
// are zero whenever no call runs.
struct Scratch {
  std::byte* memory = nullptr;
  int64_t bytes = 0;
  int32_t* not_finite = nullptr;
  uint32_t* counters = nullptr;  // kCounters
};
inline constexpr int64_t kCounters = 1 << 16;

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
// One row, quantised on the way: what quantize_rows of norm(x) and ternary_linear give, bit for bit, in one launch
// (linear_single.cu). A product can leave behind what the one that takes its y wants to know of it.
struct Handed {
  float* gained =
      nullptr;  // [K rounded up to 16] x times the gain of the norm; 16-byte aligned, as is the next
  double* tiles =
      nullptr;  // [ceil(K / 16), 2] of 16 neighbours the sum of x^2 and the largest |x gain|
};
struct SingleRow {
  const float* x = nullptr;  // [K]; with `handed`: x is 0 from K to the next multiple of 16
  Norm norm;
  Handed handed;  // for this norm, or nothing
};
struct SingleOut {
  float* y = nullptr;           // [N or N / 2]
  const float* gain = nullptr;  // of the norm of the product that takes y; null: ones
  Handed handed;                // to be left for it, or nothing
};
int64_t
ternary_single_columns();  // of a layer, at most; 0 where the device has too little shared memory
void ternary_linear_single(StreamHandle stream, const TernaryLayer& layer, const SingleRow& row,
                           Epilogue epilogue, const SingleOut& out, const Scratch& scratch);

// y [T, n] = act(gate) up, rows of all three stride apart; epilogue kSiluMul or kRelu2Mul says which. For layers whose
// products cannot do it themselves.
void gate_rows(StreamHandle stream, const float* gate, const float* up, int64_t T, int64_t n,
               int64_t stride, Epilogue epilogue, float* y);
// y [T, n] = rows of x, rows of both stride apart: row t is row rows[t] of x.
void gather_rows(StreamHandle stream, const float* x, const int32_t* rows, int64_t T, int64_t n,
                 int64_t stride, float* y);

// full [T, columns], rows full_stride apart, = (kStore) or += (kAdd) what `ranks` ranks have gathered: `all` [ranks, T,
// all_stride], where rank r's first columns are columns * r / ranks to columns * (r + 1) / ranks - 1 of full. (columns.cu)
void place_columns(StreamHandle stream, const float* all, int64_t all_stride, int64_t ranks,
                   int64_t T, int64_t columns, Epilogue epilogue, float* full, int64_t full_stride);

// ---- Float layers: the baseline's and the head (dense_small.cu up to 8 rows, dense_large.cu) ----

// How weights are stored: floats, or ggml's blocks as their files have them (quant/layouts.h).
enum class DenseForm : uint8_t { kF32, kF16, kBF16, kQ8_0, kQ6_K, kQ4_0, kQ4_K };

struct DenseLayer {
  const void* weights = nullptr;  // [N, K], row after row without gaps, 16-byte aligned
  DenseForm form = DenseForm::kF16;
  int64_t rows = 0, columns = 0;  // blocks: K is a multiple of the block
  int64_t whole_rows =
      0;  // of the layer that these rows are a part of, which sums in the same order; 0: all of it
};
int64_t dense_row_bytes(DenseForm form, int64_t K);

// y [T, N] (+)= x W^T, x [T, K] float32 rows x_stride apart. Half weights: x is rounded to the weights' type, products
// exact, sums in float32. float32 weights and blocks (as decoded to float32): products and sums in float32.
// Epilogues as above (gate and up alternate by 16 rows too). The bits of a row do not depend on T while T <= kSmallRows;
// of blocks never.
void dense_linear(StreamHandle stream, const DenseLayer& layer, const float* x, int64_t x_stride,
                  int64_t T, Epilogue epilogue, float* y, int64_t y_stride, const Scratch& scratch);
// The same of norm(x), as rmsnorm_rows gives it, without writing that.
void dense_linear_fused(StreamHandle stream, const Norm& norm, const DenseLayer& layer,
                        const float* x, int64_t x_stride, int64_t T, Epilogue epilogue, float* y,
                        int64_t y_stride, const Scratch& scratch);
// Bytes of Scratch that both take for T rows; 0 up to kSmallRows.
int64_t dense_scratch_bytes(const DenseLayer& layer, int64_t T, Epilogue epilogue);

// x [T, C], rows x_stride apart, = rows `tokens` of the table [V, C] in any form.
void embed(StreamHandle stream, const DenseLayer& table, const int32_t* tokens, int64_t T, float* x,
           int64_t x_stride);

// The k <= 64 largest of each row of logits [T, V], the largest first, of tied ones the smaller token first: tokens
// and values [T, k]. k <= V < 2^31.
void top_logits(StreamHandle stream, const float* logits, int64_t T, int64_t V, int64_t k,
                int32_t* tokens, float* values, const Scratch& scratch);
int64_t top_logits_scratch_bytes(int64_t T, int64_t V, int64_t k);

// losses [T] = log(sum exp(logits[t])) - logits[t][targets[t]], logits [T, V]; targets are within V. (loss.cu)
void token_losses(StreamHandle stream, const float* logits, int64_t T, int64_t V,
                  const int32_t* targets, float* losses);

// Reads all `bytes` (a multiple of 16), to measure the memory, with so many blocks a multiprocessor; `out` is a word of no
// meaning. (read.cu)
void read_all(StreamHandle stream, const void* from, int64_t bytes, uint32_t* out, int blocks = 4);

// Random weights to measure with, `bytes` a multiple of 8: word i of 64 bits is made of splitmix64(seed + i). (random.cu)
// Codes of ternary levels: pairs of bits, of which 3 becomes 1.
void random_codes(StreamHandle stream, void* out, int64_t bytes, uint64_t seed);
// float16: size * (each 16 bits as a signed integer) / 2^15, size > 0.
void random_halves(StreamHandle stream, void* out, int64_t bytes, uint64_t seed, float size);

// ---- Attention over paged keys and values (attention.cu, kv.cu) ----

// The device's pages of one layer: page i at pages + i * page_bytes, in it head g at + g * head_bytes, 64 positions a
// page (kernels::kPagePositions). What is inside is the device's own (kv.cu), with the types of kernels/kv.h but for
// their order.
struct KvLayer {
  kernels::KvType type = kernels::KvType::kF16;
  std::byte* pages = nullptr;
  int64_t page_bytes = 0, head_bytes = 0;  // page_bytes: a multiple of head_bytes
};
int64_t kv_head_bytes(kernels::KvType type, int64_t D);

struct HeadShape {
  int64_t H = 0, G = 0, D = 0;
};

// Where rows stand: row t is position positions[t] of sequence sequences[t], whose pages are
// tables[sequence * table_stride + i]. longest (host): no position is as large as it.
//
// Rows of a prompt stand together: tile i is the rows tiles[2 i] to tiles[2 i] + tiles[2 i + 1] - 1, at most kPromptRows,
// of one sequence, at neighbouring positions. The rows in no tile are singles[0] to singles[single_count - 1].
// Without tiles every row is single (and singles is null).
struct RowSlots {
  const int32_t* sequences = nullptr;
  const int32_t* positions = nullptr;
  const int32_t* tables = nullptr;
  int64_t table_stride = 0;
  int64_t longest = 0;
  const int32_t* tiles = nullptr;
  const int32_t* singles = nullptr;
  int64_t tile_count = 0, single_count = 0;  // host
  bool apart =
      false;  // host: no two rows are of one sequence, and all positions before theirs are in the cache
};
inline constexpr int64_t kPromptRows = 128;

// How a row's query, key and value are made from their projection qkv [T, (H + 2 G) D] float32, q before k before v or at
// any columns: norms over each head of q and k, where there are norms, then a turn by the position.
struct QkvColumns {
  int64_t q = 0, k = 0, v = 0;
};
struct Rotation {
  QkvColumns columns;
  Norm q_norm, k_norm;
  const float* cosine = nullptr;  // [positions, D / 2]
  const float* sine = nullptr;
};
// Writes q back in place, and k and v into the pages; rows of qkv are stride apart.
void rotate_and_store(StreamHandle stream, const HeadShape& shape, float* qkv, int64_t stride,
                      int64_t T, const Rotation& rotation, const RowSlots& slots,
                      const KvLayer& cache);

// out [T, H D] (rows out_stride apart) = softmax(q.k / sqrt(D)) v over positions 0..positions[t] of the row's sequence,
// all of them in the cache. D <= 256; q and out start at 8 bytes, their strides are even. What slots points to is copied there before,
// not written by the kernel just ahead on the stream: it is read before that ends.
//
// A row's result depends on its query, its position, the keys and values up to it, and on whether it is in a tile, and on
// nothing else, bit for bit: single rows cut their positions by their number alone and put the parts together in
// order; tiles go by 128 positions. The two ways round differently. float16 and integer types, D <= 128: queries,
// keys, values and weights are rounded to float16, products exact, sums in float32. Others: float32 throughout.
void attention(StreamHandle stream, const HeadShape& shape, const float* q, int64_t q_stride,
               int64_t T, const RowSlots& slots, const KvLayer& cache, float* out,
               int64_t out_stride, const Scratch& scratch);
// Both, with the same bits, in one launch where slots.apart; qkv's q may be left as it was. What was in the cache before the
// call is then read before the kernels just ahead on the stream end: they must not write it.
void rotate_and_attend(StreamHandle stream, const HeadShape& shape, float* qkv, int64_t stride,
                       int64_t T, const Rotation& rotation, const RowSlots& slots,
                       const KvLayer& cache, float* out, int64_t out_stride,
                       const Scratch& scratch);
// Bytes of Scratch that attention may need for T rows of up to `longest` positions.
int64_t attention_scratch_bytes(const HeadShape& shape, int64_t T, int64_t longest);

}  // namespace trit::cuda
