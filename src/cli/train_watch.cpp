#include "cli/train_watch.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/shards.h"

namespace trit {

TrainWatch::TrainWatch(const WatchOptions& options, const RunOptions& run, Hardware hardware,
                       int ranks)
    : options_(options), run_(run), hardware_(std::move(hardware)), ranks_(ranks) {
  if (options.dashboard < 0 && options.tensorboard.empty()) return;
  const Config config = run_config(run, TokenDataset::open(run.data).vocab_size());
  token_operations_ = token_operations(config, run.sequence_length);
  if (options.dashboard < 0) return;
  if (options.dashboard > 65535)
    bad_input("--dashboard: {} is no port; they end at 65535", options.dashboard);
  dashboard_ = std::make_unique<Dashboard>(
      options.dashboard_address, static_cast<uint16_t>(options.dashboard),
      OrderedJson{{"out", run.out},
                  {"family", run.family},
                  {"preset", run.preset},
                  {"parameters", config.parameters()},
                  {"steps", run.steps},
                  {"two_stages", config.weights != WeightKind::kFloat}});
  fmt::print(stderr, "live page: {}\n", dashboard_->url());
}

void TrainWatch::begin(const StepReport& first, int64_t total) {
  progress_ = std::make_unique<Progress>("training " + run_.family, static_cast<uint64_t>(total));
  first_ = first.step - 1;
  if (!options_.tensorboard.empty())
    events_ = std::make_unique<EventFile>(options_.tensorboard, first.step);
}

void TrainWatch::show(const StepReport& step, int64_t total, std::optional<double> valid_loss) {
  if (!progress_) begin(step, total);
  if (valid_loss) held_out_ = *valid_loss;
  const double seconds = timer_.seconds();
  const auto done = static_cast<double>(step.step - first_);
  const auto tokens = static_cast<double>(step.tokens);
  std::string note = fmt::format("loss {:.3f}", step.loss);
  if (held_out_ > 0) note += fmt::format(" held-out {:.3f}", held_out_);
  note += fmt::format("  {} tok/s", human_count(done * tokens / std::max(1e-9, seconds)));
  progress_->update(static_cast<uint64_t>(step.step), note);

  const double rate = tokens / std::max(1e-9, seconds - std::exchange(before_, seconds));
  const double mfu = rate * token_operations_ / (hardware_.peak * ranks_);
  if (dashboard_) {
    OrderedJson more = {{"tokens_per_second", rate},
                        {"mfu", mfu},
                        {"left", seconds / done * static_cast<double>(total - step.step)}};
    if (valid_loss) more["valid_loss"] = *valid_loss;
    dashboard_->add(step, more);
    if (!step.sample.empty()) dashboard_->add_sample(step.step, step.sample);
  }
  if (!events_) return;
  const auto number = [](double value) { return static_cast<float>(value); };
  std::vector<Scalar> scalars = {{"train/loss", number(step.loss)},
                                 {"train/learning_rate", number(step.learning_rate)},
                                 {"train/gradient_norm", number(step.gradient_norm)},
                                 {"train/zeros", number(step.zeros)},
                                 {"train/flips", number(step.flips)},
                                 {"train/scale_drift", number(step.scale_drift)},
                                 {"speed/tokens_per_second", number(rate)},
                                 {"speed/mfu", number(mfu)}};
  if (valid_loss) scalars.push_back({"valid/loss", number(*valid_loss)});
  std::vector<std::string> names;
  for (size_t i = 0; i < step.layer_norms.size(); ++i)
    names.push_back(fmt::format("gradient_norm/{}", i == 0 ? "embedding"
                                                    : i + 1 == step.layer_norms.size()
                                                        ? "after_layers"
                                                        : fmt::format("layer_{:02}", i - 1)));
  for (size_t i = 0; i < names.size(); ++i)
    scalars.push_back({names[i], number(step.layer_norms[i])});
  events_->write(step.step, scalars);
}

}  // namespace trit
