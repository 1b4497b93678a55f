// Published tokenizers against their published ids: every X in $TRIT_DATA_DIR/data/tokenizers that has an
// X.inp and an X.out, in every form in which the vocabulary is there.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/test_folder.h"
#include "data/byte_reader.h"
#include "formats/gguf.h"
#include "text/random_text.h"
#include "text/tokenizer.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_model.h"
#include "text/unicode.h"

namespace trit {
namespace {

using Ids = std::vector<int32_t>;

struct Case {
  std::string text;
  Ids ids;
};

Path data_folder() {
  const char* set = std::getenv("TRIT_DATA_DIR");
  return (set != nullptr ? Path(set) : Path(TRIT_SOURCE_DIR "/../shared")) / "data/tokenizers";
}

// The names X of the pairs X.inp, X.out.
std::set<std::string> pairs_in(const Path& folder) {
  std::set<std::string> names;
  if (!std::filesystem::exists(folder)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const Path path = entry.path();
    if (path.extension() == ".inp" && std::filesystem::exists(Path(path).replace_extension(".out")))
      names.insert(path.stem());
  }
  return names;
}

std::vector<Case> cases_of(const Path& vocabulary) {
  const std::string input = read_text(vocabulary.string() + ".inp");
  std::istringstream output(read_text(vocabulary.string() + ".out"));
  constexpr std::string_view kEnd = "\n__ggml_vocab_test__\n";
  std::vector<Case> cases;
  for (size_t begin = 0, end; (end = input.find(kEnd, begin)) != input.npos;) {
    std::string line;
    EXPECT_TRUE(std::getline(output, line)) << "more texts than lines of ids";
    std::istringstream numbers(line);
    cases.push_back(
        {input.substr(begin, end - begin), {std::istream_iterator<int32_t>(numbers), {}}});
    begin = end + kEnd.size();
  }
  std::string rest;
  EXPECT_FALSE(std::getline(output, rest)) << "more lines of ids than texts";
  return cases;
}

// A Hugging Face directory with the file `from`, unpacked when it is compressed, as `name`.
Path directory_with(const Path& from, const char* name) {
  const Path directory = test_folder() / ("published_" + from.filename().string());
  std::filesystem::create_directories(directory);
  std::string text, block(1 << 20, '\0');
  const auto reader = open_bytes(from);
  while (const size_t count = reader->read(block.data(), block.size()))
    text.append(block, 0, count);
  write_text(directory / name, text);
  return directory;
}

struct Named {
  std::string name;
  Tokenizer tokenizer;
};

// Every form of vocabulary X: X itself, and what it was made from.
std::vector<Named> forms_of(const Path& folder, const std::string& name) {
  std::vector<Named> forms;
  if (std::filesystem::exists(folder / name))
    forms.push_back({name, read_tokenizer(Gguf::open(folder / name))});
  struct Source {
    const char *name, *file, *as, *config;
  };
  constexpr Source kSources[] = {
      {"ggml-vocab-llama-bpe.gguf", "llama3-tokenizer.json.zst", "tokenizer.json",
       "llama3-tokenizer_config.json"},
      {"ggml-vocab-llama-bpe.gguf", "llama3-tokenizer.model", "tokenizer.model", nullptr},
      {"ggml-vocab-llama-spm.gguf", "llama2-tokenizer.model", "tokenizer.model", nullptr},
  };
  for (const Source& source : kSources) {
    if (name != source.name || !std::filesystem::exists(folder / source.file)) continue;
    const Path directory = directory_with(folder / source.file, source.as);
    if (source.config != nullptr)
      write_text(directory / "tokenizer_config.json", read_text(folder / source.config));
    forms.push_back({source.file, Tokenizer::load(directory)});
  }
  return forms;
}

// What comes back of a text: no normal form is undone, and SentencePiece has one sort of space.
std::string decodable(const Tokenizer& tokenizer, const std::string& text) {
  if (tokenizer.spec().nfc) return to_nfc(text);
  if (tokenizer.spec().model == TokenizerModel::kByteLevel) return text;
  return without_space_symbols(text);
}

void expect_cases(const Named& form, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(form.tokenizer.encode(c.text), c.ids) << form.name << ": " << c.text;
    EXPECT_EQ(form.tokenizer.decode(c.ids), decodable(form.tokenizer, c.text)) << form.name;
  }
}

void expect_round_trips(const Named& form) {
  StreamDecoder stream(form.tokenizer, true, true);
  Rng rng(7);
  for (int i = 0; i < 10000; ++i) {
    const std::string text = random_text(rng, 40);
    const std::string expected = decodable(form.tokenizer, text);
    const Ids ids = form.tokenizer.encode(text);
    ASSERT_EQ(form.tokenizer.decode(ids), expected) << form.name;
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    ASSERT_EQ(streamed + stream.flush(), expected) << form.name;
  }
}

// Saved as tokenizer.json and as GGUF, and read again.
std::vector<Named> copies_of(const Named& form) {
  const Path directory = test_folder() / ("copy_" + form.name), gguf = directory / "copy.gguf";
  std::filesystem::create_directories(directory);
  form.tokenizer.save(directory);
  GgufWriter writer;
  write_tokenizer(writer, form.tokenizer);
  writer.write(gguf);
  return {{form.name + " saved", Tokenizer::load(directory)},
          {form.name + " as GGUF", read_tokenizer(Gguf::open(gguf))}};
}

TEST(PublishedTokenizers, PassTheirConformanceCasesAndRoundTrips) {
  const Path folder = data_folder();
  const std::set<std::string> names = pairs_in(folder);
  if (names.empty()) GTEST_SKIP() << "no pairs of .inp and .out in " << folder;
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const std::vector<Case> cases = cases_of(folder / name);
    EXPECT_GE(cases.size(), 1u);
    const std::vector<Named> forms = forms_of(folder, name);
    EXPECT_FALSE(forms.empty()) << "no vocabulary for these cases";
    for (const Named& form : forms) {
      std::cout << name << ": " << cases.size() << " cases with " << form.name << "\n";
      expect_cases(form, cases);
      expect_round_trips(form);
      for (const Named& copy : copies_of(form)) expect_cases(copy, cases);
    }
  }
}

// The two published forms of LLaMA-3's tokenizer are one: the ranks imply the listed merges, and the
// names of the special tokens that stand in no file are those of tokenizer.json.
TEST(PublishedTokenizers, Llama3RanksAreItsTokenizerJson) {
  const std::vector<Named> forms = forms_of(data_folder(), "ggml-vocab-llama-bpe.gguf");
  if (forms.size() < 2) GTEST_SKIP() << "LLaMA-3's tokenizer is not there in both forms";
  const TokenizerSpec& json = forms[0].tokenizer.spec();
  const TokenizerSpec& ranks = forms.back().tokenizer.spec();
  EXPECT_EQ(json.tokens.size(), 128256u);
  EXPECT_EQ(ranks.tokens, json.tokens);
  EXPECT_EQ(ranks.kinds, json.kinds);
  EXPECT_TRUE(ranks.merges == json.merges);
  EXPECT_EQ(ranks.bos_id, 128000);
  EXPECT_EQ(json.bos_id, 128000);
  EXPECT_EQ(ranks.eos_id, json.eos_id);
}

}  // namespace
}  // namespace trit
