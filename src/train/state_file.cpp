#include "train/state_file.h"

#include <cstdlib>

#include "base/error.h"
#include "formats/safetensors.h"

namespace trit {
namespace {

constexpr const char* kStateFile = "trit_state.safetensors";

TensorView view(std::span<const float> values) {
  return {DType::kF32,
          {static_cast<int64_t>(values.size())},
          reinterpret_cast<const std::byte*>(values.data())};
}

void read(const Safetensors& file, const Path& path, const char* name, std::span<float> target) {
  const TensorView& tensor = file.get(name);
  if (tensor.type != DType::kF32 || tensor.shape != Shape{static_cast<int64_t>(target.size())}) {
    bad_input("{}: {} is {} {}; this model's is F32 [{}]", path.string(), name,
              dtype_name(tensor.type), to_string(tensor.shape), target.size());
  }
  to_f32(DType::kF32, tensor.data, target.size(), target.data());
}

}  // namespace

void write_training_state(const Path& directory, std::span<const float> first,
                          std::span<const float> second, int64_t steps) {
  const NamedTensor tensors[] = {{"adamw.first_moment", view(first)},
                                 {"adamw.second_moment", view(second)}};
  write_safetensors(directory / kStateFile, tensors, {{"step", std::to_string(steps)}});
}

int64_t read_training_state(const Path& directory, std::span<float> first,
                            std::span<float> second) {
  const Path path = directory / kStateFile;
  const Safetensors file = Safetensors::open(path);
  read(file, path, "adamw.first_moment", first);
  read(file, path, "adamw.second_moment", second);
  const auto step = file.metadata().find("step");
  char* end = nullptr;
  const long long value =
      step == file.metadata().end() ? -1 : std::strtoll(step->second.c_str(), &end, 10);
  if (value < 0 || *end != '\0') bad_input("{}: its metadata has no step count", path.string());
  return value;
}

}  // namespace trit
