// Any bytes as a safetensors file: an Error or a parse whose tensors lie inside the bytes.

#include <cstdint>

#include "base/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace trit;
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const Safetensors file = Safetensors::parse(bytes, "input");
    size_t total = 0;
    for (const std::string& name : file.names()) {
      const TensorView& tensor = file.get(name);
      const auto begin = static_cast<size_t>(tensor.data - bytes.data());
      TRIT_CHECK(begin <= size && tensor.bytes() <= size - begin);
      total += tensor.bytes();
    }
    TRIT_CHECK(total <= size);
  } catch (const Error&) {
    // Refused.
  }
  return 0;
}
