// Training steps against PyTorch's. A folder holds initial parameters, a batch, and what PyTorch made of
// them: loss, every gradient, parameters after one and five AdamW steps. Small ones stand in testdata/
// (tools/make_train_goldens.py); all that are found below $TRIT_DATA_DIR/oracles/train are run too.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/json.h"
#include "formats/safetensors.h"
#include "train/trainer.h"

namespace trit {
namespace {

Path oracles() {
  const char* root = std::getenv("TRIT_DATA_DIR");
  return Path(root ? root : TRIT_SOURCE_DIR "/../shared") / "oracles" / "train";
}

// The model form that a folder's meta.json describes.
Config config_of(const Json& meta) {
  const Json& c = meta.at("config");
  Config config;
  config.vocabulary = c.at("vocab");
  config.hidden = c.at("hidden");
  config.layers = c.at("layers");
  config.heads = c.at("heads");
  config.kv_heads = c.at("kv_heads");
  config.head_dim = c.value("head_dim", config.hidden / config.heads);
  config.ffn = c.at("ffn");
  config.context = c.at("seq");
  config.rope_theta = c.at("theta");
  config.norm_epsilon = c.at("eps");
  config.weights = c.at("bit").get<bool>() ? WeightKind::kTernary : WeightKind::kFloat;
  if (c.value("binary", false)) config.weights = WeightKind::kBinary;
  config.activation = c.at("act") == "silu" ? Activation::kSilu : Activation::kRelu2;
  config.tied = c.at("tied");
  const std::string inner =
      c.at("inner_norm").is_string() ? c.at("inner_norm").get<std::string>() : "none";
  if (c.at("sub_norms").get<bool>()) {
    config.norms = NormForm::kSub;
  } else if (c.at("block_norms").get<bool>()) {
    config.norms = inner == "weight" ? NormForm::kBlockInner : NormForm::kBlock;
  } else {
    config.norms = inner == "weight" ? NormForm::kInner : NormForm::kInnerPlain;
  }
  return config;
}

std::vector<int32_t> tokens_of(const Safetensors& batch, const char* name) {
  const TensorView& tensor = batch.get(name);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < tensor.count(); ++i) {
    int64_t id = 0;
    std::memcpy(&id, tensor.data + i * 8, sizeof id);
    tokens.push_back(static_cast<int32_t>(id));
  }
  return tokens;
}

// Distance of `ours` from `theirs` in the Euclidean norm, relative to `theirs`.
class Distance {
 public:
  void add(std::span<const float> ours, const std::vector<float>& theirs) {
    for (size_t i = 0; i < theirs.size(); ++i) {
      const double a = ours[i], b = theirs[i];
      difference_ += (a - b) * (a - b);
      reference_ += b * b;
    }
  }
  double relative() const { return std::sqrt(difference_ / std::max(reference_, 1e-300)); }

 private:
  double difference_ = 0, reference_ = 0;
};

double parameter_distance(const Model& model, const Safetensors& reference) {
  Distance distance;
  for (const TensorRow& row : model.table()) {
    distance.add(
        model.masters().subspan(static_cast<size_t>(row.offset), static_cast<size_t>(row.count())),
        reference.get(row.hf_name).to_f32());
  }
  return distance.relative();
}

void check_folder(const Path& folder) {
  SCOPED_TRACE(folder.filename().string());
  const Json meta = parse_json(read_text(folder / "meta.json"), "meta.json");
  const Safetensors init = Safetensors::open(folder / "init.safetensors");
  const Safetensors batch = Safetensors::open(folder / "batch.safetensors");
  Model model = Model::random(config_of(meta), 1);
  ASSERT_EQ(model.table().size(), init.names().size());
  for (const TensorRow& row : model.table()) {
    const TensorView& tensor = init.get(row.hf_name);
    ASSERT_EQ(tensor.shape, row.shape) << row.hf_name;
    std::ranges::copy(tensor.to_f32(), model.masters().begin() + row.offset);
  }
  model.quantise();

  const Json& adamw = meta.at("optimizer");
  TrainerOptions options;
  options.sequences = options.micro_sequences = meta.at("config").at("batch");
  options.sequence_length = meta.at("config").at("seq");
  options.clip_norm = 0;
  options.adamw = {adamw.at("betas").at(0), adamw.at("betas").at(1), adamw.at("eps")};
  const double rate = adamw.at("lr"), decay = adamw.at("weight_decay_on_2d_parameters");
  options.schedule = {1000, 0, rate, rate, rate, decay, decay};
  Trainer trainer(std::move(model), options);

  const auto inputs = tokens_of(batch, "input_ids"), targets = tokens_of(batch, "targets");
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
