// Fuzz target: any bytes as tokenizer.model, SentencePiece's or tiktoken's. What loads must encode, and
// give text back.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_model.h"

namespace {

constexpr std::string_view kText = "A dog's 日本語  text, 123 e\u0301\n <|endoftext|><s> x";

void load_and_use(std::string_view model) {
  const trit::Tokenizer tokenizer(trit::parse_tokenizer_model(model, "fuzz"), "fuzz");
  const std::vector<int32_t> ids = tokenizer.encode(kText);
  bool has_added = false;  // after which SentencePiece adds a space
  for (const trit::TokenKind kind : tokenizer.spec().kinds)
    has_added = has_added || kind == trit::TokenKind::kAdded;
  if (!has_added && tokenizer.decode(ids) != kText) std::abort();
  trit::tokenizer_json(tokenizer.spec(), "fuzz");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    load_and_use({reinterpret_cast<const char*>(data), size});
  } catch (const trit::Error&) {  // the answer to bad input
  }
  return 0;
}
