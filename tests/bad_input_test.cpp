// Wrong input gets one line that names what is wrong, the right exit code, and leaves nothing behind.

#include <algorithm>

#include "tests/story.h"

namespace trit {
namespace {

class BadInput : public Story {
 protected:
  // One line on stderr that holds `word`.
  static void expect_refusal(const Outcome& outcome, int code, const std::string& word) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    // A progress bar may have been drawn before; the error is the last line.
    const size_t begin = outcome.err.rfind("trit: ");
    ASSERT_NE(begin, std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n', begin), outcome.err.size() - 1) << outcome.err;
    EXPECT_NE(outcome.err.find(word, begin), std::string::npos) << outcome.err << "lacks: " << word;
  }
  static Path at(const std::string& name) { return directory() / name; }
};

TEST_F(BadInput, EveryCommandLine) {
  write_text(at("empty.txt"), "");
  write_text(at("latin.txt"), "caf\xE9\n");
  write_text(at("garbage.gguf"), "this is no model");
  write_text(at("rows.jsonl"), "{\"text\": 1}\n");
  std::filesystem::create_directories(at("hollow"));
  struct Row {
    std::vector<std::string> arguments;
    int code;
    std::string word;
  };
  const std::vector<Row> rows = {
      {{"sing"}, 2, "sing"},
      {{"run"}, 2, "model"},
      {{"run", "missing.gguf", "x"}, 2, "missing.gguf"},
      {{"run", "garbage.gguf", "x"}, 2, "GGUF"},
      {{"run", "hollow", "x"}, 2, "config.json"},
      {{"run", "text.txt", "x"}, 2, "text.txt"},
      {{"run", "model.gguf", "x", "--flavour", "3"}, 2, "--flavour"},
      {{"run", "model.gguf", "x", "--temperature", "-1"}, 2, "temperature"},
      {{"run", "model.gguf", "x", "--top-p", "0"}, 2, "top-p"},
      {{"run", "model.gguf", "x", "-n", "-3"}, 2, "-3"},
      {{"run", "model.gguf", "x", "-n", "many"}, 2, "many"},
      {{"run", "model.gguf", "\xFF"}, 2, "UTF-8"},
      {{"run", "model.gguf", "x", "--stop", ""}, 2, "--stop"},
      {{"run", "model.gguf", std::string(5000, 'x')}, 2, "context"},
      {{"run", "model.gguf", "x", "--kv-type", "f64"}, 2, "f64"},
      {{"run", "model.gguf", "x", "--context", "-1"}, 2, "--context"},
      {{"run", "model.gguf", "x", "--batch", "0"}, 2, "--batch"},
      {{"run", "model.gguf", "x", "--samples", "0"}, 2, "--samples"},
      {{"run", "model.gguf", "x", "--file", "text.txt"}, 2, "--file"},
      {{"run", "model.gguf", "--file", "missing.txt"}, 2, "missing.txt"},
      {{"tokenizer", "train", "empty.txt", "--out", "t"}, 2, "no text"},
      {{"tokenizer", "train", "latin.txt", "--out", "t"}, 2, "latin.txt"},
      {{"tokenizer", "train", "text.txt", "--out", "t", "--vocab-size", "10"}, 2, "10"},
      {{"data", "build", "missing.txt", "--tokenizer", "tok", "--out", "d"}, 2, "missing.txt"},
      {{"data", "build", "empty.txt", "--tokenizer", "tok", "--out", "d"}, 2, "no documents"},
      {{"data", "build", "rows.jsonl", "--tokenizer", "tok", "--out", "d"}, 2, "rows.jsonl"},
      {{"data", "build", "text.txt", "--tokenizer", "hollow", "--out", "d"}, 2, "tokenizer.json"},
      {{"data", "build", "text.txt", "--tokenizer", "tok", "--out", "d", "--where", "kind"},
       2,
       "--where"},
      {{"train", "--data", "hollow", "--out", "r"}, 2, "dataset.json"},
      {{"train", "--data", "data", "--out", "r", "--preset", "9B"}, 2, "9B"},
      {{"train", "--data", "data", "--out", "r", "--family", "gpt"}, 2, "gpt"},
      {{"train", "--data", "data", "--out", "r", "--steps", "0"}, 2, "--steps"},
      {{"train", "--data", "data", "--out", "r", "--hidden", "50", "--heads", "3"}, 2, "50"},
      {{"train", "--data", "data", "--out", "r", "--batch", "4", "--micro-batch", "3"},
       2,
       "--micro-batch"},
      {{"train", "--data", "data", "--out", "r", "--sequence-length", "1000000"}, 2, "1000000"},
      {{"train", "--data", "data"}, 2, "--out"},
      {{"train", "--data", "data", "--out", "/proc/nothing"}, 1, "/proc/nothing"},
      {{"convert", "hollow", "o.gguf"}, 2, "config.json"},
      {{"convert", "run/checkpoint", "o.gguf", "--embeddings", "q9"}, 2, "q9"},
      {{"convert", "run/checkpoint", "no/such/folder/o.gguf"}, 2, "o.gguf"},
      {{"perplexity", "model.gguf", "--data", "data", "--split", "test"}, 2, "test"},
      {{"perplexity", "model.gguf", "--data", "data", "--device", "tpu"}, 2, "tpu"},
      {{"perplexity", "model.gguf", "--data", "data", "--kv-type", "int3"}, 2, "int3"},
      {{"verify", "model.gguf", "--against", "model.gguf", "--device", "tpu"}, 2, "tpu"},
      {{"compare", "--data", "data"}, 2, "--out"},
      {{"compare", "--data", "data", "--out", "r", "--device", "tpu"}, 2, "tpu"},
      {{"completion", "tcsh"}, 2, "tcsh"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.arguments).substr(0, 200));
    expect_refusal(trit(row.arguments), row.code, row.word);
  }
  expect_refusal(trit({"run", "model.gguf", "x"}, {{"TRIT_ISA", "mmx"}}), 2, "mmx");
  expect_refusal(trit({"run", "model.gguf", "x"}, {{"TRIT_THREADS", "0"}}), 2, "TRIT_THREADS");
  for (const char* name : {"t", "d", "r", "o.gguf"})
    EXPECT_FALSE(std::filesystem::exists(at(name))) << name;
}

// A model file cut anywhere is refused; so is one with any of many bytes of its head changed, or it runs.
TEST_F(BadInput, TruncatedAndGarbledGguf) {
  const std::string whole = text_of(at("model.gguf"));
  for (size_t i = 0; i < 40; ++i) {
    write_text(at("cut.gguf"), whole.substr(0, whole.size() * i / 40));
    expect_refusal(trit({"run", "cut.gguf", "x", "-n", "1"}), 2, "cut.gguf");
  }
  for (size_t i = 0; i < 120; ++i) {
    std::string changed = whole;
    changed[i * 7] = static_cast<char>(changed[i * 7] ^ 0xFF);
    write_text(at("garbled.gguf"), changed);
    const Outcome outcome = trit({"run", "garbled.gguf", "x", "-n", "1"});
    EXPECT_TRUE(outcome.code == 0 || outcome.code == 2)
        << "byte " << i * 7 << ": " << outcome.code << outcome.err;
  }
}

TEST_F(BadInput, TruncatedCheckpoint) {
  std::filesystem::copy(at("run/checkpoint"), at("cut"), std::filesystem::copy_options::recursive);
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"}) {
    const std::string whole = text_of(at("cut") / name);
    for (size_t i = 0; i < 12; ++i) {
      write_text(at("cut") / name, whole.substr(0, whole.size() * i / 12));
      expect_refusal(trit({"run", "cut", "x", "-n", "1"}), 2, "cut");
    }
    write_text(at("cut") / name, whole);
  }
}

// A disk that is full: the write fails with exit code 1, and the older file stays whole.
TEST_F(BadInput, FullDisk) {
  write_text(at("kept.gguf"), "an older file");
  const Outcome convert =
      Process(directory(), {"convert", "run/checkpoint", "kept.gguf"}, {}, 20000).wait();
  expect_refusal(convert, 1, "kept.gguf");
  EXPECT_EQ(text_of(at("kept.gguf")), "an older file");

  const Outcome train = Process(directory(), train_arguments("full", 20), {}, 20000).wait();
  EXPECT_EQ(train.code, 1) << train.err;
  EXPECT_FALSE(std::filesystem::exists(at("full/checkpoint")));
  for (const auto& entry : std::filesystem::directory_iterator(directory())) {
    EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace trit
