#include "eval/text_perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/test_folder.h"
#include "eval/perplexity.h"
#include "eval/perplexity_windows.h"
#include "eval/verify.h"
#include "model/synthetic.h"

namespace trit {
namespace {

const Path kSource = TRIT_SOURCE_DIR;

const Tokenizer& tokenizer() {
  static const Tokenizer tokenizer = *open_tokenizer(kSource / "models/tales-3m.gguf");
  return tokenizer;
}

// trit synth --preset micro --family llama --seed 7
struct RandomLlama {
  Place place;
  Model model = synthetic_model(as_family(preset("micro"), Family::kLlama), DType::kBF16, 7);
  RandomLlama() { place.arrange(model); }
  TextPerplexity run(std::span<const TokenText> texts, const TextPerplexityOptions& options) {
    return text_perplexity(place, model.weights(), tokenizer(), texts, options);
  }
};

TokenText random_text(int64_t count, uint64_t seed) {
  Rng rng(seed);
  TokenText text;
  for (int64_t i = 0; i < count; ++i)
    text.tokens.push_back(static_cast<int32_t>(1 + rng.below(4000)));
  text.bytes = 10 * count;
  text.words = 2 * count;
  return text;
}

// -log p of tokens[from], ... behind all before them, one by one from whole rows of logits.
double nats(const Weights& weights, std::span<const int32_t> tokens, size_t from) {
  const std::vector<float> logits = logits_of(weights, tokens);
  const size_t V = logits.size() / tokens.size();
  double sum = 0;
  for (size_t t = from; t < tokens.size(); ++t) {
    const auto row = std::span(logits).subspan((t - 1) * V, V);
    double total = 0;
    for (const float l : row) total += std::exp(static_cast<double>(l));
    sum += std::log(total) - static_cast<double>(row[static_cast<size_t>(tokens[t])]);
  }
  return sum;
}

using Cut = std::vector<std::array<int64_t, 3>>;

Cut cut(PerplexityConvention convention, int64_t tokens, int64_t context, int64_t stride) {
  Cut cut;
  for (const PerplexityWindow& w : windows_of(convention, tokens, context, stride))
    cut.push_back({w.begin, w.end, w.scored});
  return cut;
}

TEST(PerplexityWindows, OfEachConvention) {
  using enum PerplexityConvention;
  EXPECT_EQ(cut(kStrided, 12, 4, 2),
            (Cut{{0, 5, 4}, {2, 7, 2}, {4, 9, 2}, {6, 11, 2}, {8, 12, 1}}));
  EXPECT_EQ(cut(kStrided, 10, 4, 4), (Cut{{0, 5, 4}, {4, 9, 4}, {8, 10, 1}}));
  EXPECT_EQ(cut(kStrided, 3, 4, 2), (Cut{{0, 3, 2}}));
  EXPECT_EQ(cut(kStrided, 1, 4, 2), Cut{});
  // llama.cpp: positions first = 4 to 6 of 8 predict tokens 5 to 7.
  EXPECT_EQ(cut(kLlamaCpp, 19, 8, 8), (Cut{{0, 8, 3}, {8, 16, 3}}));
  EXPECT_EQ(cut(kLlamaCpp, 7, 8, 8), Cut{});
  // The harness: inputs of 4; the last window is moved back.
  EXPECT_EQ(cut(kHarness, 12, 4, 4), (Cut{{0, 5, 4}, {4, 9, 4}, {7, 12, 3}}));
  EXPECT_EQ(cut(kHarness, 2, 4, 4), (Cut{{0, 2, 1}}));
}

TEST(TextPerplexity, WindowsSideBySideAreTheTrainersHeldOutLoss) {
  RandomLlama llama;
  const TokenText text = random_text(1000, 1);
  for (const int64_t window : {7, 64, 200}) {
    const TextPerplexity r = llama.run({&text, 1}, {.context = window, .stride = window});
    const PerplexityReport expected = perplexity(llama.model.weights(), text.tokens, window);
    EXPECT_EQ(r.tokens, expected.tokens);
    EXPECT_NEAR(r.loss(), expected.loss(), 1e-6);
  }
}

TEST(TextPerplexity, OfStridesIsTheModels) {
  RandomLlama llama;
  const TokenText text = random_text(100, 2);
  const TextPerplexity r = llama.run({&text, 1}, {.context = 40, .stride = 25, .bos = true});
  std::vector<int32_t> all = {tokenizer().bos_id()};
  all.insert(all.end(), text.tokens.begin(), text.tokens.end());
  const std::span<const int32_t> span(all);
  const Weights& w = llama.model.weights();
  const double expected = nats(w, span.subspan(0, 41), 1) + nats(w, span.subspan(25, 41), 16) +
                          nats(w, span.subspan(50, 41), 16) + nats(w, span.subspan(75), 16);
  EXPECT_EQ(r.tokens, 100);
  EXPECT_EQ(r.windows, 4);
  EXPECT_NEAR(r.nats, expected, 1e-3);
  EXPECT_NEAR(r.word_perplexity(), std::exp(expected / 200), 1e-2);
  EXPECT_NEAR(r.bits_per_byte(), expected / 1000 / std::log(2.0), 1e-6);
}

// bos stands in the place of each window's first token.
TEST(TextPerplexity, OfLlamaCppsConvention) {
  RandomLlama llama;
  const TokenText text = random_text(70, 3);
  const TextPerplexity r = llama.run(
      {&text, 1}, {.convention = PerplexityConvention::kLlamaCpp, .context = 32, .bos = true});
  std::vector<int32_t> all = {tokenizer().bos_id()};
  all.insert(all.end(), text.tokens.begin(), text.tokens.end());
  all[32] = tokenizer().bos_id();
  const std::span<const int32_t> span(all);
  const Weights& w = llama.model.weights();
  EXPECT_EQ(r.tokens, 30);
  EXPECT_NEAR(r.nats, nats(w, span.subspan(0, 32), 17) + nats(w, span.subspan(32, 32), 17), 1e-3);
  EXPECT_GT(r.token_standard_error, 0);
}

// goldens.json: the harness's loglikelihood_rolling of the same model.
TEST(TextPerplexity, OfTheHarnessesConvention) {
  RandomLlama llama;
  const Path data = kSource / "src/eval/testdata";
  const Json goldens = parse_json(read_text(data / "goldens.json"), "goldens.json");
  TokenText text;
  text.tokens = tokenizer().encode(read_text(data / "rolling.txt"));
  ASSERT_GT(text.tokens.size(), 257u);  // more than one window
  const TextPerplexity r = llama.run(
      {&text, 1}, {.convention = PerplexityConvention::kHarness, .bos = tokenizer().add_bos()});
  EXPECT_NEAR(r.nats, -goldens["rolling"]["llama"].get<double>(),
              1e-2);  // 1e-3 a token would be 0.4
}

TEST(TextPerplexity, StandardErrorIsOverTexts) {
  RandomLlama llama;
  const std::vector<TokenText> texts = {random_text(50, 4), random_text(50, 5), random_text(50, 6)};
  const TextPerplexity r = llama.run(texts, {.context = 60, .stride = 60});
  EXPECT_EQ(r.documents, 3);
  EXPECT_TRUE(r.over_documents);
  double squares = 0;
  for (const TokenText& text :
       texts) {  // texts as long as each other: the mean's ordinary standard error
    const double loss = nats(llama.model.weights(), text.tokens, 1) / 49;
    squares += (loss - r.loss()) * (loss - r.loss());
  }
  EXPECT_NEAR(r.standard_error, std::sqrt(squares / 2 / 3), 1e-5);
  const TextPerplexity one = llama.run({texts.data(), 1}, {.context = 60, .stride = 60});
  EXPECT_TRUE(std::isnan(one.standard_error));  // one window says nothing of another
}

TEST(TextPerplexity, GoesOnWhereItWasKilled) {
  RandomLlama llama;
  const std::vector<TokenText> texts = {random_text(300, 7), random_text(120, 8)};
  const Path file = test_folder() / "partial";
  TextPerplexityOptions options = {.context = 64, .stride = 16, .resume = file, .model = "m"};
  const TextPerplexity whole = llama.run(texts, options);
  EXPECT_EQ(whole.resumed, 0);
  const std::string lines = read_text(file);
  size_t half = lines.find('\n', lines.size() / 2);
  std::filesystem::remove(file);
  write_text(file, lines.substr(0, half + 8));  // the next line is torn
  const TextPerplexity again = llama.run(texts, options);
  EXPECT_GT(again.resumed, 3);
  EXPECT_LT(again.resumed, whole.windows);
  EXPECT_EQ(again.nats, whole.nats);
  EXPECT_EQ(again.standard_error, whole.standard_error);
  const TextPerplexity done = llama.run(texts, options);
  EXPECT_EQ(done.resumed, whole.windows);
  EXPECT_EQ(done.nats, whole.nats);

  options.stride = 32;
  EXPECT_THROW(llama.run(texts, options), Error);  // another plan
  options.stride = 16;
  options.model = "n";
  EXPECT_THROW(llama.run(texts, options), Error);  // another model
  options.model = "m";
  EXPECT_THROW(llama.run({texts.data(), 1}, options), Error);  // another text
  write_text(file, "no JSON\n");
  EXPECT_THROW(llama.run(texts, options), Error);
}

TEST(TextPerplexity, RefusesWhatCannotBeScored) {
  RandomLlama llama;
  const TokenText text = random_text(10, 9), single = random_text(1, 9);
  EXPECT_THROW(llama.run({&single, 1}, {}), Error);
  EXPECT_THROW(llama.run({&text, 1}, {.convention = PerplexityConvention::kLlamaCpp}), Error);
  EXPECT_THROW(llama.run({&text, 1}, {.context = 257}), Error);
  EXPECT_THROW(llama.run({&text, 1}, {.context = 8, .stride = 9}), Error);
  EXPECT_THROW(convention_from("gguf"), Error);
}

}  // namespace
}  // namespace trit
