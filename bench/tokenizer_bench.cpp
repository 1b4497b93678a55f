// Encoding and decoding in bytes of text per second of CPU time, on one core: English novels in documents
// of 64 KiB, with every published vocabulary below $TRIT_DATA_DIR.

#include <benchmark/benchmark.h>

#include <cstdlib>

#include "data/byte_reader.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"
#include "text/tokenizer_gguf.h"
#include "text/utf8.h"

namespace trit {
namespace {

constexpr size_t kTextBytes = 16 << 20, kDocumentBytes = 64 << 10;

Path data_folder() {
  const char* set = std::getenv("TRIT_DATA_DIR");
  return (set != nullptr ? Path(set) : Path(TRIT_SOURCE_DIR "/../shared")) / "data";
}

std::vector<std::string> documents_of(const Path& file) {
  std::string text(kTextBytes, '\0');
  const auto reader = open_bytes(file);
  size_t size = 0;
  while (size < text.size()) {
    const size_t count = reader->read(text.data() + size, text.size() - size);
    if (count == 0) break;
    size += count;
  }
  text.resize(size);
  std::vector<std::string> documents;
  for (size_t begin = 0; begin < text.size(); begin += documents.back().size()) {
    documents.push_back(text.substr(begin, kDocumentBytes));
    documents.back().resize(valid_utf8_prefix(documents.back()));
    if (documents.back().empty()) break;
  }
  return documents;
}

const std::vector<std::string>& documents() {
  static const std::vector<std::string> all =
      documents_of(data_folder() / "corpora/novels_100_english.txt.zst");
  return all;
}

int64_t total_bytes() {
  int64_t bytes = 0;
  for (const std::string& document : documents()) bytes += static_cast<int64_t>(document.size());
  return bytes;
}

void encode(benchmark::State& state, const Tokenizer& tokenizer) {
  for (auto _ : state) {
    for (const std::string& document : documents())
      benchmark::DoNotOptimize(tokenizer.encode(document));
  }
  state.SetBytesProcessed(state.iterations() * total_bytes());
}

void decode(benchmark::State& state, const Tokenizer& tokenizer) {
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& document : documents()) ids.push_back(tokenizer.encode(document));
  for (auto _ : state) {
    for (const auto& document : ids) benchmark::DoNotOptimize(tokenizer.decode(document));
  }
  state.SetBytesProcessed(state.iterations() * total_bytes());
}

void add(const std::string& name, const Tokenizer& tokenizer) {
  benchmark::RegisterBenchmark(("encode/" + name).c_str(), encode, tokenizer)
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark(("decode/" + name).c_str(), decode, tokenizer)
      ->Unit(benchmark::kMillisecond);
}

// tokenizer.model files have names of their own in the data; load() wants a directory.
Tokenizer model_file(const Path& file) {
  const Path directory = std::filesystem::temp_directory_path() / "trit_tokenizer_bench";
  std::filesystem::create_directories(directory);
  write_text(directory / "tokenizer.model", read_text(file));
  const Tokenizer tokenizer = Tokenizer::load(directory);
  std::filesystem::remove_all(directory);
  return tokenizer;
}

}  // namespace
}  // namespace trit

int main(int argc, char** argv) {
  using namespace trit;
  benchmark::Initialize(&argc, argv);
  const Path folder = data_folder() / "tokenizers";
  add("gpt2", read_tokenizer(Gguf::open(folder / "ggml-vocab-gpt-2.gguf")));
  add("llama3", model_file(folder / "llama3-tokenizer.model"));
  add("llama2", model_file(folder / "llama2-tokenizer.model"));
  benchmark::RunSpecifiedBenchmarks();
}
