// Any bytes as a GGUF file: an Error or a parse whose tensors lie inside the bytes, and whose packed
// weights decode or are refused.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "formats/gguf.h"

namespace trit {
namespace {

constexpr int64_t kMostWeights = 1 << 16;

void read_values(const Gguf& file) {
  for (const auto& [key, value] : file.metadata()) {
    TRIT_CHECK(file.find(key) == &value);
    try {
      file.get_ints(key);
    } catch (const Error&) {
      // Of another kind; saying so must not fail.
    }
  }
}

void decode(const GgufTensor& tensor) {
  const PackedLayout* layout = packed_layout(tensor.type);
  const int64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) {
    if (rows == 0 || columns == 0 || tensor.shape[i] > kMostWeights / rows) return;
    rows *= tensor.shape[i];
  }
  if (layout == nullptr || columns == 0 || rows > kMostWeights / columns) return;
  const std::span bytes(reinterpret_cast<const uint8_t*>(tensor.data.data()), tensor.data.size());
  std::vector<float> weights(static_cast<size_t>(rows * columns));
  try {
    decode_weights(*layout, bytes, rows, columns, weights, tensor.name);
  } catch (const Error&) {
    // Refused.
  }
}

}  // namespace
}  // namespace trit

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace trit;
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const Gguf file = Gguf::parse(bytes, "input");
    read_values(file);
    for (const GgufTensor& tensor : file.tensors()) {
      const auto begin = static_cast<size_t>(tensor.data.data() - bytes.data());
      TRIT_CHECK(begin <= size && tensor.data.size() <= size - begin);
      TRIT_CHECK(file.find_tensor(tensor.name) == &tensor);
      decode(tensor);
    }
  } catch (const Error&) {
    // Refused.
  }
  return 0;
}
