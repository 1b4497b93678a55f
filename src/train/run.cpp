#include "train/run.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>

#include "base/background.h"
#include "base/error.h"
#include "base/json.h"
#include "base/rank_guard.h"
#include "base/reduce.h"
#include "base/single_rank.h"
#include "base/timer.h"
#include "data/loader.h"
#include "data/shards.h"
#include "train/record.h"

namespace trit {
namespace {

// Of a pass, at most, and parts of a gradient, where nobody asks for anything else.
struct Usual {
  int64_t micro_tokens, parts;
};
constexpr Usual kOnCpu{8192, 4}, kOnDevice{16384, 1};
constexpr const char* kRecordFile = "trit_run.json";

Path checkpoint_of(const Path& out) { return out / "checkpoint"; }
Path log_of(const Path& out) { return out / "log.jsonl"; }

void require(bool right, std::string_view option, auto value, std::string_view range) {
  if (!right) bad_input("--{}: {} is out of range; it must be {}", option, value, range);
}

void validate_directories(const RunOptions& o) {
  require(!o.data.empty(), "data", "nothing", "a dataset directory");
  require(!o.out.empty(), "out", "nothing", "a directory to write to");
}

void validate(const RunOptions& o) {
  require(o.steps > 0, "steps", o.steps, "at least 1");
  require(o.batch > 0, "batch", o.batch, "at least 1");
  require(o.sequence_length > 0, "sequence-length", o.sequence_length, "at least 1");
  require(o.micro_batch >= 0, "micro-batch", o.micro_batch, "0 or more");
  require(o.gradient_parts >= 0, "gradient-parts", o.gradient_parts, "0 or more");
  require(o.warmup <= o.steps, "warmup", o.warmup, "at most --steps");
  require(o.lr < 1, "lr", o.lr, "below 1");
  require(o.beta1 >= 0 && o.beta1 < 1, "beta1", o.beta1, "from 0 to below 1");
  require(o.beta2 >= 0 && o.beta2 < 1, "beta2", o.beta2, "from 0 to below 1");
  require(o.clip >= 0, "clip", o.clip, "0 or more");
  require(o.save_every >= 0, "save-every", o.save_every, "0 or more");
  require(o.eval_every >= 0, "eval-every", o.eval_every, "0 or more");
  require(o.eval_tokens >= 2, "eval-tokens", o.eval_tokens, "at least 2");
}

// Fills in what depends on the number of ranks. A run that goes on with another number keeps its parts if the ranks can
// share them, and else the job's own.
RunOptions settled(RunOptions o, int ranks, bool resume, const Usual& usual) {
  require(o.batch % ranks == 0, "batch", o.batch,
          fmt::format("a multiple of the {} ranks, which share its sequences", ranks));
  if (o.gradient_parts == 0 || (resume && o.gradient_parts % ranks != 0)) {
    o.gradient_parts = ranks;
    // So that one, two and four ranks give the same bits where nobody asks for anything else.
    while (2 * o.gradient_parts <= usual.parts && o.batch % (2 * o.gradient_parts) == 0)
      o.gradient_parts *= 2;
  }
  require(o.gradient_parts % ranks == 0 && o.batch % o.gradient_parts == 0, "gradient-parts",
          o.gradient_parts,
          fmt::format("a divisor of --batch and a multiple of the {} ranks", ranks));
  const int64_t part = o.batch / o.gradient_parts;
  if (resume) o.micro_batch = std::gcd(o.micro_batch, part);
  require(o.micro_batch == 0 || part % o.micro_batch == 0, "micro-batch", o.micro_batch,
          fmt::format("a divisor of the {} sequences of one of {} gradient parts", part,
                      o.gradient_parts));
  for (int64_t m = 1, given = o.micro_batch; given == 0 && m <= part; ++m) {
    if (part % m == 0 && (m == 1 || m * o.sequence_length <= usual.micro_tokens)) o.micro_batch = m;
  }
  return o;
}

TrainerOptions trainer_options(const RunOptions& o, const Config& config) {
  TrainerOptions t;
  t.schedule = run_schedule(o, config);
  t.adamw.beta1 = o.beta1;
  t.adamw.beta2 = o.beta2;
  t.clip_norm = o.clip;
  t.sequence_length = o.sequence_length;
  t.sequences = o.batch;
  t.parts = o.gradient_parts;
  t.micro_sequences = o.micro_batch;
  return t;
}

// What identifies the data of a run: a resumed run must see the same tokens.
OrderedJson fingerprint(const TokenDataset& dataset) {
  return {{"vocab_size", dataset.vocab_size()},
          {"train_tokens", dataset.tokens(Split::kTrain)},
          {"valid_tokens", dataset.tokens(Split::kValid)}};
}

// The log of a run: appended step by step, cut back to a checkpoint's step when the run goes on.
class Log {
 public:
  Log(const Path& path, int64_t keep_steps) : path_(path) {
    std::string kept;
    if (keep_steps > 0) {
      const std::string text = read_text(path);
      for (size_t begin = 0, line = 0; line < static_cast<size_t>(keep_steps); ++line) {
        const size_t end = text.find('\n', begin);
        if (end == std::string::npos) {
          bad_input("{}: it has {} lines; the checkpoint beside it is at step {}", path.string(),
                    line, keep_steps);
        }
        begin = end + 1;
        if (line + 1 == static_cast<size_t>(keep_steps)) kept = text.substr(0, begin);
      }
    }
    write_text(path, kept);
    file_ = std::fopen(path.c_str(), "a");
    if (file_ == nullptr) failure("{}: cannot be opened for writing", path.string());
  }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log() { std::fclose(file_); }
  void write(const StepReport& r, double seconds, std::optional<double> valid_loss) {
    OrderedJson line = {{"step", r.step},
                        {"loss", r.loss},
                        {"lr", r.learning_rate},
                        {"weight_decay", r.weight_decay},
                        {"grad_norm", r.gradient_norm},
                        {"zeros", r.zeros},
                        {"flips", r.flips},
                        {"scale_drift", r.scale_drift},
                        {"layer_grad_norms", r.layer_norms},
                        {"tokens", r.tokens},
                        {"seconds", seconds}};
    if (valid_loss) line["valid_loss"] = *valid_loss;
    if (!r.sample.empty()) line["sample"] = r.sample;
    const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
      failure("{}: cannot be written (disk full?)", path_.string());
    }
  }
  // To the disk: a checkpoint is never ahead of the log, even when the power fails.
  void sync() {
    if (fsync(fileno(file_)) != 0) failure("{}: cannot be written (disk full?)", path_.string());
  }

 private:
  Path path_;
  std::FILE* file_ = nullptr;
};

// Of the ranks that call it the first writes. model: the trainer's, just asked for.
void save(Stepper& trainer, const Model& model, const RunOptions& options,
          const TokenDataset& dataset, const Tokenizer& tokenizer, bool writes) {
  if (!writes) return trainer.save_state({});
  AtomicDirectory directory(checkpoint_of(options.out));
  write_hf_model(directory.path(), model, &tokenizer);
  trainer.save_state(directory.path());
  const OrderedJson record = {{"options", record_of(options)}, {"dataset", fingerprint(dataset)}};
  write_text(directory.path() / kRecordFile, record.dump(2) + "\n");
  directory.commit();
}

Model first_model(const RunOptions& options, const Config& config, bool resume) {
  if (!resume) return Model::random(config, options.seed);
  Model model = Model::open_masters(checkpoint_of(options.out));
  if (!(model.config() == config)) {
    bad_input("{}: its config.json is not the model that {} describes",
              checkpoint_of(options.out).string(), kRecordFile);
  }
  return model;
}

void check_resume(const RunOptions& options, const TokenDataset& dataset, bool resume) {
  const bool exists = std::filesystem::exists(checkpoint_of(options.out));
  if (!resume) {
    if (exists) bad_input("--out: {} has a run already; --resume goes on with it", options.out);
    return;
  }
  const Path file = checkpoint_of(options.out) / kRecordFile;
  const Json record = parse_json(read_text(file), file.string());
  if (!record.contains("dataset") || record["dataset"] != Json(fingerprint(dataset))) {
    bad_input("{}: the run was started on another dataset than {}", file.string(), options.data);
  }
}

}  // namespace

Config run_config(const RunOptions& o, int64_t vocabulary) {
  Config config = as_family(preset(o.preset), family_from(o.family));
  const auto take = [](int64_t option, int64_t& field) {
    if (option > 0) field = option;
  };
  take(o.hidden, config.hidden);
  take(o.layers, config.layers);
  take(o.heads, config.heads);
  take(o.ffn, config.ffn);
  if (o.heads > 0) config.kv_heads = config.heads;
  take(o.kv_heads, config.kv_heads);
  if (o.hidden > 0 || o.heads > 0) {
    if (config.hidden % config.heads != 0) {
      bad_input("--hidden: {} is no multiple of --heads {}", config.hidden, config.heads);
    }
    config.head_dim = config.hidden / config.heads;
  }
  config.vocabulary = vocabulary;
  config.context = std::max(config.context, o.sequence_length);
  validate(config, "options");
  return config;
}

Schedule run_schedule(const RunOptions& o, const Config& config) {
  Schedule s = default_schedule(config, o.steps);
  if (o.lr > 0) {
    const double ratio = o.lr / s.peak;
    s.peak = o.lr;
    s.second_peak *= ratio;
    s.end *= ratio;
  }
  if (o.warmup >= 0) s.warmup = o.warmup;
  if (o.lr_second > 0) s.second_peak = o.lr_second;
  if (o.lr_end >= 0) s.end = o.lr_end;
  if (o.weight_decay >= 0) s.weight_decay = o.weight_decay;
  if (o.weight_decay_second >= 0) s.second_weight_decay = o.weight_decay_second;
  return s;
}

RunOptions settle_run(const RunOptions& options, int ranks, bool on_device) {
  validate(options);
  return settled(options, ranks, false, on_device ? kOnDevice : kOnCpu);
}

RunOptions read_run_options(const Path& out) {
  const Path file = checkpoint_of(out) / kRecordFile;
  if (!std::filesystem::exists(file)) bad_input("{}: it holds no run to resume", out.string());
  const Json record = parse_json(read_text(file), file.string());
  if (!record.contains("options")) bad_input("{}: it has no 'options'", file.string());
  RunOptions options;
  options.visit(RestoreVisitor(record["options"], file.string()));
  options.out = out.string();
  return options;
}

namespace {

// What the ranks of a job have in common at the start, checked.
struct Setting {
  Setting(const RunOptions& options, bool resume, const StepPlace& place, Collectives& job)
      : ranks(job),
        given(options),
        run(settled(options, job.size(), resume, place.device == "cpu" ? kOnCpu : kOnDevice)),
        dataset(TokenDataset::open(options.data)),
        tokenizer(dataset.tokenizer()),
        config(run_config(options, dataset.vocab_size())),
        loader(dataset, Split::kTrain, options.sequence_length, options.batch, options.seed) {
    if (leads() || resume) check_resume(options, dataset, resume);
    held_out.resize(
        static_cast<size_t>(std::min(options.eval_tokens, dataset.tokens(Split::kValid))));
    dataset.read(Split::kValid, 0, static_cast<int64_t>(held_out.size()), held_out.data());
    if (leads()) std::filesystem::create_directories(options.out);
  }
  bool leads() const { return ranks.rank() == 0; }
  // What the checkpoint says of the run: what a new one settled, for good.
  const RunOptions& recorded(bool resume) const { return resume ? given : run; }

  Collectives& ranks;
  RunOptions given, run;
  TokenDataset dataset;
  Tokenizer tokenizer;
  Config config;
  Loader loader;
  std::vector<int32_t> held_out;
};

// The batches of a run's steps, from `step` (0 for the first) on: the next is read while a step goes on.
class Batches {
 public:
  struct Batch {
    std::vector<int32_t> inputs, targets;
  };
  Batches(const Loader& loader, int64_t step, int64_t first, int64_t sequences, int64_t length)
      : loader_(loader), step_(step), first_(first), sequences_(sequences) {
    const auto size = static_cast<size_t>(sequences * length);
    for (Batch& batch : both_) batch = {std::vector<int32_t>(size), std::vector<int32_t>(size)};
    read_ahead();
  }
  // Good until the next call.
  const Batch& next() {
    reader_.wait();
    const Batch& batch = both_[step_++ % 2];
    read_ahead();
    return batch;
  }

 private:
  void read_ahead() {
    reader_.run([this, step = step_] {
      Batch& batch = both_[step % 2];
      loader_.batch(step, first_, sequences_, batch.inputs.data(), batch.targets.data());
    });
  }
  const Loader& loader_;
  int64_t step_, first_, sequences_;
  Batch both_[2];
  Background reader_;
};

bool all_agree(Collectives& ranks, bool yes) {
  const double mine[] = {yes ? 1.0 : 0.0};
  return std::ranges::min(gather_numbers(ranks, mine)) > 0;
}

RunReport train(const Setting& setting, bool resume, const RunObserver& observer,
                const StepPlace& place, const SampleOptions& samples, int64_t& at) {
  const RunOptions& options = setting.run;
  Collectives& ranks = setting.ranks;
  const std::unique_ptr<Stepper> stepper =
      make_stepper(first_model(options, setting.config, resume),
                   trainer_options(options, setting.config), place, &ranks);
  Stepper& trainer = *stepper;
  if (resume) trainer.load_state(checkpoint_of(options.out));
  at = trainer.steps_done();
  std::optional<Log> log;
  if (setting.leads()) log.emplace(log_of(options.out), at);
  Background behind;  // writes what is a copy while steps go on
  const auto save_now = [&] {
    behind.wait();
    const Model& model = trainer.current_model();
    const auto write = [&setting, &trainer, &model, resume] {
      save(trainer, model, setting.recorded(resume), setting.dataset, setting.tokenizer,
           setting.leads());
    };
    if (trainer.copies())
      behind.run(write);
    else
      write();
  };
  if (!resume) save_now();

  const Config& config = setting.config;
  RunReport report{at, config.parameters(), config.linear_parameters(), 0, 0, 0,
                   0,  at >= options.steps};
  const int64_t sequences = options.batch / ranks.size();
  Batches batches(setting.loader, at, sequences * ranks.rank(), sequences, options.sequence_length);
  const Timer timer;
  int64_t tokens = 0;
  const auto due = [&](int64_t every, int64_t step) {
    return step == options.steps || (every > 0 && step % every == 0);
  };
  while (trainer.steps_done() < options.steps) {
    at = trainer.steps_done() + 1;
    rank_is_at_step(at);
    const Batches::Batch& batch = batches.next();
    StepReport step = trainer.step(batch.inputs, batch.targets);
    tokens += step.tokens;
    std::optional<double> valid_loss;
    if (setting.held_out.size() >= 2 && due(options.eval_every, step.step)) {
      valid_loss = trainer.held_out_loss(setting.held_out, options.sequence_length);
      report.valid_loss = *valid_loss;
    }
    const Weights* weights = trainer.host_weights();
    if (log && weights != nullptr && samples.every > 0 && due(samples.every, step.step))
      step.sample = sample_text(*weights, setting.tokenizer, samples, step.step);
    if (log) log->write(step, timer.seconds(), valid_loss);
    const bool go_on = all_agree(ranks, observer(step, options.steps, valid_loss));
    if (due(options.save_every, step.step) || !go_on) {
      if (log) log->sync();
      save_now();
    }
    report.steps = step.step;
    report.loss = step.loss;
    report.finished = step.step == options.steps;
    if (!go_on) break;
  }
  behind.wait();
  report.seconds = timer.seconds();
  report.tokens_per_second = static_cast<double>(tokens) / std::max(1e-9, report.seconds);
  return report;
}

}  // namespace

RunReport train(const RunOptions& options, bool resume, const RunObserver& observer,
                const StepPlace& place, Collectives* ranks, const SampleOptions& samples) {
  Collectives& job = ranks == nullptr ? single_rank() : *ranks;
  int64_t at = 0;
  try {
    validate_directories(options);
    validate(options);
    return train(Setting(options, resume, place, job), resume, observer, place, samples, at);
  } catch (const Error& error) {
    if (job.size() == 1 || at == 0) throw;
    throw Error(fmt::format("on {}, step {}: {}", host_name(), at, error.what()), error.code());
  }
}

}  // namespace trit
