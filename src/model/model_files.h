#pragma once
// What the readers of model files share: a Model put together tensor by tensor.

#include <memory>
#include <string>

#include "base/file.h"
#include "model/checkpoint.h"

namespace trit {

// What a model is opened for.
enum class OpenFor : uint8_t {
  kAnything,  // levels in the canonical packing, all checked
  kRunning,   // arrange() follows, which checks the levels that it copies on the way
};

// Readers, one per kind of file; Model::open calls them.
Model open_hf_model(const Path& directory);
Model open_gguf_model(const Path& file, OpenFor purpose);

// Collects a model's tensors. Every call names a row of table() by its index and may be made from several
// threads for different rows. `where` in errors is file and tensor. Errors are those of Model::open.
class ModelBuilder {
 public:
  explicit ModelBuilder(const Config& config, OpenFor purpose = OpenFor::kAnything)
      : purpose_(purpose), model_(config) {}
  std::span<const TensorRow> table() const { return model_.table_; }
  const Config& config() const { return model_.config(); }
  Linear& linear(size_t row);  // of a projection

  // Files that the tensors below may point into stay open with the model.
  void keep(std::shared_ptr<const void> file) { model_.files_.push_back(std::move(file)); }

  // A norm, embedding, head or float projection. Norms are copied to float32, the others stay where
  // they lie if their alignment permits. All must be finite.
  void set_float(size_t row, const TensorView& tensor, std::string_view where);
  // The same from values that exist nowhere else, or in blocks of a packed layout (not a norm).
  void set_float(size_t row, DType type, Buffer<std::byte> values, std::string_view where);
  void set_blocks(size_t row, const PackedLayout& layout, std::span<const uint8_t> bytes,
                  std::string_view where);
  void set_blocks(size_t row, const PackedLayout& layout, Buffer<std::byte> bytes,
                  std::string_view where);
  // Levels in the canonical packing, which are checked (or will be: OpenFor), and their scale, or with InputKind::kFloat their
  // scales by run: views of a kept file, or made. `scale_where` is the scale's place for errors.
  void set_packed(size_t row, const uint8_t* packed, float scale, std::string_view where,
                  std::string_view scale_where);
  void set_packed(size_t row, const uint8_t* packed, const float* run_scales,
                  std::string_view where, std::string_view scale_where);
  void set_packed(size_t row, Buffer<uint8_t> packed, float scale, std::string_view where);
  void set_packed(size_t row, Buffer<uint8_t> packed, Buffer<float> run_scales,
                  std::string_view where);
  // Full-precision weights of a projection that is to be packed: quantised here.
  void quantise(size_t row, std::span<const float> weights);

  Model finish(std::string origin);

 private:
  void check_levels(size_t row, std::string_view where);
  OpenFor purpose_;
  Model model_;
};

// Throws Error of levels that are not valid; `where` is file and tensor.
[[noreturn]] void refuse_levels(std::string_view where, std::span<const uint8_t> packed,
                                int64_t rows, int64_t columns);

// Weights that are level * scale already, with one scale for each run of 128 inputs of an output (or for
// more): levels and scales, exactly; nothing when the values of some run have two magnitudes.
struct RunLevels {
  Buffer<uint8_t> packed;
  Buffer<float> scales;
};
std::optional<RunLevels> levels_of_runs(std::span<const float> weights, int64_t rows,
                                        int64_t columns);

}  // namespace trit
