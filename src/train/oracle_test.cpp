// Training steps against PyTorch's. A folder holds initial parameters, a batch, and what PyTorch made of
// them: loss, every gradient, parameters after one and five AdamW steps. Small ones stand in testdata/
// (tools/make_train_goldens.py); all that are found below $TRIT_DATA_DIR/oracles/train are run too.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "train/test_oracle.h"
#include "train/trainer.h"

namespace trit {
namespace {

void check_folder(const Path& folder) {
  SCOPED_TRACE(folder.filename().string());
  const Oracle oracle(folder);
  const Json& meta = oracle.meta;
  Trainer trainer(oracle.model(), oracle.options());

  const auto inputs = oracle.tokens("input_ids"), targets = oracle.tokens("targets");
  const Json& losses = meta.at("loss_before_step");
  const Json& float64 = meta.at("float64_rerun");
  const auto tolerance = [&](const char* key) {
    return std::max(1e-5, 10 * float64.at(key).get<double>());
  };
  for (int step = 0; step < 5; ++step) {
    const StepReport report = trainer.step(inputs, targets);
    const double expected = losses.at(static_cast<size_t>(step));
    if (step == 0) {
      EXPECT_NEAR(report.loss, expected, 1e-5 * expected);
      const Safetensors gradients = Safetensors::open(folder / "grads.safetensors");
      for (const TensorRow& row : trainer.model().table()) {
        Distance distance;
        distance.add(trainer.gradients().subspan(static_cast<size_t>(row.offset),
                                                 static_cast<size_t>(row.count())),
                     gradients.get(row.hf_name).to_f32());
        EXPECT_LT(distance.relative(), 1e-4) << row.hf_name;
      }
      EXPECT_LT(
          parameter_distance(trainer.model(), Safetensors::open(folder / "after1.safetensors")),
          tolerance("rel_l2_params_after1"));
    } else {
      // Each later loss follows from parameters that are as far apart as the reference's own two runs.
      const double apart = std::fabs(
          float64.at("loss_before_step").at(static_cast<size_t>(step)).get<double>() - expected);
      EXPECT_NEAR(report.loss, expected, 1e-5 * expected + 10 * apart);
    }
  }
  EXPECT_LT(parameter_distance(trainer.model(), Safetensors::open(folder / "after5.safetensors")),
            tolerance("rel_l2_params_after5"));
}

int check_folders(const Path& root) {
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (!std::filesystem::exists(entry.path() / "meta.json")) continue;
    ++folders;
    check_folder(entry.path());
  }
  return folders;
}

TEST(TrainingSteps, EqualPyTorchs) {
  EXPECT_EQ(check_folders(TRIT_SOURCE_DIR "/src/train/testdata"), 4);
}

TEST(TrainingSteps, EqualPyTorchsOnTheOptionalData) {
  if (!std::filesystem::is_directory(oracles())) {
    GTEST_SKIP() << oracles().string()
                 << " is not there; set TRIT_DATA_DIR to a folder with oracles/train";
  }
  EXPECT_GT(check_folders(oracles()), 0);
}

}  // namespace
}  // namespace trit
