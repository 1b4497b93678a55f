// Whole models against what transformers computed for the same files: logits, hidden states, greedy tokens.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/test_folder.h"
#include "eval/verify.h"

namespace trit {
namespace {

constexpr double kClose = 1e-5;  // relative L2 between correct float32 implementations
constexpr double kLoose = 3e-2;  // the same where an activation was rounded the other way

Path oracles() {
  const char* set = std::getenv("TRIT_DATA_DIR");
  return (set != nullptr ? Path(set) : Path(TRIT_SOURCE_DIR "/../shared")) / "oracles/models";
}

// Short prompts were chosen far from rounding boundaries. In long ones some activation may round the
// other way, here or in the reference, and those positions and later ones move.
void expect_close(const LogitsReport& prompt, bool rounds) {
  SCOPED_TRACE(prompt.prompt);
  if (!rounds || prompt.positions <= 7) {
    EXPECT_LT(prompt.relative_l2, kClose);
    return;
  }
  EXPECT_LT(prompt.relative_l2, kLoose);
  const auto moved = std::ranges::count_if(prompt.by_position, [](double d) { return d > kClose; });
  EXPECT_LT(moved, prompt.positions / 2);
  EXPECT_LT(prompt.mean_kl, 1e-3);
}

void expect_equal(const Path& model_path, const Path& reference_path) {
  SCOPED_TRACE(model_path.string());
  const Model model = Model::open(model_path);
  Place place;
  const VerifyReport report =
      verify(model, Safetensors::open(reference_path), reference_path, place);
  EXPECT_GE(report.prompts.size(), 3u);
  for (const LogitsReport& prompt : report.prompts)
    expect_close(prompt, model.config().weights != WeightKind::kFloat);
  EXPECT_EQ(report.first_difference(kClose).value_or("none"), "none");
  EXPECT_GT(report.greedy_tokens, 0);
  EXPECT_EQ(report.greedy_agreed, report.greedy_tokens);
}

TEST(ModelOracles, EqualTransformersOnEveryModel) {
  if (!std::filesystem::is_directory(oracles()))
    GTEST_SKIP() << oracles().string() << " is not there";
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(oracles())) {
    if (!std::filesystem::exists(entry.path() / "reference.safetensors")) continue;
    expect_equal(entry.path(), entry.path() / "reference.safetensors");
    ++models;
  }
  EXPECT_GT(models, 0);
}

// Whether a form can hold the model: whole blocks in every row, and an architecture that has its form.
bool can_hold(GgufForm form, const Config& c) {
  if (form == GgufForm::kTrit) return true;
  if (c.norms == NormForm::kBlockInner) return false;
  if (c.weights == WeightKind::kFloat) return true;
  const int64_t block = form == GgufForm::kI2_S ? 128 : 256;
  return c.hidden % block == 0 && c.ffn % block == 0 && c.heads * c.head_dim % block == 0;
}

// Every model again after conversion through every form that can hold it, and back.
TEST(ModelOracles, SurviveConversionThroughEveryForm) {
  if (!std::filesystem::is_directory(oracles()))
    GTEST_SKIP() << oracles().string() << " is not there";
  for (const auto& entry : std::filesystem::directory_iterator(oracles())) {
    const Path reference = entry.path() / "reference.safetensors";
    if (!std::filesystem::exists(reference)) continue;
    SCOPED_TRACE(entry.path().string());
    const Model model = Model::open(entry.path());
    for (const GgufForm form :
         {GgufForm::kTrit, GgufForm::kTQ1_0, GgufForm::kTQ2_0, GgufForm::kI2_S}) {
      const Path file = test_folder() / fmt::format("{}.gguf", to_string(form));
      GgufOptions options;
      options.form = form;
      if (!can_hold(form, model.config())) {
        EXPECT_THROW(write_gguf_model(file, model, nullptr, options), Error) << to_string(form);
        continue;
      }
      write_gguf_model(file, model, nullptr, options);
      expect_equal(file, reference);
      // On to a directory, from what was read from the file.
      const Path directory = test_folder() / "back";
      for (const HfStored stored : {HfStored::kPacked, HfStored::kMasters}) {
        std::filesystem::remove_all(directory);
        std::filesystem::create_directories(directory);
        export_hf_model(directory, Model::open(file), nullptr, stored);
        expect_equal(directory, reference);
      }
    }
  }
}

}  // namespace
}  // namespace trit
