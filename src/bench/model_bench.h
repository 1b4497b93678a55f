#pragma once
// How fast a model reads prompts and generates, and what share of the machine that is.

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/machine.h"
#include "infer/cpu_backend.h"
#include "infer/place.h"
#include "model/checkpoint.h"

namespace trit::bench {

struct ModelBenchOptions {
  std::vector<int64_t> prompts = {512};  // lengths of prompts to read; 0: none
  // Tokens to generate, each with the largest logits as sampling with the default filters wants them; 0: none.
  std::vector<int64_t> generate = {128};
  std::vector<int64_t> depths = {0};   // positions that are in the cache before
  std::vector<int64_t> batches = {1};  // sequences that generate side by side
  std::vector<int64_t> threads;        // empty: thread_count()
  KvType kv_type = KvType::kF16;       // of the cache
  std::string device = "cpu";          // or "cuda:N"
  const Ranks* ranks = nullptr;  // of the job that divides the model; null: this process alone
  int64_t repeats = 5;
  std::function<void(int64_t done, int64_t total, const std::string& what)> progress;
};

// One test, named as llama-bench names it: "pp512", "tg128", "tg128 @ d4096"; with more than one sequence
// "tg128 x 8".
struct ModelTest {
  int64_t prompt = 0, generate = 0;  // one of them is 0
  int64_t depth = 0, sequences = 1;
  int threads = 1;
  std::string name() const;
};

struct ModelResult {
  ModelTest test;
  std::vector<double> seconds;  // of each repetition
  Statistics tokens_per_second;
  double ms_per_token = 0;  // of one sequence: a step's time when several run
  double bytes_per_token =
      0;  // weights and cached keys and values that it must read, by all that share them
  double gb_per_s = 0;    // that bytes_per_token makes
  double gmac_per_s = 0;  // of the linear layers between embedding and head
};

struct ModelReport {
  std::string model;  // file or shape
  Config config;
  int64_t stored_bytes = 0, cache_bytes_per_position = 0;
  double load_seconds = 0;         // set by whoever loaded it
  LoadTimes load;                  // parts of it; zeros where it was not opened to run here
  double first_token_seconds = 0;  // of the first prompt at depth 0, cold
  int64_t first_prompt = 0;        // its tokens; 0: there was none
  int64_t peak_memory = 0;         // of the process, before more than one sequence ran
  std::string runs_on;             // the device's name, or the instruction set
  bool on_device = false;
  int64_t device_memory = 0;    // in use on the device then, in bytes, by everyone
  BackendMemory device_parts;   // what of it is the model's
  double device_read_rate = 0;  // bytes/s that it can be read at, measured; 0: it was not
  std::vector<ModelResult> results;
  std::vector<NotMeasured> not_measured;  // for want of memory or context
};

ModelReport bench_model(const Model& model, const std::string& name,
                        const ModelBenchOptions& options);
// On the other ranks of a job, while rank 0 is in bench_model.
void follow_model_bench(const Model& model, const ModelBenchOptions& options);

// A row for each result, with llama-bench's names where it has them, and shares of the machine's limits:
// read_share of DRAM's bandwidth, peak_share of the products that the kernels in use can make (null where the
// machine was not measured).
std::vector<OrderedJson> rows_of(const ModelReport& report, const Machine& machine);
// {"model": {...}, "results": rows_of(), "not_measured": [...], "machine": ...}.
OrderedJson to_json(const ModelReport& report, const Machine& machine);

}  // namespace trit::bench
