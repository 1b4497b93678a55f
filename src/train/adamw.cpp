#include "train/adamw.h"

#include <cmath>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace trit {

namespace {
constexpr int64_t kGrain = 32768;  // elements that one thread takes at a time; a multiple of 16
}

kernels::AdamStep adam_step(const AdamWOptions& options, int64_t step, double learning_rate,
                            double weight_decay) {
  const double t = static_cast<double>(step);
  return {
      .keep = static_cast<float>(1.0 - learning_rate * weight_decay),
      .rate = static_cast<float>(learning_rate / (1.0 - std::pow(options.beta1, t))),
      .beta1 = static_cast<float>(options.beta1),
      .one_minus_beta1 = static_cast<float>(1.0 - options.beta1),
      .beta2 = static_cast<float>(options.beta2),
      .one_minus_beta2 = static_cast<float>(1.0 - options.beta2),
      .correction2 = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(options.beta2, t))),
      .epsilon = static_cast<float>(options.epsilon),
      .gradient_scale = 1.0f,
  };
}

AdamW::AdamW(std::span<const TensorRow> table, AdamWOptions options)
    : options_(options),
      first_(Buffer<float>::zeros(static_cast<size_t>(flat_size(table)))),
      second_(Buffer<float>::zeros(static_cast<size_t>(flat_size(table)))) {}

void AdamW::step(std::span<const TensorRow> table, double learning_rate, double weight_decay,
                 float gradient_scale, std::span<const float> gradients,
                 std::span<float> parameters) {
  ++steps_;
  for (const TensorRow& row : table) {
    const double decay = row.role == TensorRole::kNorm ? 0.0 : weight_decay;
    kernels::AdamStep step = adam_step(options_, steps_, learning_rate, decay);
    step.gradient_scale = gradient_scale;
    parallel_ranges(row.count(), kGrain, [&](int64_t begin, int64_t end) {
      const int64_t i = row.offset + begin;
      kernels::active().adamw(step, end - begin, gradients.data() + i, parameters.data() + i,
                              first_.data() + i, second_.data() + i);
    });
  }
}

double gradient_norm(std::span<const float> gradients) {
  const int64_t size = static_cast<int64_t>(gradients.size());
  std::vector<double> parts(static_cast<size_t>((size + kGrain - 1) / kGrain));
  parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
    double sum[8] = {};
    for (int64_t i = begin; i < end; ++i) {
      const double g = gradients[static_cast<size_t>(i)];
      sum[i % 8] += g * g;
    }
    for (const double s : sum) parts[static_cast<size_t>(begin / kGrain)] += s;
  });
  double total = 0;
  for (const double part : parts) total += part;
  return std::sqrt(total);
}

}  // namespace trit
