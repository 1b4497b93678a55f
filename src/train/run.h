#pragma once
// A training run from dataset to checkpoint, that can be stopped at any moment and goes on where it was.
//
//   OUT/checkpoint/   the newest checkpoint, a Hugging Face directory with trit's state beside it; it is
//                     replaced in one step, so there is always a whole one
//   OUT/log.jsonl     one JSON object per step

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/file.h"
#include "train/sample.h"
#include "train/trainer.h"

namespace trit {

// Zero or a negative value stands for the default that the comment names.
struct RunOptions {
  std::string data;  // dataset directory
  std::string out;   // run directory
  std::string family = "bitnet";
  std::string preset = "mini";
  int64_t hidden = 0;  // these five: the preset's
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t ffn = 0;
  int64_t sequence_length = 256;
  int64_t batch = 32;  // sequences per step
  int64_t micro_batch =
      0;  // the largest divisor of a part's sequences with at most 8,192 tokens (16,384 on a device)
  int64_t gradient_parts = 0;  // ranks; doubled up to 4 where the batch divides
  int64_t steps = 1000;
  int64_t warmup = -1;  // the family's schedule; so are the next five
  double lr = -1;
  double lr_second = -1;
  double lr_end = -1;
  double weight_decay = -1;
  double weight_decay_second = -1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double clip = 1.0;
  uint64_t seed = 1;
  int64_t save_every = 500;
  int64_t eval_every = 500;
  int64_t eval_tokens = 65536;  // of the held-out split, at most

  template <class Visitor>
  void visit(Visitor&& v) {
    v("data", data, "dataset directory (trit data build)");
    v("out", out, "run directory: checkpoint and log");
    v("family", family, "bitnet, bitnet-paper, bitnet-2b4t, binary or llama");
    v("preset", preset,
      "shape: nano, micro, mini, small, 125M, 350M, 700M, 1.3B, 3B, 3.9B, 7B, 13B, 70B, 2B4T");
    v("hidden", hidden, "hidden width; 0: the preset's");
    v("layers", layers, "layers; 0: the preset's");
    v("heads", heads, "query heads; 0: the preset's");
    v("kv-heads", kv_heads, "key/value heads; 0: the preset's");
    v("ffn", ffn, "feed-forward width; 0: the preset's");
    v("sequence-length", sequence_length, "tokens of a training sequence");
    v("batch", batch, "sequences per step");
    v("micro-batch", micro_batch,
      "sequences per forward pass; 0: up to 8192 tokens, on a device 16384");
    v("gradient-parts", gradient_parts,
      "parts of a step's gradient, summed in a fixed order: with the same number runs on 1, 2, 4, "
      "... ranks "
      "have the same bits; 0: 4, where that divides the batch and not more ranks want more");
    v("steps", steps, "optimizer steps");
    v("warmup", warmup, "warm-up steps; -1: the family's schedule");
    v("lr", lr, "peak learning rate; -1: the family's");
    v("lr-second", lr_second, "peak of the second half; -1: the family's, or --lr scaled alike");
    v("lr-end", lr_end, "learning rate at the last step; -1: the family's");
    v("weight-decay", weight_decay, "weight decay of the first half; -1: the family's");
    v("weight-decay-second", weight_decay_second,
      "weight decay of the second half; -1: the family's");
    v("beta1", beta1, "AdamW beta 1");
    v("beta2", beta2, "AdamW beta 2");
    v("clip", clip, "gradient norm limit; 0: none");
    v("seed", seed, "seed of weights and data order");
    v("save-every", save_every, "steps between checkpoints; 0: only at the end");
    v("eval-every", eval_every, "steps between held-out evaluations; 0: only at the end");
    v("eval-tokens", eval_tokens, "held-out tokens per evaluation, at most");
  }
};

struct RunReport {
  int64_t steps = 0;
  int64_t parameters = 0, linear_parameters = 0;
  double seconds = 0;            // of this process's part
  double tokens_per_second = 0;  // of this process's part
  double loss = 0;               // of the last step
  double valid_loss = 0;         // nats per token; 0 when the run was stopped before its end
  bool finished = false;         // false: stopped by the caller, saved
};

// Called after each step; `valid_loss` after an evaluation. Returning false saves and ends the run.
using RunObserver =
    std::function<bool(const StepReport&, int64_t total_steps, std::optional<double> valid_loss)>;

// Trains, from the start, or from OUT/checkpoint when `resume`. Throws Error when OUT already has a run
// and resume is false, and the other way round, and when options or dataset do not fit that run.
//
// The ranks of a job (null: there is this one alone) call it together: each computes its share of every step's sequences
// (Trainer) and calls its observer; rank 0 writes. All must see the dataset, and to resume the run directory. A run goes
// on with another number of ranks too: with the same bits where both are powers of two that divide the gradient's parts,
// else to rounding. `samples`: what the model writes is put into the log and handed to the observer, where steps are
// computed on the CPU. Errors of a rank in a job then name its host and the step.
RunReport train(const RunOptions& options, bool resume, const RunObserver& observer,
                const StepPlace& place = {}, Collectives* ranks = nullptr,
                const SampleOptions& samples = {});

// The options of a new run on so many ranks, checked but for its directories, with what depends on them filled in.
RunOptions settle_run(const RunOptions& options, int ranks, bool on_device = false);
// The options that a run directory was started with.
RunOptions read_run_options(const Path& out);
// The model shape that the options describe, for a vocabulary; throws Error naming the option.
Config run_config(const RunOptions& options, int64_t vocabulary);
Schedule run_schedule(const RunOptions& options, const Config& config);

}  // namespace trit
