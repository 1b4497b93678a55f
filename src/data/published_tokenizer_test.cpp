// LLaMA-3's published tokenizer.json, read from a Zstandard file, against llama.cpp's expected ids.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>
#include <sstream>

#include "base/test_folder.h"
#include "data/byte_reader.h"
#include "text/tokenizer.h"

namespace trit {
namespace {

TEST(PublishedTokenizer, Llama3PassesItsConformanceCases) {
  const char* set = std::getenv("TRIT_DATA_DIR");
  const Path root = set != nullptr ? Path(set) : Path(TRIT_SOURCE_DIR "/../shared");
  const Path data = root / "data/tokenizers";
  const Path json = data / "llama3-tokenizer.json.zst";
  if (!std::filesystem::exists(json)) GTEST_SKIP() << json << " is not there";
  const Path directory = test_folder() / "llama3_tokenizer";
  std::filesystem::create_directories(directory);
  std::string text, block(1 << 20, '\0');
  const auto reader = open_bytes(json);
  while (const size_t count = reader->read(block.data(), block.size()))
    text.append(block, 0, count);
  write_text(directory / "tokenizer.json", text);
  write_text(directory / "tokenizer_config.json", read_text(data / "llama3-tokenizer_config.json"));
  const Tokenizer tokenizer = Tokenizer::load(directory);
  EXPECT_EQ(tokenizer.vocab_size(), 128256);
  EXPECT_EQ(tokenizer.bos_id(), 128000);

  const std::string input = read_text(data / "ggml-vocab-llama-bpe.gguf.inp");
  std::istringstream output(read_text(data / "ggml-vocab-llama-bpe.gguf.out"));
  constexpr std::string_view kEnd = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (size_t begin = 0, end; (end = input.find(kEnd, begin)) != input.npos; ++cases) {
    const std::string sample = input.substr(begin, end - begin);
    begin = end + kEnd.size();
    std::string line;
    ASSERT_TRUE(std::getline(output, line));
    std::istringstream numbers(line);
    const std::vector<int32_t> ids{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(sample), ids) << sample;
    EXPECT_EQ(tokenizer.decode(ids), sample);
  }
  EXPECT_GE(cases, 46);
}

}  // namespace
}  // namespace trit
