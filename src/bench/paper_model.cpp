#include "bench/paper_model.h"

#include "bench/memory.h"
#include "model/synthetic.h"

namespace trit::bench {

PaperModel::PaperModel(const Config& config, const Place& place) : config_(config) {
  if (!place.is_cpu()) {
    weights_ = cuda_random_weights(config, place.device());
    return;
  }
  model_ = synthetic_model(config, DType::kF16, 1);
  model_->arrange();
}

std::unique_ptr<Backend> PaperModel::backend(const CpuBackendOptions& o) const {
  if (model_) return std::make_unique<CpuBackend>(model_->weights(), o);
  return cuda_backend(weights_,
                      {.kv_type = o.kv_type, .positions = o.positions, .max_rows = o.max_rows});
}

int64_t PaperModel::weight_bytes(const Config& c) {
  const int64_t linear = c.linear_parameters();
  const int64_t half = static_cast<int64_t>(sizeof(uint16_t));
  const int64_t tables = (c.tied ? 1 : 2) * c.vocabulary * c.hidden * half;
  return tables + (c.weights == WeightKind::kFloat ? linear * half : linear / 4);
}

int64_t PaperModel::read_bytes(const Config& c) {
  const int64_t half = static_cast<int64_t>(sizeof(uint16_t));
  return weight_bytes(c) - (c.tied ? 0 : c.vocabulary * c.hidden * half);
}

int64_t used_memory(const Place& place) {
  return place.is_cpu() ? resident_memory() : place.used_memory();
}

int64_t free_memory(const Place& place) {
  return place.is_cpu() ? available_memory() : place.free_memory();
}

}  // namespace trit::bench
