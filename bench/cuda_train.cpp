// Steps of training on an NVIDIA device: cuda_train [--family F] [--precision P] [--steps N] [--recompute] [--ffn F] SIZE:MICRO...
// (125M:32 ...). Random weights and tokens, sequences of 2048, vocabulary 32000, one pass a step: milliseconds (median),
// tokens/s, and MFU: 6 x parameters of products (the head in, the embedding out) plus causal attention, of 989.4
// TFLOP/s.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/timer.h"
#include "kernels/cuda/device.h"
#include "model/checkpoint.h"
#include "train/cuda/trainer.h"

using namespace trit;

namespace {

constexpr int64_t kLength = 2048;
constexpr double kPeak = 989.4e12;

double flops_per_token(const Config& c) {
  const auto products = static_cast<double>(c.linear_parameters() + c.vocabulary * c.hidden);
  const auto attention = static_cast<double>(c.layers * c.heads * c.head_dim * kLength);
  return 6 * products + 6 * attention;  // causal: half of 12
}

void measure(Family family, const std::string& size, int64_t micro, const CudaTrainerOptions& where,
             int steps, int64_t ffn) {
  Config config = as_family(preset(size), family);
  if (ffn > 0) config.ffn = ffn;
  TrainerOptions options;
  options.sequences = options.micro_sequences = micro;
  options.sequence_length = kLength;
  options.schedule = default_schedule(config, 1000);
  const auto trainer = cuda_trainer(Model::random(config, 1), options, where);
  const int64_t used = cuda::devices()[0].memory - cuda::free_memory();
  Rng rng(3);
  std::vector<int32_t> ids(static_cast<size_t>(micro * kLength));
  for (auto& id : ids)
    id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocabulary)));
  std::vector<double> times;
  StepReport report;
  for (int step = 0; step < steps + 2; ++step) {
    const Timer timer;
    report = trainer->step(ids, ids);
    if (step >= 2) times.push_back(timer.seconds());
  }
  std::ranges::sort(times);
  const double seconds = times[times.size() / 2];
  const double rate = static_cast<double>(micro * kLength) / seconds;
  fmt::print("{:<8}{:<14}{:>4}{:>9.1f} ms{:>9.0f} tok/s  MFU {:4.1f} %{:>6.1f} GB  loss {:.9f}\n",
             size, to_string(family), micro, seconds * 1e3, rate,
             100 * rate * flops_per_token(config) / kPeak, static_cast<double>(used) * 1e-9,
             report.loss);
}

}  // namespace

int main(int argc, char** argv) {
  CudaTrainerOptions where;
  std::vector<Family> families = {Family::kLlama, Family::kBitNet};
  int steps = 5;
  int64_t ffn = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--family") {
      families = {family_from(argv[++i])};
    } else if (argument == "--precision") {
      where.precision = precision_from(argv[++i]);
    } else if (argument == "--steps") {
      steps = std::stoi(argv[++i]);
    } else if (argument == "--ffn") {
      ffn = std::stoll(argv[++i]);
    } else if (argument == "--recompute") {
      where.recompute = true;
    } else {
      const size_t colon = argument.find(':');
      for (const Family family : families)
        measure(family, argument.substr(0, colon), std::stoll(argument.substr(colon + 1)), where,
                steps, ffn);
    }
  }
}
