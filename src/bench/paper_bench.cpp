#include "bench/paper_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "bench/cuda/products.h"
#include "bench/machine.h"
#include "bench/paper_model.h"
#include "bench/statistics.h"

namespace trit::bench {
namespace {

constexpr int64_t kTokenPieces =
    16;  // rows of a pass while tokens are timed: little memory beside the weights
constexpr double kWarmUp = 0.3;     // seconds
constexpr int64_t kBatchSteps = 8;  // tokens of each sequence that are timed
constexpr int64_t kPromptRepeats = 3;
constexpr int kEnergyRuns = 3;
constexpr double kIdleSeconds = 1;  // over which power at rest is measured
constexpr double kSlow = 1.5;       // seconds after which fewer repeats do
constexpr int64_t kFewest = 3;

// Seconds of each call, `times` of them or, when they are slow, fewer.
template <class Call>
std::vector<double> timed(int64_t times, const Call& call) {
  std::vector<double> seconds;
  const Timer all;
  for (int64_t i = 0; i < times && (i < kFewest || all.seconds() < kSlow); ++i) {
    const Timer timer;
    call();
    seconds.push_back(timer.seconds());
  }
  return seconds;
}

// The measurements of one model.
class ModelMeasures {
 public:
  ModelMeasures(const PaperOptions& options, const std::string& size, bool ternary,
                const Place& place, double idle_watts, PaperReport& report)
      : options_(options),
        size_(size),
        weights_(ternary ? "ternary" : "float16"),
        config_(paper_config(size, ternary)),
        place_(place),
        idle_watts_(idle_watts),
        report_(report) {}

  void run() {
    const int64_t needed = PaperModel::weight_bytes(config_), there = free_memory(place_);
    if (needed > there) return gap("everything", no_room(needed, there));
    try {
      say("weights");
      used_before_ = used_memory(place_);
      model_.emplace(config_, place_);
      time_tokens();
      time_prompts();
      time_batches();
    } catch (const Error& e) {
      if (e.code() != ExitCode::kFailure) throw;
      gap("everything else", e.what());
    }
  }

 private:
  void say(const std::string& what) const {
    if (options_.progress) options_.progress(fmt::format("{} {}: {}", size_, weights_, what));
  }
  void gap(const std::string& what, const std::string& why) {
    report_.gaps.push_back({size_, weights_, what, why});
  }
  static std::string no_room(int64_t needed, int64_t there) {
    return fmt::format("it needs {}, {} are free", binary_bytes(needed), binary_bytes(there));
  }
  void add(PaperMeasure measure, int64_t tokens, int64_t rows, double value, double spread = 0) {
    report_.figures.push_back({size_, weights_, measure, tokens, rows,
                               std::string(to_string(options_.kv_type)), value, spread});
  }
  void add(PaperMeasure measure, int64_t tokens, int64_t rows, const Statistics& s) {
    add(measure, tokens, rows, s.median, s.spread);
  }

  RunnerOptions runner_options(int64_t sequences, int64_t positions, int64_t prompt_rows) const {
    return {.kv_type = options_.kv_type,
            .sequences = sequences,
            .positions = positions,
            .prompt_rows = prompt_rows,
            .candidates = 1};
  }
  ModelRunner runner(const RunnerOptions& options) const {
    return {config_, [this](const CpuBackendOptions& o) { return model_->backend(o); }, options};
  }

  // One token after the other, the likeliest found behind each.
  void time_tokens() {
    std::vector<int64_t> contexts = options_.contexts;
    std::erase_if(contexts, [this](int64_t context) {
      const bool too_long = context + options_.steps > config_.context;
      if (too_long)
        gap(fmt::format("tokens after {}", context),
            fmt::format("the model's context is {}", config_.context));
      return too_long;
    });
    for (const int64_t context : contexts) {
      say(fmt::format("a token after {}", context));
      ModelRunner one = runner(runner_options(1, context + options_.steps, kTokenPieces));
      one.prefill(context);
      warm_up(one, context);
      std::vector<double> times = timed(options_.steps, [&] { one.decode(); });
      for (double& t : times) t *= 1e3;
      add(PaperMeasure::kTokenTime, context, 1, statistics(times));
      add_memory(one, context);
      if (context == contexts.front()) measure_energy(one, context);
    }
  }

  // Devices raise their clocks when there is work.
  void warm_up(ModelRunner& one, int64_t context) const {
    const Timer timer;
    const double enough = place_.is_cpu() ? 0 : kWarmUp;
    do {
      one.rewind(context);
      one.decode();
      one.decode();
    } while (timer.seconds() < enough);
    one.rewind(context);
  }

  void add_memory(const ModelRunner& one, int64_t context) {
    const auto bytes = [&](PaperMeasure measure, int64_t value) {
      if (value > 0) add(measure, context, 1, static_cast<double>(value));
    };
    bytes(PaperMeasure::kMemory, used_memory(place_) - used_before_);
    const BackendMemory parts = one.memory();
    bytes(PaperMeasure::kWeightMemory, parts.weights);
    bytes(PaperMeasure::kCacheMemory, parts.cache);
    bytes(PaperMeasure::kWorkMemory, parts.work);
  }

  void measure_energy(ModelRunner& one, int64_t context) {
    if (options_.energy_seconds <= 0) return;
    if (options_.meter == nullptr) return gap("energy", options_.no_meter);
    say("energy");
    one.rewind(context);
    const Timer timer;
    const auto step = [&] {
      if (one.position() == context + options_.steps) one.rewind(context);
      one.decode();
    };
    std::vector<double> all, above, watts;
    for (const MeteredWork& run :
         metered_runs(*options_.meter, kEnergyRuns, options_.energy_seconds / kEnergyRuns, step,
                      [&] { return timer.seconds(); })) {
      all.push_back(run.joules_per_step());
      above.push_back(run.joules_per_step_above(idle_watts_));
      watts.push_back(run.watts());
    }
    add(PaperMeasure::kEnergy, context, 1, statistics(all));
    add(PaperMeasure::kEnergyAboveIdle, context, 1, statistics(above));
    add(PaperMeasure::kPower, context, 1, statistics(watts));
    add(PaperMeasure::kIdlePower, context, 1, idle_watts_);
  }

  void time_prompts() {
    const int64_t count = std::min(options_.prompt, config_.context);
    std::vector<int64_t> pieces = {count};
    if (count > kPromptRows) pieces.push_back(kPromptRows);
    if (count == 0) return;
    for (const int64_t piece : pieces) {
      say(fmt::format("a prompt of {} in {}s", count, piece));
      ModelRunner one = runner(runner_options(1, count, piece));
      one.prefill(count);
      const auto times = timed(kPromptRepeats, [&] {
        one.rewind(0);
        one.prefill(count);
      });
      add(PaperMeasure::kPrompt, count, piece, rates(static_cast<double>(count), times));
    }
  }

  RunnerOptions batch_options(int64_t sequences) const {
    return runner_options(sequences, std::min(options_.sequence, config_.context),
                          std::clamp<int64_t>(sequences, kTokenPieces, kPromptRows));
  }

  // Of sequences that are nearly at their end. All but the first hold copies of its keys and values.
  void time_batch(int64_t sequences) {
    say(fmt::format("{} sequences", sequences));
    const RunnerOptions options = batch_options(sequences);
    ModelRunner all = runner(options);
    all.prefill_alike(options.positions - kBatchSteps - 1);
    all.decode();
    const auto times = timed(kBatchSteps, [&] { all.decode(); });
    add(PaperMeasure::kBatch, options.positions, sequences,
        rates(static_cast<double>(sequences), times));
  }

  void time_batches() {
    const int64_t tokens = batch_options(1).positions;
    for (const int64_t sequences : options_.batches) {
      const int64_t needed = ModelRunner::memory_bytes(config_, batch_options(sequences));
      const int64_t there = free_memory(place_);
      if (needed > there)
        gap(fmt::format("{} sequences of {}", sequences, tokens), no_room(needed, there));
      else
        time_batch(sequences);
    }
    if (options_.largest) find_largest(tokens);
  }

  // From what the cache alone would leave room for down to what is sure to fit.
  void find_largest(int64_t tokens) {
    const int64_t there = free_memory(place_);
    const RunnerOptions one = batch_options(1);
    const int64_t sequence = kernels::pages_of(one.positions) * kernels::kPagePositions *
                             kv_bytes_per_position(config_, options_.kv_type);
    const int64_t most = there / sequence, sure = largest_batch(config_, one, there);
    add(PaperMeasure::kLargestByBytes, tokens, 1, static_cast<double>(most));
    constexpr int64_t kTries = 6;
    const int64_t step = std::max<int64_t>(1, (most - sure) / kTries);
    for (int64_t sequences = most; sequences > 0 && sequences > sure - 2 * kTries * step;
         sequences -= step) {
      try {
        time_batch(sequences);
        return add(PaperMeasure::kLargestBatch, tokens, 1, static_cast<double>(sequences));
      } catch (const Error& e) {
        if (e.code() != ExitCode::kFailure) throw;
        why_ = e.what();
      }
    }
    gap("the largest batch", why_);
  }

  const PaperOptions& options_;
  const std::string size_, weights_;
  const Config config_;
  const Place& place_;
  const double idle_watts_;
  PaperReport& report_;
  std::optional<PaperModel> model_;
  int64_t used_before_ = 0;
  std::string why_ = "there is no room for a sequence";
};

}  // namespace

Config paper_config(const std::string& size, bool ternary) {
  if (!ternary) return as_family(preset(size), Family::kLlama);
  return as_family(preset(size), size == "2B4T" ? Family::kBitNet2B4T : Family::kBitNet);
}

int64_t largest_batch(const Config& config, RunnerOptions options, int64_t bytes) {
  const auto fits = [&](int64_t sequences) {
    options.sequences = sequences;
    return ModelRunner::memory_bytes(config, options) <= bytes;
  };
  int64_t low = 0, high = 1;
  while (fits(high)) low = std::exchange(high, 2 * high);
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

namespace {

// GB/s of memory, by all threads; 0 where there is not the room to measure it.
double processor_read_rate() {
  MachineOptions limits;
  limits.quick = limits.limits_only = true;
  limits.threads = {thread_count()};
  try {
    return measure_machine(limits).read_limit("DRAM", thread_count());
  } catch (const Error& e) {
    if (e.code() != ExitCode::kFailure) throw;
    return 0;
  }
}

double power_at_rest(const PaperOptions& options) {
  if (options.meter == nullptr || options.energy_seconds <= 0) return 0;
  if (options.progress) options.progress("power at rest");
  const Timer timer;
  return idle_watts(*options.meter, kIdleSeconds, [&] { return timer.seconds(); });
}

}  // namespace

PaperReport bench_paper(const PaperOptions& options) {
  PaperReport report;
  const Place place(options.device);
  report.device = place.is_cpu() ? cpu_name() : place.kernels();
  report.host = cpu_name();
  const double idle = power_at_rest(options);
  for (const std::string& size : options.sizes) {
    for (const bool ternary : {true, false}) {
      if (!(ternary ? options.ternary : options.float16)) continue;
      ModelMeasures(options, size, ternary, place, idle, report).run();
      if (options.keep) options.keep(report);
    }
  }
  if (options.products && place.is_cpu()) {
    if (options.progress) options.progress("read rate");
    if (const double rate = processor_read_rate(); rate > 0)
      report.figures.push_back({"", "read", PaperMeasure::kReadRate, 0, 1, "", rate});
  } else if (options.products) {
    if (options.progress) options.progress("single products");
    for (PaperFigure& figure : cuda_product_figures(place.device()))
      report.figures.push_back(std::move(figure));
  }
  return report;
}

}  // namespace trit::bench
