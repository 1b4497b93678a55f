#pragma once
// For tests: a folder with initial parameters, a batch, and what PyTorch made of them (tools/make_train_goldens.py).

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "train/trainer.h"

namespace trit {

inline Path oracles() {
  const char* root = std::getenv("TRIT_DATA_DIR");
  return Path(root ? root : TRIT_SOURCE_DIR "/../shared") / "oracles" / "train";
}

// The model form that a folder's meta.json describes.
inline Config config_of(const Json& meta) {
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

inline std::vector<int32_t> tokens_of(const Safetensors& batch, const char* name) {
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

inline double parameter_distance(const Model& model, const Safetensors& reference) {
  Distance distance;
  for (const TensorRow& row : model.table()) {
    distance.add(
        model.masters().subspan(static_cast<size_t>(row.offset), static_cast<size_t>(row.count())),
        reference.get(row.hf_name).to_f32());
  }
  return distance.relative();
}

struct Oracle {
  explicit Oracle(const Path& folder)
      : meta(parse_json(read_text(folder / "meta.json"), "meta.json")), folder_(folder) {}
  Json meta;

  Model model() const {
    const Safetensors init = Safetensors::open(folder_ / "init.safetensors");
    Model model = Model::random(config_of(meta), 1);
    TRIT_CHECK(model.table().size() == init.names().size());
    for (const TensorRow& row : model.table()) {
      const TensorView& tensor = init.get(row.hf_name);
      TRIT_CHECK(tensor.shape == row.shape);
      std::ranges::copy(tensor.to_f32(), model.masters().begin() + row.offset);
    }
    model.quantise();
    return model;
  }

  TrainerOptions options() const {
    const Json& adamw = meta.at("optimizer");
    TrainerOptions options;
    options.sequences = options.micro_sequences = meta.at("config").at("batch");
    options.sequence_length = meta.at("config").at("seq");
    options.clip_norm = 0;
    options.adamw = {adamw.at("betas").at(0), adamw.at("betas").at(1), adamw.at("eps")};
    const double rate = adamw.at("lr"), decay = adamw.at("weight_decay_on_2d_parameters");
    options.schedule = {1000, 0, rate, rate, rate, decay, decay};
    return options;
  }

  std::vector<int32_t> tokens(const char* name) const {
    return tokens_of(Safetensors::open(folder_ / "batch.safetensors"), name);
  }
  Safetensors file(const char* name) const { return Safetensors::open(folder_ / name); }

 private:
  Path folder_;
};

// Folders of steps below `root`.
inline std::vector<Path> oracle_folders(const Path& root) {
  std::vector<Path> folders;
  if (!std::filesystem::is_directory(root)) return folders;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (std::filesystem::exists(entry.path() / "meta.json")) folders.push_back(entry.path());
  }
  return folders;
}

}  // namespace trit
