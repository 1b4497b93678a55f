#include "train/cuda/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/cuda/device.h"
#include "model/cuda/training.h"
#include "train/state_file.h"

namespace trit {
namespace {

using namespace cuda;

// What a step tells the host, and what the host tells it: the same struct on both sides.
struct StepRecord {
  double loss_sum = 0;
  double gradient_norm = 0;
  int64_t not_finite = 0;
  kernels::AdamStep adam{};
};

// Token ids of a step [3, N]: inputs, targets, and the rows of each pass by token.
struct Ids {
  int32_t *inputs, *targets, *order;
};

TrainingPass pass_of(const TrainerOptions& o, const CudaTrainerOptions& where) {
  return {o.micro_sequences, o.sequence_length,
          where.precision == Precision::kF32 ? Float::kF32 : Float::kBF16, where.recompute};
}

const TrainerOptions& checked(const TrainerOptions& options, const Config& config,
                              const CudaTrainerOptions& where) {
  TRIT_CHECK(options.sequences % options.micro_sequences == 0);
  if (options.sequence_length > config.context)
    bad_input("sequence length {}: the model's context is {}", options.sequence_length,
              config.context);
  use_device(where.device);
  return options;
}

class DeviceTrainer : public CudaTrainer {
 public:
  DeviceTrainer(Model model, const TrainerOptions& options, const CudaTrainerOptions& where)
      : options_(checked(options, model.config(), where)),
        device_(where.device),
        model_(std::move(model)),
        weights_(model_.config(), pass_of(options, where).type, stream_.handle()),
        pass_(weights_, pass_of(options, where), stream_.handle()),
        moments_(2 * weights_.count * 4),
        record_(sizeof(StepRecord)),
        host_record_(sizeof(StepRecord)),
        counts_(weights_.plan().quantised() * static_cast<int64_t>(sizeof(QuantizeCounts))),
        ids_(3 * tokens() * 4),
        host_ids_(3 * tokens() * 4) {
    const StreamHandle s = stream_.handle();
    fill(moments_.data(), 0, moments_.bytes(), s);
    fill(record_.data(), 0, record_.bytes(), s);
    copy_to_device(weights_.masters, model_.masters().data(), weights_.count * 4, s);
    weights_.renew(s, pass_.scratch());
    read_scales();
  }

  StepReport step(std::span<const int32_t> inputs, std::span<const int32_t> targets) override {
    TRIT_CHECK(static_cast<int64_t>(inputs.size()) == tokens() && targets.size() == inputs.size());
    use_device(device_);
    StepReport report;
    report.step = steps_ + 1;
    report.tokens = tokens();
    report.learning_rate = learning_rate(options_.schedule, report.step);
    report.weight_decay = weight_decay(options_.schedule, report.step);
    put_ids(inputs, targets);
    queue_gradients(report);
    read_gradients(report);
    update(report);
    ++steps_;
    return report;
  }

  int64_t steps_done() const override { return steps_; }

  const Model& current_model() override {
    take_snapshot();
    return model_;
  }
  bool copies() const override { return true; }

  std::vector<float> gradients() override {
    return from_device(weights_.gradients, weights_.count);
  }

  // Windows as perplexity() cuts them, a pass's sequences at a time; what lies past a text's end changes nothing
  // before it.
  double held_out_loss(std::span<const int32_t> text, int64_t window) override {
    TRIT_CHECK(window == options_.sequence_length && text.size() >= 2);
    use_device(device_);
    const int64_t predicted = std::ssize(text) - 1, N = micro_tokens();
    std::vector<int32_t> inputs(static_cast<size_t>(N)), targets(static_cast<size_t>(N));
    double nats = 0;
    for (int64_t begin = 0; begin < predicted; begin += N) {
      const int64_t here = std::min(N, predicted - begin);
      std::ranges::fill(inputs, 0);
      std::ranges::fill(targets, 0);
      const auto at = text.begin() + begin;
      std::copy(at, at + here, inputs.begin());
      std::copy(at + 1, at + here + 1, targets.begin());
      check_ids(inputs);
      check_ids(targets);
      const StreamHandle s = stream_.handle();
      copy_to_device(pass_.tokens, inputs.data(), N * 4, s);
      copy_to_device(pass_.targets, targets.data(), N * 4, s);
      pass_.forward_losses();
      for (const float loss : from_device(pass_.losses, here)) nats += static_cast<double>(loss);
    }
    return nats / static_cast<double>(predicted);
  }

  void save_state(const Path& directory) override {
    TRIT_CHECK(snapshot_step_ >= 0);
    const std::span<const float> both(host_moments_);
    write_training_state(directory, both.first(both.size() / 2), both.subspan(both.size() / 2),
                         snapshot_step_);
  }

  void load_state(const Path& directory) override {
    use_device(device_);
    host_moments_.resize(static_cast<size_t>(2 * weights_.count));
    const std::span<float> both(host_moments_);
    steps_ =
        read_training_state(directory, both.first(both.size() / 2), both.subspan(both.size() / 2));
    copy_to_device(moments_.data(), host_moments_.data(), moments_.bytes(), stream_.handle());
    stream_.wait();
  }

 private:
  int64_t tokens() const { return options_.sequences * options_.sequence_length; }
  int64_t micro_tokens() const { return options_.micro_sequences * options_.sequence_length; }
  StepRecord& told() { return *host_record_.as<StepRecord>(); }
  Ids ids(std::byte* memory) const {
    auto* const all = reinterpret_cast<int32_t*>(memory);
    return {all, all + tokens(), all + 2 * tokens()};
  }

  std::vector<float> from_device(const float* values, int64_t count) {
    use_device(device_);
    std::vector<float> here(static_cast<size_t>(count));
    copy_to_host(here.data(), values, count * 4, stream_.handle());
    stream_.wait();
    return here;
  }

  void check_ids(std::span<const int32_t> ids) const {
    const int64_t vocabulary = model_.config().vocabulary;
    for (const int32_t id : ids) {
      if (id < 0 || id >= vocabulary)
        bad_input("token {}: the model's vocabulary has ids 0 to {}", id, vocabulary - 1);
    }
  }

  void put_ids(std::span<const int32_t> inputs, std::span<const int32_t> targets) {
    check_ids(inputs);
    check_ids(targets);
    const Ids host = ids(host_ids_.data());
    std::ranges::copy(inputs, host.inputs);
    std::ranges::copy(targets, host.targets);
    for (int64_t begin = 0; begin < tokens(); begin += micro_tokens()) {
      const std::vector<int32_t> order = token_order(
          inputs.subspan(static_cast<size_t>(begin), static_cast<size_t>(micro_tokens())),
          model_.config().vocabulary);
      std::ranges::copy(order, host.order + begin);
    }
    copy_to_device(ids_.data(), host_ids_.data(), ids_.bytes(), stream_.handle());
  }

  // A pass, and what it adds to the loss; recorded once for the first of a step and once for the others.
  void queue_pass(bool first) {
    Graph& graph = first ? first_ : next_;
    if (!graph) {
      const auto queue = [&](StreamHandle s) {
        pass_.forward_backward(1.0f / static_cast<float>(tokens()), first);
        sum_values(s, pass_.losses, micro_tokens(), !first, &record_.as<StepRecord>()->loss_sum);
      };
      // What is made at first calls (libraries, plans) cannot be recorded: so this pass is not.
      queue(stream_.handle());
      graph = Graph(stream_.handle(), queue);
      return;
    }
    graph.launch(stream_.handle());
  }

  void queue_gradients(const StepReport& report) {
    const StreamHandle s = stream_.handle();
    const Ids all = ids(ids_.data());
    const int64_t N = micro_tokens();
    for (int64_t begin = 0; begin < tokens(); begin += N) {
      copy_on_device(pass_.tokens, all.inputs + begin, N * 4, s);
      copy_on_device(pass_.targets, all.targets + begin, N * 4, s);
      copy_on_device(pass_.order, all.order + begin, N * 4, s);
      queue_pass(begin == 0);
    }
    auto* const record = record_.as<StepRecord>();
    told().adam = adam_step(options_.adamw, report.step, report.learning_rate, report.weight_decay);
    copy_to_device(&record->adam, &told().adam, sizeof told().adam, s);
    gradient_norm(s, weights_.gradients, weights_.count, options_.clip_norm, &record->gradient_norm,
                  &record->adam.gradient_scale, pass_.scratch());
    copy_on_device(&record->not_finite, pass_.scratch().not_finite, 4, s);
    copy_to_host(host_record_.data(), record_.data(), sizeof(StepRecord), s);
    stream_.wait();
  }

  void read_gradients(StepReport& report) {
    report.loss = told().loss_sum / static_cast<double>(tokens());
    report.gradient_norm = told().gradient_norm;
    if (told().not_finite == 0 && std::isfinite(report.loss) && std::isfinite(report.gradient_norm))
      return;
    fill(pass_.scratch().not_finite, 0, 4, stream_.handle());
    failure(
        "step {}: loss {}, gradient norm {}{}; the run diverged: lower the learning rate, and "
        "resume from the last checkpoint",
        report.step, report.loss, report.gradient_norm,
        told().not_finite == 0 ? "" : ", activations that are not finite");
  }

  void update(StepReport& report) {
    const StreamHandle s = stream_.handle();
    float* const first = moments_.as<float>();
    adamw_step(s, weights_.plan(), &record_.as<StepRecord>()->adam, weights_.gradients,
               weights_.masters, first, first + weights_.count, pass_.scratch());
    weights_.renew_copies(s);
    const int64_t tensors = weights_.plan().quantised();
    copy_to_host(counts_.data(), weights_.plan().counts(),
                 tensors * static_cast<int64_t>(sizeof(QuantizeCounts)), s);
    stream_.wait();
    report_quantised({counts_.as<QuantizeCounts>(), static_cast<size_t>(tensors)}, report);
  }

  void report_quantised(std::span<const QuantizeCounts> counts, StepReport& report) {
    if (counts.empty()) return;
    double zeros = 0, flips = 0, drift = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      zeros += static_cast<double>(counts[i].zeros);
      flips += static_cast<double>(counts[i].flips);
      drift +=
          std::fabs(static_cast<double>(counts[i].scale) / static_cast<double>(scales_[i]) - 1);
      scales_[i] = counts[i].scale;
    }
    const auto weights = static_cast<double>(model_.config().linear_parameters());
    report.zeros = zeros / weights;
    report.flips = flips / weights;
    report.scale_drift = drift / static_cast<double>(counts.size());
  }

  // Scales of the quantised tensors as they are.
  void read_scales() {
    const auto tensors = static_cast<size_t>(weights_.plan().quantised());
    std::vector<QuantizeCounts> counts(tensors);
    copy_to_host(counts.data(), weights_.plan().counts(),
                 static_cast<int64_t>(tensors * sizeof(QuantizeCounts)), stream_.handle());
    stream_.wait();
    for (const QuantizeCounts& count : counts) scales_.push_back(count.scale);
  }

  void take_snapshot() {
    if (snapshot_step_ == steps_) return;
    use_device(device_);
    host_moments_.resize(static_cast<size_t>(2 * weights_.count));
    const StreamHandle s = stream_.handle();
    copy_to_host(host_moments_.data(), moments_.data(), moments_.bytes(), s);
    copy_to_host(model_.masters().data(), weights_.masters, weights_.count * 4, s);
    stream_.wait();
    snapshot_step_ = steps_;
  }

  TrainerOptions options_;
  int device_;
  Model model_;
  Stream stream_;
  TrainedWeights weights_;
  Training pass_;
  DeviceMemory moments_;  // first, second
  DeviceMemory record_;
  PinnedMemory host_record_, counts_;
  DeviceMemory ids_;
  PinnedMemory host_ids_;
  Graph first_, next_;
  std::vector<float> scales_;               // of quantised tensors after the last step
  int64_t steps_ = 0, snapshot_step_ = -1;  // of model_ and the next
  std::vector<float> host_moments_;
};

}  // namespace

std::unique_ptr<CudaTrainer> cuda_trainer(Model model, const TrainerOptions& options,
                                          const CudaTrainerOptions& where) {
  TRIT_CHECK(!model.masters().empty());
  return std::make_unique<DeviceTrainer>(std::move(model), options, where);
}

}  // namespace trit
