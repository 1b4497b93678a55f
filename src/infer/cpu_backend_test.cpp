// The head that screens first against the one that computes every logit.

#include "infer/cpu_backend.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/rng.h"
#include "base/test_folder.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

// A model whose embedding and head are stored as `form`.
Model model_with(FloatForm form, bool tied) {
  Config c = preset("nano");
  c.vocabulary = 2000;
  c.hidden = 256;
  c.layers = 1;
  c.context = 512;
  c.tied = tied;
  const Path path = test_folder() / fmt::format("head-{}-{}.gguf", to_string(form), tied);
  GgufOptions options;
  options.embeddings = form;
  write_gguf_model(path, Model::random(c, 7), nullptr, options);
  return Model::open_to_run(path);
}

void run_random_rows(CpuBackend& backend, int64_t rows, Rng& rng) {
  std::vector<int32_t> tokens, pages(static_cast<size_t>(backend.pages()));
  std::vector<TokenSlot> slots;
  std::iota(pages.begin(), pages.end(), 0);
  for (int32_t i = 0; i < rows; ++i) {
    tokens.push_back(static_cast<int32_t>(rng.below(2000)));
    slots.push_back({0, i});
  }
  const PageTable table(pages);
  backend.run({tokens, slots, {&table, 1}});
}

// top() as the backend does it and as it is defined, over all logits.
void compare(CpuBackend& backend, std::span<const int64_t> rows, int64_t k) {
  std::vector<TokenLogit> screened(rows.size() * static_cast<size_t>(k)), full = screened;
  backend.top(rows, k, screened);
  backend.Backend::top(rows, k, full);
  ASSERT_EQ(screened, full) << "k " << k << ", " << rows.size() << " rows";
}

TEST(CpuBackend, TheBestLogitsAreThoseOfTheFullHead) {
  const bool screens = kernels::active().screen_q6_k != nullptr;
  const bool together = kernels::active().many_screens[0].screen != nullptr;
  for (const FloatForm form : {FloatForm::kQ8_0, FloatForm::kQ6_K, FloatForm::kF16}) {
    for (const bool tied : {false, true}) {
      const Model model = model_with(form, tied);
      CpuBackend backend(model.weights());
      Rng rng(1);
      for (int pass = 0; pass < 4; ++pass) {
        run_random_rows(backend, 200, rng);
        for (int64_t row = 0; row < 200; ++row) {
          for (const int64_t k : {1, 40}) compare(backend, {&row, 1}, k);
        }
        compare(backend, std::vector<int64_t>{3}, 64);
        compare(backend, std::vector<int64_t>{199, 0, 7}, 5);
        compare(backend, std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}, 17);
        compare(backend, std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9}, 17);
        std::vector<int64_t> many(70);
        std::iota(many.begin(), many.end(), 100);
        compare(backend, many, 10);
      }
      const CpuBackend::Screened before = backend.screened();
      const bool alone = screens && form != FloatForm::kF16;
      EXPECT_EQ(before.rows, 4 * ((alone ? 200 * 2 + 1 : 0) + (alone || together ? 3 + 8 : 0) +
                                  (together ? 9 + 70 : 0)));
      if (!alone) continue;
      EXPECT_EQ(before.failed, 0);
      EXPECT_LT(before.multiplied, before.rows * 40);
      // Where all are wanted, or nothing can be told apart, the full head it is.
      compare(backend, std::vector<int64_t>{5}, 2000);
      EXPECT_EQ(backend.screened().failed, 0);
    }
  }
}

// Embeddings of nothing but zeros: every logit is equal.
TEST(CpuBackend, FallsBackToTheFullHead) {
  Config c = preset("nano");
  c.vocabulary = 600;
  c.hidden = 256;
  c.layers = 1;
  c.context = 64;
  Model zero = Model::random(c, 7);
  std::ranges::fill(zero.masters(), 0.0f);
  const Path path = test_folder() / "zero.gguf";
  GgufOptions options;
  options.embeddings = FloatForm::kQ6_K;
  zero.quantise();
  write_gguf_model(path, zero, nullptr, options);
  const Model model = Model::open_to_run(path);
  CpuBackend backend(model.weights());
  const std::vector<int32_t> tokens = {1}, pages = {0};
  const std::vector<TokenSlot> slots = {{0, 0}};
  const PageTable table(pages);
  backend.run({tokens, slots, {&table, 1}});
  const std::vector<int64_t> row = {0};
  std::vector<TokenLogit> best(3);
  backend.top(row, 3, best);
  EXPECT_EQ(best, (std::vector<TokenLogit>{{0, 0}, {0, 1}, {0, 2}}));
  EXPECT_EQ(backend.screened().failed, backend.screened().rows);
}

}  // namespace
}  // namespace trit
