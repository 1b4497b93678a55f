#include "infer/place.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "kernels/kernels.h"

namespace trit {
namespace {

int device_from(std::string_view name, const Ranks& ranks) {
  if (name == "cpu") return -1;
  if (name == "cuda") {
    const int here = ranks.job() == nullptr ? 0 : rank_on_host(*ranks.job());
    return here % std::max(cuda_devices(), 1);
  }
  if (name.starts_with("cuda:")) {
    int index = -1;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 5, end, index);
    if (error == std::errc() && stop == end && index >= 0) return index;
  }
  bad_input("--device: '{}' is none; there are cpu, cuda and cuda:N", printable(name));
}

}  // namespace

Place::Place(std::string_view name, const Ranks& ranks)
    : ranks_(ranks), device_(device_from(name, ranks)) {
  if (!is_cpu()) cuda_device(device_);
}

Model Place::open(const Path& path) const {
  if (is_cpu()) return Model::open_to_run(path, ranks_);
  return Model::open(path);
}

void Place::arrange(Model& model) const {
  if (is_cpu()) model.arrange();
}

std::unique_ptr<Backend> Place::backend(const Weights& weights, CpuBackendOptions options) {
  if (ranks_.job() != nullptr) options.ranks = &ranks_;
  if (is_cpu()) return std::make_unique<CpuBackend>(weights, options);
  if (weights_ == nullptr) weights_ = cuda_weights(part_of(weights, ranks_), device_, ranks_);
  return cuda_backend(
      weights_,
      {.kv_type = options.kv_type, .positions = options.positions, .max_rows = options.max_rows});
}

std::string Place::kernels() const {
  return is_cpu() ? std::string(kernels::to_string(kernels::active_isa()))
                  : cuda_device(device_).name;
}

int64_t Place::used_memory() const {
  if (is_cpu()) return 0;
  const CudaDevice device = cuda_device(device_);
  return device.memory - device.free;
}

int64_t Place::free_memory() const { return is_cpu() ? 0 : cuda_device(device_).free; }

}  // namespace trit
