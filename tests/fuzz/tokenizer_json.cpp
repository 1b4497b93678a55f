// Fuzz target: any bytes as tokenizer.json. What loads must encode and decode, and come back the same
// after it is written.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

namespace {

constexpr std::string_view kText = "A dog's 日本語  text, 123 e\u0301\n\u2581 <|endoftext|><s> x";

void load_and_use(std::string_view json) {
  const trit::Tokenizer tokenizer(trit::parse_tokenizer_json(json, "fuzz"), "fuzz");
  const std::vector<int32_t> ids = tokenizer.encode(kText, true);
  tokenizer.decode(ids, false);
  const std::string written = trit::tokenizer_json(tokenizer.spec(), "fuzz");
  const trit::Tokenizer again(trit::parse_tokenizer_json(written, "fuzz"), "fuzz");
  if (again.encode(kText, true) != ids) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    load_and_use({reinterpret_cast<const char*>(data), size});
  } catch (const trit::Error&) {  // the answer to bad input
  }
  return 0;
}
