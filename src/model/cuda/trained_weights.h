#pragma once
// The parameters of a training step on an NVIDIA device: float32 masters and gradients in the order of the tensor table,
// and what the products read of them, which every update renews.
//
// Projections that share their input stand one below the other as one product: q, k and v; gate and up. Where each has a
// norm gain of its own (NormForm::kInner) their inputs differ, so they stay apart. The columns of each begin at a
// multiple of kWidth in what they write; those between are zeros.

#include <memory>
#include <optional>
#include <vector>

#include "kernels/cuda/training_products.h"
#include "model/model.h"

namespace trit::cuda {

inline constexpr int64_t kWidth = 16;
constexpr int64_t padded(int64_t columns) { return (columns + kWidth - 1) / kWidth * kWidth; }

// Pieces of one allocation, laid out twice: once to learn its size.
class Arena {
 public:
  explicit Arena(std::byte* memory = nullptr) : memory_(memory) {}
  template <class T>
  T* take(int64_t count) {
    std::byte* const place = memory_ == nullptr ? nullptr : memory_ + used_;
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 255) / 256 * 256;
    return reinterpret_cast<T*>(place);
  }
  Rows rows(int64_t count, int64_t stride, Float type) {
    return {take<std::byte>(count * stride * float_bytes(type)), stride, type};
  }
  int64_t used() const { return used_; }

 private:
  std::byte* memory_;
  int64_t used_ = 0;
};

// A view of some columns of rows.
template <class AnyRows>
AnyRows columns_from(const AnyRows& rows, int64_t column) {
  AnyRows part = rows;
  const int64_t bytes = column * float_bytes(rows.type);
  if constexpr (std::is_same_v<AnyRows, Rows>)
    part.data = static_cast<std::byte*>(rows.data) + bytes;
  else
    part.data = static_cast<const std::byte*>(rows.data) + bytes;
  return part;
}

// Projections with one input, as one matrix [width, inputs].
struct TrainedProduct {
  struct Part {
    int64_t row = 0;                 // of the tensor table
    int64_t offset = 0;              // in the flat arrays
    int64_t outputs = 0, first = 0;  // columns of what it writes
  };
  std::vector<Part> parts;  // in the order of the table
  int64_t inputs = 0, width = 0;
  // Ternary and binary weights: tiles of all parts. Otherwise:
  TernaryLayer levels;
  // Runs of rows of the matrix, `inputs` (or padded(inputs), zeros) columns. One, or one for each part.
  struct Floats {
    ConstRows rows;
    int64_t outputs = 0, first = 0, columns = 0;
  };
  std::vector<Floats> floats;
  Norm norm;                       // of the input
  float* norm_gradient = nullptr;  // of its gain
  bool ternary() const { return levels.tiles != nullptr; }
};

struct TrainedLayer {
  std::vector<TrainedProduct> qkv, gate_up;
  TrainedProduct o, down;
};

class TrainedWeights {
 public:
  // `type`: of the products that are not ternary. Masters are zeros. Throws Error for forms that devices do not train,
  // and when there is not enough memory.
  TrainedWeights(const Config& config, Float type, StreamHandle stream);

  Config config;
  std::vector<TensorRow> table;
  int64_t count = 0;           // of the flat arrays
  float* masters = nullptr;    // [count]
  float* gradients = nullptr;  // [count]
  std::vector<TrainedLayer> layers;
  ConstRows embedding;  // [V, C] float32
  float* embedding_gradient = nullptr;
  TrainedProduct head;
  Norm final_norm;
  float* final_norm_gradient = nullptr;
  int64_t q_column = 0, k_column = 0, v_column = 0, qkv_width = 0, ffn_width = 0;
  // Runs of gradients that products add to and never overwrite: of norms, and of an embedding that is not the head.
  struct Run {
    int64_t begin = 0, count = 0;
  };
  std::vector<Run> added_to;

  const ParameterPlan& plan() const { return *plan_; }
  // Queues what the products read, from the masters as they are; and the part of it that adamw_step leaves out.
  void renew(StreamHandle stream, const Scratch& scratch) const;
  void renew_copies(StreamHandle stream) const;

 private:
  struct Copy {
    ConstRows from;
    int64_t rows, columns;
    Rows to;
  };
  void lay_out(Arena& arena);
  TrainedProduct product(Arena& arena, int layer, std::initializer_list<Projection> projections);
  void place_levels(Arena& arena, TrainedProduct& product);
  void place_floats(Arena& arena, TrainedProduct& product);
  const TensorRow& row_of(int layer, Projection projection) const;
  const TensorRow* norm_row(int layer, std::string_view end,
                            Projection inside = Projection::kQ) const;
  void set_norm(TrainedProduct& product, const TensorRow* gain) const;

  Float type_;
  DeviceMemory memory_;
  std::vector<ParameterTensor> tensors_;  // by row of the table
  std::vector<Copy> copies_;
  std::optional<ParameterPlan> plan_;
};

}  // namespace trit::cuda
