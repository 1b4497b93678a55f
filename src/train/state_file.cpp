#include "train/state_file.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "formats/safetensors.h"

namespace trit {
namespace {

constexpr const char* kStateFile = "trit_state.safetensors";

MakeBytes copy_of(std::span<const float> values) {
  return [values] {
    Buffer<std::byte> bytes(values.size_bytes());
    std::memcpy(bytes.data(), values.data(), values.size_bytes());
    return bytes;
  };
}

void read(const Safetensors& file, const Path& path, const char* name, int64_t size,
          std::span<const Stretch> own, std::span<float> target) {
  const TensorView& tensor = file.get(name);
  if (tensor.type != DType::kF32 || tensor.shape != Shape{size}) {
    bad_input("{}: {} is {} {}; this model's is F32 [{}]", path.string(), name,
              dtype_name(tensor.type), to_string(tensor.shape), size);
  }
  for (const Stretch& part : own) {
    const auto count = static_cast<size_t>(part.size());
    to_f32(DType::kF32, tensor.data + part.begin * 4, count, target.data());
    target = target.subspan(count);
  }
}

}  // namespace

void write_training_state(const Path& directory, std::span<const float> first,
                          std::span<const float> second, int64_t steps) {
  write_training_state(directory, std::ssize(first), copy_of(first), copy_of(second), steps);
}

void write_training_state(const Path& directory, int64_t size, MakeBytes first, MakeBytes second,
                          int64_t steps) {
  NamedTensor tensors[2];
  for (NamedTensor& tensor : tensors) tensor.tensor = {DType::kF32, {size}, nullptr};
  tensors[0].name = "adamw.first_moment";
  tensors[0].make = std::move(first);
  tensors[1].name = "adamw.second_moment";
  tensors[1].make = std::move(second);
  write_safetensors(directory / kStateFile, tensors, {{"step", std::to_string(steps)}});
}

int64_t read_training_state(const Path& directory, std::span<float> first,
                            std::span<float> second) {
  const Stretch all[] = {{0, std::ssize(first)}};
  return read_training_state(directory, std::ssize(first), all, first, second);
}

int64_t read_training_state(const Path& directory, int64_t size, std::span<const Stretch> own,
                            std::span<float> first, std::span<float> second) {
  const Path path = directory / kStateFile;
  const Safetensors file = Safetensors::open(path);
  read(file, path, "adamw.first_moment", size, own, first);
  read(file, path, "adamw.second_moment", size, own, second);
  const auto step = file.metadata().find("step");
  char* end = nullptr;
  const long long value =
      step == file.metadata().end() ? -1 : std::strtoll(step->second.c_str(), &end, 10);
  if (value < 0 || *end != '\0') bad_input("{}: its metadata has no step count", path.string());
  return value;
}

}  // namespace trit
