#include "train/trainer.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/reduce.h"
#include "base/single_rank.h"
#include "base/thread_pool.h"
#include "eval/perplexity.h"
#include "kernels/kernels.h"
#include "model/parallel.h"
#include "train/state_file.h"

namespace trit {
namespace {

constexpr int64_t kGrain = 32768;  // elements that one thread takes at a time

double sum(std::span<const float> values) {
  double total = 0;
  for (const float value : values) total += static_cast<double>(value);
  return total;
}

// Of the quantised matrices.
std::vector<float> scales(const Weights& weights) {
  std::vector<float> all;
  if (weights.config.weights == WeightKind::kFloat) return all;
  for (const LayerWeights& layer : weights.layers) {
    for (const Linear& linear : layer.projections) all.push_back(linear.scale);
  }
  return all;
}

double relative_change(std::span<const float> before, std::span<const float> after) {
  double total = 0;
  for (size_t i = 0; i < before.size(); ++i)
    total += std::fabs(static_cast<double>(after[i]) / static_cast<double>(before[i]) - 1.0);
  return before.empty() ? 0.0 : total / static_cast<double>(before.size());
}

// to += from, in a stretch of both.
void add(std::span<const float> from, Stretch stretch, std::span<float> to) {
  parallel_ranges(stretch.size(), kGrain, [&](int64_t begin, int64_t end) {
    const int64_t i = stretch.begin + begin;
    kernels::active().add(from.data() + i, end - begin, to.data() + i);
  });
}

}  // namespace

Trainer::Trainer(Model model, const TrainerOptions& options, Collectives* ranks)
    : model_(std::move(model)),
      options_(options),
      exchange_(ranks == nullptr ? single_rank() : *ranks, model_.config()),
      adamw_(exchange_.shares().parts(exchange_.ranks().rank()), options.adamw),
      state_(model_.config(), Pass::kTraining, options.micro_sequences, options.sequence_length,
             options.micro_sequences * options.sequence_length),
      losses_(static_cast<size_t>(options.micro_sequences * options.sequence_length)) {
  const Config& c = model_.config();
  TRIT_CHECK(!model_.masters().empty());
  TRIT_CHECK(options.parts % exchange_.ranks().size() == 0);
  TRIT_CHECK(options.sequences % options.parts == 0);
  TRIT_CHECK(options.sequences / options.parts % options.micro_sequences == 0);
  part_losses_.resize(static_cast<size_t>(own_parts()));
  const int depth = std::bit_width(static_cast<uint64_t>(own_parts() - 1)) + 1;
  for (int i = 0; i < depth; ++i) gradients_.emplace_back(c);
  if (!exchange_.alone()) exchanges_.emplace();
  if (options.sequence_length > c.context) {
    bad_input("sequence length {}: the model's context is {}", options.sequence_length, c.context);
  }
}

// gradients_[depth] becomes the sum of this rank's parts [begin, end); but for the last part, which adds up what waits.
void Trainer::accumulate(int64_t begin, int64_t end, size_t depth, const Tokens& tokens) {
  if (end - begin == 1) {
    gradients_[depth].clear();
    return add_part(begin, depth, tokens);
  }
  const int64_t middle = (begin + end) / 2;
  accumulate(begin, middle, depth, tokens);
  accumulate(middle, end, depth + 1, tokens);
  if (end == own_parts()) return;
  const Stretch all{0, std::ssize(gradients_[0].flat())};
  add(gradients_[depth + 1].flat(), all, gradients_[depth].flat());
}

// The last part's gradients of a bucket are complete: adds those that wait, and sums over the ranks behind the backward
// pass of the next bucket.
void Trainer::finish_bucket(int bucket, size_t depth) {
  for (; depth > 0; --depth)
    add(gradients_[depth].flat(), exchange_.shares().bucket(bucket), gradients_[depth - 1].flat());
  if (exchanges_)
    exchanges_->run([this, bucket] { exchange_.reduce(bucket, gradients_[0].flat()); });
}

void Trainer::add_part(int64_t part, size_t depth, const Tokens& tokens) {
  const int64_t micro_tokens = options_.micro_sequences * options_.sequence_length;
  const int64_t all_tokens = options_.sequences * options_.sequence_length;
  const int64_t part_tokens = all_tokens / options_.parts;
  double& loss = part_losses_[static_cast<size_t>(part)] = 0;
  for (int64_t begin = part * part_tokens; begin < (part + 1) * part_tokens;
       begin += micro_tokens) {
    const auto micro = [&](std::span<const int32_t> all) {
      return all.subspan(static_cast<size_t>(begin), static_cast<size_t>(micro_tokens));
    };
    const bool last = part + 1 == own_parts() && begin + micro_tokens == (part + 1) * part_tokens;
    const auto finish = [&](int64_t layer) {
      if (last) finish_bucket(exchange_.shares().bucket_of_layer(layer), depth);
    };
    forward_backward(model_.weights(), options_.micro_sequences, micro(tokens.inputs),
                     micro(tokens.targets), 1.0f / static_cast<float>(all_tokens), state_,
                     gradients_[depth], losses_, finish);
    loss += sum(losses_);
  }
}

StepReport Trainer::step(std::span<const int32_t> inputs, std::span<const int32_t> targets) {
  TRIT_CHECK(std::ssize(inputs) == own_sequences() * options_.sequence_length);
  TRIT_CHECK(targets.size() == inputs.size());
  StepReport report;
  report.step = steps_done() + 1;
  report.tokens = options_.sequences * options_.sequence_length;

  accumulate(0, own_parts(), 0, {inputs, targets});
  const std::span<float> gradients = gradients_[0].flat();
  if (exchanges_) exchanges_->wait();
  report.loss = sum_halves(gather_numbers(exchange_.ranks(), part_losses_)) /
                static_cast<double>(report.tokens);
  double squares = 0;
  for (const double group : exchange_.squares(gradients)) {
    squares += group;
    report.layer_norms.push_back(std::sqrt(group));
  }
  report.gradient_norm = std::sqrt(squares);
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    failure(
        "step {}: loss {}, gradient norm {}; the run diverged: lower the learning rate, and resume "
        "from the "
        "last checkpoint",
        report.step, report.loss, report.gradient_norm);
  }
  double scale = 1.0;
  if (options_.clip_norm > 0 && report.gradient_norm > options_.clip_norm) {
    scale = options_.clip_norm / report.gradient_norm;
  }
  report.learning_rate = learning_rate(options_.schedule, report.step);
  report.weight_decay = weight_decay(options_.schedule, report.step);
  adamw_.step(model_.table(), report.learning_rate, report.weight_decay, static_cast<float>(scale),
              gradients, model_.masters());
  const std::vector<float> before = scales(model_.weights());
  const QuantisationStats stats = exchange_.renew(model_);
  report.scale_drift = relative_change(before, scales(model_.weights()));
  if (stats.weights > 0) {
    report.zeros = static_cast<double>(stats.zeros) / static_cast<double>(stats.weights);
    report.flips = static_cast<double>(stats.flips) / static_cast<double>(stats.weights);
  }
  return report;
}

const Model& Trainer::current_model() {
  exchange_.gather_whole(model_.masters());
  return model_;
}

// Each rank predicts some windows.
double Trainer::held_out_loss(std::span<const int32_t> tokens, int64_t window) {
  const int64_t windows = (std::ssize(tokens) - 1 + window - 1) / window;
  const Share own = share_of(windows, exchange_.ranks().rank(), exchange_.ranks().size());
  const int64_t begin = own.begin * window;
  const int64_t end = std::min(own.end * window + 1, std::ssize(tokens));
  double sums[2] = {};
  if (own.size() > 0) {
    const PerplexityReport part = perplexity(
        model_.weights(),
        tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), window);
    sums[0] = part.nats;
    sums[1] = static_cast<double>(part.tokens);
  }
  all_reduce(exchange_.ranks(), sums);
  return sums[0] / sums[1];
}

void Trainer::save_state(const Path& directory) {
  const bool writes = exchange_.ranks().rank() == 0;
  const auto size = static_cast<size_t>(flat_size(model_.table()));
  // One moment after the other, each gathered when its turn to be written has come.
  const auto gathered = [&](std::span<const float> own) {
    Buffer<std::byte> bytes(writes ? size * sizeof(float) : 0);
    exchange_.gather_own(own, {reinterpret_cast<float*>(bytes.data()), writes ? size : 0});
    return bytes;
  };
  if (!writes) {
    gathered(adamw_.first());
    gathered(adamw_.second());
    return;
  }
  write_training_state(
      directory, flat_size(model_.table()), [&] { return gathered(adamw_.first()); },
      [&] { return gathered(adamw_.second()); }, steps_done());
}

void Trainer::load_state(const Path& directory) {
  adamw_.set_steps(read_training_state(directory, flat_size(model_.table()), adamw_.own(),
                                       adamw_.first(), adamw_.second()));
}

}  // namespace trit
