#include "infer/generate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "infer/cpu_backend.h"
#include "model/checkpoint.h"
#include "text/train_bpe.h"

namespace trit {
namespace {

std::string filtered(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopFilter filter(std::move(stops));
  std::string shown;
  for (const std::string& piece : pieces) {
    shown += filter.push(piece);
    if (filter.stopped()) return shown + "|";
  }
  return shown + filter.flush();
}

TEST(StopFilter, CutsBeforeTheFirstStopString) {
  EXPECT_EQ(filtered({"END"}, {"one EN", "D two"}), "one |");
  EXPECT_EQ(filtered({"END"}, {"E", "N", "E", "ND"}), "EN|");  // a false start, then the real one
  EXPECT_EQ(filtered({"b", "ab"}, {"xab"}), "x|");             // the earliest match wins
  EXPECT_EQ(filtered({"END"}, {"one EN"}), "one EN");          // held back, shown at the end
  EXPECT_EQ(filtered({}, {"one"}), "one");
}

TEST(StopFilter, HoldsBackOnlyWhatMayBeginAStopString) {
  StopFilter filter({"</s>"});
  EXPECT_EQ(filter.push("a<b</"), "a<b");
  EXPECT_EQ(filter.push("x"), "</x");
}

// A random model over a tokenizer of its own: text comes out, and ends where it should.
class GenerateTest : public testing::Test {
 protected:
  GenerateTest()
      : tokenizer(train_bpe(
            [](const auto& document) { document("the cat sat on the mat. the cat sat."); },
            {.vocab_size = 270})),
        model(Model::random(config(), 5)) {}
  Config config() const {
    Config c = preset("nano");
    c.vocabulary = tokenizer.vocab_size();
    c.layers = 2;
    return c;
  }
  GenerateReport run(const GenerateOptions& options, std::string* text = nullptr,
                     int64_t context = 64) {
    CpuBackend backend(model.weights(), {.positions = context});
    Engine engine(backend, {.context = context});
    std::string out;
    const GenerateReport report =
        generate(engine, tokenizer, {3, 4, 5}, options, [&](std::string_view piece) {
          out += piece;
          return true;
        });
    if (text) *text = out;
    return report;
  }
  Tokenizer tokenizer;
  Model model;
};

TEST_F(GenerateTest, CountsTokensAndSaysWhyItEnded) {
  GenerateOptions options;
  options.ignore_end = true;
  options.max_tokens = 0;
  EXPECT_EQ(run(options).generated_tokens, 0);
  options.max_tokens = 1;
  EXPECT_EQ(run(options).generated_tokens, 1);
  EXPECT_EQ(run(options).generate_speed(), std::nullopt);  // the prompt gave the only token
  options.max_tokens = 20;
  std::string text;
  const GenerateReport report = run(options, &text);
  EXPECT_EQ(report.prompt_tokens, 3);
  EXPECT_EQ(report.generated_tokens, 20);
  EXPECT_EQ(report.generate_speed(), 19 / report.generate_seconds);
  EXPECT_EQ(report.reason, StopReason::kLength);
  EXPECT_FALSE(text.empty());
  std::string again;
  run(options, &again);
  EXPECT_EQ(again, text);  // the same seed
}

TEST_F(GenerateTest, EndsWhenTheContextIsFull) {
  GenerateOptions options;
  options.ignore_end = true;
  options.max_tokens = 100;
  const GenerateReport report = run(options, nullptr, 16);
  EXPECT_EQ(report.reason, StopReason::kContextFull);
  EXPECT_EQ(report.prompt_tokens + report.generated_tokens,
            17);  // the last one is sampled, not fed
}

TEST_F(GenerateTest, RefusesAnEmptyStopStringAndPromptsThatDoNotFit) {
  GenerateOptions options;
  options.stop = {""};
  EXPECT_THROW(run(options), Error);
  EXPECT_THROW(run({}, nullptr, 2), Error);
}

}  // namespace
}  // namespace trit
