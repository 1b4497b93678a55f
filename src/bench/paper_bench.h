#pragma once
// The measurements of "The Era of 1-bit LLMs" (arXiv 2402.17764, Table 1, Figure 2, Table 3) of ternary models and their
// float16 twins, both of random weights: speed and memory do not depend on them.

#include <functional>
#include <string>
#include <vector>

#include "bench/model_runner.h"
#include "bench/paper_report.h"
#include "energy/meter.h"
#include "infer/place.h"

namespace trit::bench {

struct PaperOptions {
  std::vector<std::string> sizes;  // presets (model/config.h)
  std::string device = "cpu";      // or "cuda:N"
  bool ternary = true, float16 = true;
  std::vector<int64_t> contexts = {1, 512};  // positions in the cache when tokens are timed
  int64_t steps = 64;                        // tokens that are timed
  int64_t prompt = 2048;                     // in one piece and in 512s; 0: none
  std::vector<int64_t> batches = {64, 256};  // sequences together
  bool largest = true;                       // and as many as memory has room for
  int64_t sequence = 512;                    // their length
  KvType kv_type = KvType::kF16;
  double energy_seconds = 1.5;  // 0: not measured
  bool products = true;         // the read rate; on devices single products too
  // Of the device; without one `no_meter` says why.
  EnergyMeter* meter = nullptr;
  std::string no_meter;
  std::function<void(const std::string& what)> progress;
  // Called behind each model with what there is so far.
  std::function<void(const PaperReport& report)> keep;
};

// The two of a size: "2B4T" with squared ReLU, others with SiLU; float16 in LLaMA's form. Throws Error listing the presets.
Config paper_config(const std::string& size, bool ternary);

// The most sequences for which cache and activations of RunnerOptions take at most `bytes`; 0 when there is no room
// for one.
int64_t largest_batch(const Config& config, RunnerOptions options, int64_t bytes);

// One model at a time; what it took is given back before the next. A model that fails for want of memory becomes a gap.
PaperReport bench_paper(const PaperOptions& options);

}  // namespace trit::bench
