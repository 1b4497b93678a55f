// trit eval and trit perplexity as a user runs them.

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "tests/story.h"

namespace trit {
namespace {

class EvalCommand : public Story {
 protected:
  static std::string data() { return std::string(TRIT_SOURCE_DIR) + "/src/eval/testdata"; }
  static Json json_of(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Outcome outcome = trit(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parse_json(outcome.out, "--json");
  }
  static void expect_refused(const std::vector<std::string>& arguments, const std::string& word) {
    const Outcome outcome = trit(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
};

TEST_F(EvalCommand, ScoresTheTasksAndTheirItems) {
  const Json json =
      json_of({"eval", "model.gguf", "--data", data(), "--tasks", "piqa,lambada_openai",
               "--output-items", "items.jsonl", "--few-shot", "1"});
  ASSERT_EQ(json["tasks"].size(), 2u);
  EXPECT_EQ(json["tasks"][0]["items"], 4);
  std::string lines = text_of(directory() / "items.jsonl");
  double right = 0;
  int items = 0;
  for (size_t end; (end = lines.find('\n')) != std::string::npos; lines.erase(0, end + 1)) {
    const Json item = parse_json(lines.substr(0, end), "item");
    ++items;
    if (item["task"] != "piqa") continue;
    EXPECT_EQ(item["choices"].size(), 2u);
    const bool second = item["choices"][1]["log_likelihood"] > item["choices"][0]["log_likelihood"];
    EXPECT_EQ(item["chosen"], second ? 1 : 0);
    right += item["chosen"] == item["gold"] ? 1 : 0;
  }
  EXPECT_EQ(items, 8);
  EXPECT_EQ(json["tasks"][0]["acc"], right / 4);
}

TEST_F(EvalCommand, TakesAllTasksThatHaveData) {
  const Outcome all = trit({"eval", "model.gguf", "--data", data(), "--limit", "2"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(std::ranges::count(all.out, '\n'), 1 + 9);
  std::filesystem::create_directories(directory() / "one/piqa");
  std::filesystem::copy_file(data() + "/piqa/validation.jsonl",
                             directory() / "one/piqa/validation.jsonl",
                             std::filesystem::copy_options::overwrite_existing);
  const Outcome one = trit({"eval", "model.gguf", "--data", "one"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(std::ranges::count(one.out, '\n'), 2);
  EXPECT_NE(one.err.find("arc_easy: no data"), std::string::npos);
}

TEST_F(EvalCommand, SaysWhatIsWrong) {
  expect_refused({"eval", "model.gguf"}, "--data");
  expect_refused({"eval", "model.gguf", "--data", data(), "--tasks", "arc"}, "arc_challenge");
  expect_refused({"eval", "model.gguf", "--data", "data", "--tasks", "piqa"}, "piqa-valid.jsonl");
  expect_refused({"eval", "model.gguf", "--data", data(), "--bos", "maybe"}, "--bos");
  expect_refused({"perplexity", "model.gguf"}, "--text");
  expect_refused({"perplexity", "model.gguf", "--text", "text.txt", "--convention", "x"},
                 "strided");
  expect_refused({"perplexity", "model.gguf", "--text", "text.txt", "--stride", "9999"}, "stride");
}

TEST_F(EvalCommand, PerplexityOfATextInEachConvention) {
  const Json strided =
      json_of({"perplexity", "model.gguf", "--text", "text.txt", "--context", "32"});
  const Json harness = json_of({"perplexity", "model.gguf", "--text", "text.txt", "--context", "32",
                                "--convention", "harness"});
  const Json llama = json_of({"perplexity", "model.gguf", "--text", "text.txt", "--context", "32",
                              "--convention", "llama.cpp"});
  EXPECT_EQ(strided["stride"], 16);
  EXPECT_EQ(llama["tokens"], llama["windows"].get<int64_t>() * 15);
  EXPECT_LT(strided["loss"], harness["loss"]);  // more context
  EXPECT_LT(llama["loss"], harness["loss"]);
  const double bytes = static_cast<double>(text_of(directory() / "text.txt").size());
  EXPECT_NEAR(
      harness["bits_per_byte"].get<double>(),
      harness["loss"].get<double>() * harness["tokens"].get<double>() / bytes / std::log(2.0),
      0.02 * harness["bits_per_byte"].get<double>());
}

TEST_F(EvalCommand, PerplexityOfRowsIsOverDocuments) {
  write_text(directory() / "rows.jsonl",
             "{\"story\": \"The king went to the wood.\"}\n{\"story\": \"The cat sat.\"}\n");
  const std::vector<std::string> arguments = {"perplexity", "model.gguf", "--text",
                                              "rows.jsonl", "--field",    "story"};
  const Json rows = json_of(arguments);
  EXPECT_EQ(rows["documents"], 2);
  EXPECT_EQ(rows["stderr_over"], "documents");
  std::vector<std::string> joined = arguments;
  joined.emplace_back("--join");
  EXPECT_EQ(json_of(joined)["documents"], 1);
}

TEST_F(EvalCommand, PerplexityGoesOnFromAPartialResult) {
  const std::vector<std::string> arguments = {"perplexity", "model.gguf", "--text",   "text.txt",
                                              "--context",  "32",         "--resume", "partial"};
  std::filesystem::remove(directory() / "partial");
  const Json whole = json_of(arguments);
  const std::string lines = text_of(directory() / "partial");
  write_text(directory() / "partial", lines.substr(0, lines.size() / 2));
  const Json again = json_of(arguments);
  EXPECT_GT(again["resumed_windows"], 0);
  EXPECT_LT(again["resumed_windows"], whole["windows"]);
  EXPECT_EQ(again["loss"], whole["loss"]);
}

}  // namespace
}  // namespace trit
