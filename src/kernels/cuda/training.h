#pragma once
// What a training step on an NVIDIA device does beside its matrix products: the ops of ops/*.h and train/adamw.h, forward
// and backward. As in kernels/cuda/kernels.h, pointers are device memory unless said otherwise, and calls queue work on
// a stream and return.
//
// Activations are float32 or bfloat16, computed with in float32; parameters, their gradients and statistics are
// float32. Every result has the same bits from run to run on the same device: sums are taken in a fixed order, without
// atomics on floats, so that a resumed run is the uninterrupted one. float32 results are the CPU's but for the order
// of sums and the last bits of exp.
//
// Letters: N rows of B whole sequences of T tokens (row b T + t at position t), V vocabulary, K columns, F
// feed-forward width, H query heads, G key/value heads, D size of a head.

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "kernels/cuda/kernels.h"
#include "kernels/kernels.h"
#include "quant/weights.h"

namespace trit::cuda {

enum class Float : uint8_t { kF32, kBF16 };
constexpr int64_t float_bytes(Float type) { return type == Float::kF32 ? 4 : 2; }

// Rows of activations, a view: row r at data + r * stride elements. Columns that are not named are neither read nor
// written. Kernels are quickest where rows start at 16 bytes.
struct ConstRows {
  const void* data = nullptr;
  int64_t stride = 0;
  Float type = Float::kF32;
};
struct Rows {
  void* data = nullptr;
  int64_t stride = 0;
  Float type = Float::kF32;
  operator ConstRows() const { return {data, stride, type}; }
};

// ---- Norms and quantised rows (training_norm.cu) ----

// y = x r gain, r = 1 / sqrt(mean(x^2) + epsilon) in double; r goes to inverse_rms [N] (or null) for the backward
// pass. gain [K] or null. y may be x. K <= 65536.
void rmsnorm_forward(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const float* gain,
                     float epsilon, Rows y, float* inverse_rms);
// With g = dy gain: dx = (add: dx +) r g - x r^3 mean(g x); dgain [K] += sum of dy x r (null exactly when gain is). dx
// may be dy where not add. Scratch: norm_scratch_bytes.
void rmsnorm_backward(StreamHandle stream, ConstRows x, const float* inverse_rms, int64_t N,
                      int64_t K, const float* gain, ConstRows dy, Rows dx, bool add, float* dgain,
                      const Scratch& scratch);
int64_t norm_scratch_bytes(int64_t K);  // for any N

// The input of ternary layers: out = int8 of u = inner(outer(x)) as quantize_rows of kernels.h, for x of either type; not
// rounded in between. Beside it, where asked for: `dequantised` [N, K] = q step, what the products of the backward pass
// read (data null: none); each norm's 1 / rms [N] (null: not kept). A row that is not finite raises
// scratch.not_finite.
struct QuantizeExtras {
  Rows dequantised;
  float* outer_inverse_rms = nullptr;
  float* inner_inverse_rms = nullptr;
};
void quantize_activations(StreamHandle stream, ConstRows x, int64_t N, int64_t K, const Norm& outer,
                          const Norm& inner, const QuantizedRows& out, const QuantizeExtras& extras,
                          const Scratch& scratch);
// The same `dequantised`, from the quantised rows.
void dequantize_activations(StreamHandle stream, const QuantizedRows& x, int64_t N, int64_t K,
                            Rows y);

// ---- The gated unit (training_glu.cu, training_gated.cu) ----

// How gate and up share a matrix: gate's F columns before up's; or alternating by 16, as a ternary layer leaves
// them whose tiles alternate (column f of gate at f / 16 * 32 + f % 16, of up 16 to its right).
enum class GatePlaces : uint8_t { kHalves, kBy16 };
// y [N, F] = act(gate) up; activation: kSiluMul or kRelu2Mul. Gate and up are to be kept for the backward pass.
void glu_forward(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N, int64_t F,
                 Epilogue activation, Rows y);
// dgate_up (may be gate_up) from dy [N, F].
void glu_backward(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N, int64_t F,
                  Epilogue activation, ConstRows dy, Rows dgate_up);

// Both steps of a layer at once, for rows of bfloat16 that start at 16 bytes, F <= 8192 and, in halves, a multiple of 8;
// gated_rows_fuse says so of all rows that are given. The unit's result m is never there, and is not rounded.
bool gated_rows_fuse(GatePlaces places, int64_t F, std::initializer_list<ConstRows> rows);
// quantize_activations of m; extras.outer_inverse_rms is the norm's.
void glu_quantize(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N, int64_t F,
                  Epilogue activation, const Norm& norm, const QuantizedRows& out,
                  const QuantizeExtras& extras, const Scratch& scratch);
// rmsnorm_backward of m and glu_backward: dgate_up (may be gate_up) from du [N, F], the gradient of norm(m); dgain [F] +=.
void glu_norm_backward(StreamHandle stream, ConstRows gate_up, GatePlaces places, int64_t N,
                       int64_t F, Epilogue activation, const float* inverse_rms, const float* gain,
                       ConstRows du, Rows dgate_up, float* dgain, const Scratch& scratch);

// ---- Embedding, positions, rows (training_rows.cu) ----

// y [N, K] = rows `tokens` of the table (the float32 masters, or a bfloat16 copy).
void embedding_forward(StreamHandle stream, ConstRows table, const int32_t* tokens, int64_t N,
                       int64_t K, Rows y);
// Rows of a batch sorted by token, rows of one token in their order: order [N] is a permutation of 0..N - 1. All host
// memory; tokens are in 0..V - 1.
std::vector<int32_t> token_order(std::span<const int32_t> tokens, int64_t V);
// dtable [V, K] += rows of dy at their tokens, those of one token in their order; order: token_order's.
void embedding_backward(StreamHandle stream, const int32_t* tokens, const int32_t* order, int64_t N,
                        int64_t K, ConstRows dy, float* dtable);

// Turns `heads` heads of D neighbouring columns each, in place, to the position row % T; direction -1 turns back (the
// backward pass). cosine, sine [T, D / 2]. D is even.
void rotate_positions(StreamHandle stream, Rows x, int64_t N, int64_t T, int64_t heads, int64_t D,
                      const float* cosine, const float* sine, float direction);

// y = x + z; y = x, converted where types differ; y[r] = x[r] factors[r]. y may be x.
void add_rows(StreamHandle stream, ConstRows x, ConstRows z, int64_t N, int64_t K, Rows y);
void convert_rows(StreamHandle stream, ConstRows x, int64_t N, int64_t K, Rows y);
void scale_rows(StreamHandle stream, ConstRows x, const float* factors, int64_t N, int64_t K,
                Rows y);

// y [layer.rows, layer.columns] = the layer's levels, times their tile's scale if `scaled`: the right operand of
// dx = dy W. Unscaled levels are exact in bfloat16; the scale can then be the product's alpha.
void unpack_levels(StreamHandle stream, const TernaryLayer& layer, bool scaled, Rows y);

// ---- Loss (training_loss.cu) ----

// losses [N] = log(sum exp(logits)) - logits[target] of logits [N, V], which are replaced by their gradient
// gradient_scale (softmax - onehot(target)) unless that is 0; targets are within V. N may be any run of a batch's rows, so that logits
// exist for so many at a time only.
void cross_entropy(StreamHandle stream, Rows logits, int64_t N, int64_t V, const int32_t* targets,
                   float gradient_scale, float* losses);
// *sum = (add: *sum +) the sum of values [count] in double.
void sum_values(StreamHandle stream, const float* values, int64_t count, bool add, double* sum);

// ---- Attention (training_attention*.cu) ----

struct SequenceBatch {
  int64_t sequences = 0, length = 0;  // B, T; N = B T
};
// out [N, H D] = softmax(q.k / sqrt(D)) v over the positions of the row's sequence up to its own; q [N, H D], k and v
// [N, G D], already turned. log_sums [H, N]: the softmax's log of the sum of exp(q.k / sqrt(D)). All of one type. float32:
// float32 throughout. bfloat16: weights are rounded to it too, products exact, sums in float32.
// D <= 128, even; bfloat16: a multiple of 4, rows starting at 8 bytes.
void causal_attention(StreamHandle stream, const HeadShape& shape, const SequenceBatch& batch,
                      ConstRows q, ConstRows k, ConstRows v, Rows out, float* log_sums);
// Angles of positions [T, D / 2], starting at 8 bytes; null: none.
struct Angles {
  const float* cosine = nullptr;
  const float* sine = nullptr;
};
// Overwrites dq [N, H D], dk and dv [N, G D], given what went in and came out. A key head's gradient sums over its query
// heads and rows in order. With `turn`, dq and dk are those of q and k before rotate_positions.
void causal_attention_backward(StreamHandle stream, const HeadShape& shape,
                               const SequenceBatch& batch, ConstRows q, ConstRows k, ConstRows v,
                               ConstRows out, const float* log_sums, ConstRows dout, Rows dq,
                               Rows dk, Rows dv, const Scratch& scratch, const Angles& turn = {});
int64_t causal_attention_scratch_bytes(const HeadShape& shape, const SequenceBatch& batch,
                                       Float type);

// ---- The optimizer (training_optimizer.cu, training_quantize.cu) ----

// *norm = the Euclidean norm of gradients [count], summed in double; *factor (or null) = what they are to be multiplied with
// so that it is at most max_norm: 1, or float(max_norm / norm) (max_norm 0: 1). factor may be an AdamStep's
// gradient_scale. Scratch: gradient_norm_scratch_bytes().
void gradient_norm(StreamHandle stream, const float* gradients, int64_t count, double max_norm,
                   double* norm, float* factor, const Scratch& scratch);
int64_t gradient_norm_scratch_bytes();

// A parameter tensor in the flat arrays (model/model.h, tensor_table).
struct ParameterTensor {
  int64_t offset = 0;             // of its first element; a multiple of 4
  int64_t rows = 1, columns = 0;  // of a vector: one row
  bool decays = true;             // false: norm gains
  // kFloat: kept as floats, rounded to bfloat16 [rows, columns] in `rounded` too where that is not null.
  // kTernary, kBinary: quantised into tiles (quant/mma_tiles.h), tile i at tiles + i * tile_stride bytes, its scale at
  // tile_scales[i * scale_stride]: strides of two tiles for matrices that alternate.
  WeightKind kind = WeightKind::kFloat;
  void* rounded = nullptr;
  uint8_t* tiles = nullptr;
  float* tile_scales = nullptr;
  int64_t tile_stride = 0, scale_stride = 1;
};
// What a requantisation left of a tensor: its scale, levels of 0, and levels that are other than they were.
struct QuantizeCounts {
  float scale = 0, threshold = 0;
  unsigned long long zeros = 0, flips = 0;
};

// Which part of the flat arrays is whose, cut into pieces of work; made once, kept on the device. Tiles must be there
// already when it first quantises, or flips count against what the memory held.
class ParameterPlan {
 public:
  ParameterPlan(std::span<const ParameterTensor> tensors, StreamHandle stream);
  // Of quantised tensors, in the order given: [quantised()] on the device; of the last step or quantize_parameters.
  const QuantizeCounts* counts() const { return counts_.as<QuantizeCounts>(); }
  int64_t quantised() const { return quantised_; }

  // For the kernels.
  struct Piece {
    int64_t begin = 0;   // in the flat arrays
    int32_t count = 0;   // elements
    int32_t tensor = 0;  // of tensors()
  };
  static constexpr int64_t kPieceSize = 8192;
  struct Quantised {
    ParameterTensor tensor;
    int32_t first_piece = 0, pieces = 0;
    int64_t first_run = 0;  // of kBlocksAtOnce blocks of its tiles, over all quantised tensors
  };
  static constexpr int64_t kBlocksAtOnce = 16;
  int64_t pieces() const { return pieces_; }
  int64_t block_runs() const { return block_runs_; }
  const ParameterTensor* tensors() const { return tensors_.as<ParameterTensor>(); }
  const Piece* piece_table() const { return piece_table_.as<Piece>(); }
  const Quantised* quantised_table() const { return quantised_table_.as<Quantised>(); }
  double* sums() const { return sums_.as<double>(); }  // [pieces, 2] of |w| and of w
  QuantizeCounts* counts_for_writing() const { return counts_.as<QuantizeCounts>(); }

 private:
  int64_t pieces_ = 0, quantised_ = 0, block_runs_ = 0;
  DeviceMemory tensors_, piece_table_, quantised_table_, sums_, counts_;
};

// One update as kernels adamw makes it, bit for bit, of all tensors of the plan; *step is read on the device, so a replayed
// graph takes what stands there then (its `keep` is for tensors that decay). Then quantised tensors get new tiles,
// scales and counts, and float ones their rounded copy.
//
// Levels are those of fit_quantizer and quantize_weights of quant/weights.h for the same masters, except that the sum of |w|
// (in double) is taken in another order: the scale may differ in its last bit, once in some 10^6 matrices. Masters that
// are not finite raise scratch.not_finite.
void adamw_step(StreamHandle stream, const ParameterPlan& plan, const kernels::AdamStep* step,
                const float* gradients, float* parameters, float* first, float* second,
                const Scratch& scratch);
// The second half alone: of parameters as they are (at the start, after a resume).
void quantize_parameters(StreamHandle stream, const ParameterPlan& plan, const float* parameters,
                         const Scratch& scratch);

}  // namespace trit::cuda
