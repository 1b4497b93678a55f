#include "bench/model_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/thread_pool.h"
#include "base/timer.h"
#include "bench/memory.h"
#include "bench/model_runner.h"
#include "infer/place.h"
#include "infer/rank_backend.h"
#include "kernels/kernels.h"

namespace trit::bench {
namespace {

class Threads {  // for a while
 public:
  explicit Threads(int count) : before_(thread_count()) { set_thread_count(count); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { set_thread_count(before_); }

 private:
  int before_;
};

// All combinations: for each number of threads and sequences, by depth, prompts before generation.
std::vector<ModelTest> plan(const ModelBenchOptions& options) {
  std::vector<ModelTest> tests;
  std::vector<int64_t> threads = options.threads;
  if (threads.empty()) threads = {thread_count()};
  std::vector<int64_t> batches = options.batches;
  std::ranges::sort(batches);  // the least memory first
  for (const int64_t sequences : batches) {
    for (const int64_t depth : options.depths) {
      for (const int64_t t : threads) {
        const int count = static_cast<int>(t);
        for (const int64_t n : options.prompts) {
          if (n > 0 && sequences == batches.front()) tests.push_back({n, 0, depth, 1, count});
        }
        for (const int64_t n : options.generate) {
          if (n > 0) tests.push_back({0, n, depth, sequences, count});
        }
      }
    }
  }
  return tests;
}

const Ranks& ranks_of(const ModelBenchOptions& options) {
  return options.ranks == nullptr ? alone() : *options.ranks;
}

// What rank 0 tells the others of its next backend; without positions there is none.
void tell(const Ranks& ranks, CpuBackendOptions& options) {
  if (ranks.job() == nullptr) return;
  ranks.job()->broadcast(std::as_writable_bytes(std::span(&options, 1)), 0);
  options.ranks = nullptr;  // a place knows its own
}

// Of all ranks, with this one's part.
struct OwnBackend {
  std::unique_ptr<Backend> own;
};
class JobBackend : OwnBackend, public RankBackend {
 public:
  JobBackend(const Ranks& ranks, std::unique_ptr<Backend> part)
      : OwnBackend{std::move(part)}, RankBackend(ranks, *OwnBackend::own) {}
};

std::unique_ptr<Backend> job_backend(const Weights& weights, Place& place,
                                     CpuBackendOptions options) {
  tell(place.ranks(), options);
  auto own = place.backend(weights, options);
  if (place.ranks().job() == nullptr) return own;
  return std::make_unique<JobBackend>(place.ranks(), std::move(own));
}

class Bencher {
 public:
  Bencher(const Model& model, const ModelBenchOptions& options, ModelReport& report)
      : model_(model),
        options_(options),
        report_(report),
        place_(options.device, ranks_of(options)) {
    report.on_device = !place_.is_cpu();
    report.runs_on = place_.kernels();
  }

  void run() {
    const std::vector<ModelTest> tests = plan(options_);
    int64_t done = 0;
    for (const ModelTest& test : tests) {
      if (options_.progress)
        options_.progress(done++, static_cast<int64_t>(tests.size()), test.name());
      if (const std::string why = hindrance(test); !why.empty()) {
        report_.not_measured.push_back({test.name(), why});
        continue;
      }
      const Threads threads(test.threads);
      prepare(test);
      report_.results.push_back(measure(test));
      if (test.sequences == 1) note_memory();
    }
    if (report_.peak_memory == 0) note_memory();
    runner_.reset();
    CpuBackendOptions none{.positions = 0};
    tell(place_.ranks(), none);
  }

 private:
  void note_memory() {
    report_.peak_memory = static_cast<int64_t>(peak_memory());
    report_.device_memory = place_.used_memory();
    if (runner_) report_.device_parts = runner_->memory();
  }

  static int64_t positions(const ModelTest& t) { return t.depth + t.prompt + t.generate; }

  RunnerOptions runner_options(int64_t sequences, int64_t room) const {
    return {.kv_type = options_.kv_type, .sequences = sequences, .positions = room};
  }

  std::string hindrance(const ModelTest& test) const {
    const Config& config = model_.config();
    if (positions(test) > config.context)
      return fmt::format("the model's context is {}", config.context);
    const int64_t needed =
        ModelRunner::memory_bytes(config, runner_options(test.sequences, positions(test)));
    if (runner_ == nullptr || sequences_ < test.sequences) {
      const int64_t there = place_.is_cpu() ? available_memory() : place_.free_memory();
      if (needed > there / 10 * 9)
        return fmt::format("it needs {}, {} are free", binary_bytes(needed), binary_bytes(there));
    }
    return "";
  }

  // A runner with room for the test, whose sequences are `depth` positions long. What is there already is kept.
  void prepare(const ModelTest& test) {
    if (runner_ == nullptr || sequences_ != test.sequences || room_ < positions(test)) {
      int64_t room = 0;
      for (const ModelTest& other : plan(options_)) {
        if (other.sequences == test.sequences && hindrance(other).empty())
          room = std::max(room, positions(other));
      }
      runner_.reset();
      room_ = std::max(room, positions(test));
      const auto make = [this](const CpuBackendOptions& o) {
        return job_backend(model_.weights(), place_, o);
      };
      runner_ = std::make_unique<ModelRunner>(model_.config(), make,
                                              runner_options(test.sequences, room_));
      sequences_ = test.sequences;
      filled_ = 0;
    }
    if (filled_ < test.depth) {
      runner_->rewind(filled_);
      runner_->prefill(test.depth - filled_);
      filled_ = test.depth;
    }
  }

  double once(const ModelTest& test) {
    runner_->rewind(test.depth);
    const Timer timer;
    if (test.prompt > 0) {
      runner_->prefill(test.prompt);
    } else {
      for (int64_t i = 0; i < test.generate; ++i) runner_->decode();
    }
    // What stands behind `depth` now is as long as the longest test, and of no use to deeper ones.
    filled_ = std::min(filled_, test.depth);
    return timer.seconds();
  }

  void warm_up(const ModelTest& test) {
    ModelTest shorter = test;
    shorter.generate = std::min<int64_t>(test.generate, 2);
    const double seconds = once(shorter);
    if (report_.first_prompt == 0 && test.prompt > 0 && test.depth == 0) {
      report_.first_token_seconds = seconds;
      report_.first_prompt = test.prompt;
    }
  }

  ModelResult measure(const ModelTest& test) {
    warm_up(test);
    ModelResult result;
    result.test = test;
    for (int64_t i = 0; i < options_.repeats; ++i) result.seconds.push_back(once(test));
    const auto tokens = static_cast<double>((test.prompt + test.generate) * test.sequences);
    result.tokens_per_second = rates(tokens, result.seconds);
    const double speed = result.tokens_per_second.median;
    result.ms_per_token = 1e3 * static_cast<double>(test.sequences) / speed;
    result.bytes_per_token = bytes_per_token(test);
    result.gb_per_s = result.bytes_per_token * speed / 1e9;
    result.gmac_per_s = static_cast<double>(model_.config().linear_parameters()) * speed / 1e9;
    return result;
  }

  double bytes_per_token(const ModelTest& test) const {
    const auto weights = static_cast<double>(model_.bytes_per_token());
    const auto cached = static_cast<double>(report_.cache_bytes_per_position);
    if (test.generate > 0) {
      const double middle =
          static_cast<double>(test.depth) + static_cast<double>(test.generate) / 2;
      return weights / static_cast<double>(test.sequences) + cached * middle;
    }
    // Weights once a pass of many rows; the cache once a pass as well.
    const auto rows = static_cast<double>(std::min(kPromptRows, test.prompt));
    const double middle = static_cast<double>(test.depth) + static_cast<double>(test.prompt) / 2;
    return (weights + cached * middle) / rows;
  }

  const Model& model_;
  const ModelBenchOptions& options_;
  ModelReport& report_;
  Place place_;
  std::unique_ptr<ModelRunner> runner_;
  int64_t sequences_ = 0, room_ = 0, filled_ = 0;
};

OrderedJson share(double value, double limit) {
  return limit > 0 ? OrderedJson(value / limit) : OrderedJson(nullptr);
}

}  // namespace

std::string ModelTest::name() const {
  std::string text = prompt > 0 ? fmt::format("pp{}", prompt) : fmt::format("tg{}", generate);
  if (depth > 0) text += fmt::format(" @ d{}", depth);
  if (sequences > 1) text += fmt::format(" x {}", sequences);
  return text;
}

ModelReport bench_model(const Model& model, const std::string& name,
                        const ModelBenchOptions& options) {
  ModelReport report;
  report.model = name;
  report.config = model.config();
  report.stored_bytes = model.stored_bytes();
  report.cache_bytes_per_position = kv_bytes_per_position(model.config(), options.kv_type);
  Bencher(model, options, report).run();
  return report;
}

void follow_model_bench(const Model& model, const ModelBenchOptions& options) {
  Place place(options.device, ranks_of(options));
  for (;;) {
    CpuBackendOptions wanted;
    tell(place.ranks(), wanted);
    if (wanted.positions == 0) return;
    follow(place.ranks(), *place.backend(model.weights(), wanted));
  }
}

std::vector<OrderedJson> rows_of(const ModelReport& report, const Machine& machine) {
  std::vector<OrderedJson> rows;
  const kernels::Isa isa = kernels::active_isa();
  const bool floats =
      report.config.weights == WeightKind::kFloat || report.config.inputs == InputKind::kFloat;
  for (const ModelResult& r : report.results) {
    const ModelTest& t = r.test;
    const double peak = floats ? machine.peak(Measure::kFloat32, t.threads, isa)
                               : machine.peak(Measure::kInt8, t.threads, isa);
    const double read =
        report.on_device ? report.device_read_rate / 1e9 : machine.read_limit("DRAM", t.threads);
    rows.push_back({{"model", report.model},
                    {"model_size", report.stored_bytes},
                    {"model_n_params", report.config.parameters()},
                    {"isa", report.on_device ? "cuda" : kernels::to_string(isa)},
                    {"device", report.on_device ? OrderedJson(report.runs_on) : nullptr},
                    {"n_threads", t.threads},
                    {"n_prompt", t.prompt},
                    {"n_gen", t.generate},
                    {"n_depth", t.depth},
                    {"n_sequences", t.sequences},
                    {"test", t.name()},
                    {"median_ts", r.tokens_per_second.median},
                    {"spread_ts", r.tokens_per_second.spread},
                    {"avg_ts", r.tokens_per_second.mean},
                    {"stddev_ts", r.tokens_per_second.deviation},
                    {"ms_per_token", r.ms_per_token},
                    {"bytes_per_token", r.bytes_per_token},
                    {"gb_per_s", r.gb_per_s},
                    {"read_share", share(r.gb_per_s, read)},
                    {"gmac_per_s", r.gmac_per_s},
                    {"peak_share", share(r.gmac_per_s, report.on_device ? 0 : peak)},
                    {"samples_s", r.seconds}});
  }
  return rows;
}

OrderedJson to_json(const ModelReport& report, const Machine& machine) {
  OrderedJson not_measured = OrderedJson::array();
  for (const NotMeasured& row : report.not_measured)
    not_measured.push_back({{"test", row.name}, {"why", row.why}});
  const bool prompted = report.first_prompt > 0;
  const auto parts = [&](int64_t BackendMemory::*part) {
    return report.on_device ? OrderedJson(report.device_parts.*part) : OrderedJson(nullptr);
  };
  const auto limits = machine.rates.empty() ? OrderedJson(nullptr) : to_json(machine);
  return {{"model",
           {{"name", report.model},
            {"parameters", report.config.parameters()},
            {"stored_bytes", report.stored_bytes},
            {"cache_bytes_per_position", report.cache_bytes_per_position},
            {"load_seconds", report.load_seconds},
            {"load_parts",
             {{"read_seconds", report.load.read},
              {"arrange_seconds", report.load.arrange},
              {"check_seconds", report.load.check}}},
            {"first_prompt_tokens", prompted ? OrderedJson(report.first_prompt) : nullptr},
            {"first_token_seconds", prompted ? OrderedJson(report.first_token_seconds) : nullptr},
            {"peak_memory_bytes", report.peak_memory},
            {"device_memory_bytes", report.on_device ? OrderedJson(report.device_memory) : nullptr},
            {"device_weights_bytes", parts(&BackendMemory::weights)},
            {"device_cache_bytes", parts(&BackendMemory::cache)},
            {"device_work_bytes", parts(&BackendMemory::work)}}},
          {"results", rows_of(report, machine)},
          {"not_measured", not_measured},
          {"limits", limits}};
}

}  // namespace trit::bench
