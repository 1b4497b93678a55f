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
    : AdamW(std::vector<Stretch>{{0, flat_size(table)}}, options) {}

AdamW::AdamW(std::vector<Stretch> own, AdamWOptions options)
    : own_(std::move(own)), options_(options) {
  int64_t size = 0;
  for (const Stretch& part : own_) size += part.size();
  first_ = Buffer<float>::zeros(static_cast<size_t>(size));
  second_ = Buffer<float>::zeros(static_cast<size_t>(size));
}

void AdamW::step(std::span<const TensorRow> table, double learning_rate, double weight_decay,
                 float gradient_scale, std::span<const float> gradients,
                 std::span<float> parameters) {
  ++steps_;
  for (const TensorRow& row : table) {
    const double decay = row.role == TensorRole::kNorm ? 0.0 : weight_decay;
    kernels::AdamStep step = adam_step(options_, steps_, learning_rate, decay);
    step.gradient_scale = gradient_scale;
    int64_t moments = 0;  // of the parts before
    for (const Stretch& part : own_) {
      const Stretch here = common(part, {row.offset, row.offset + row.count()});
      parallel_ranges(here.size(), kGrain, [&](int64_t begin, int64_t end) {
        const int64_t i = here.begin + begin, m = moments + i - part.begin;
        kernels::active().adamw(step, end - begin, gradients.data() + i, parameters.data() + i,
                                first_.data() + m, second_.data() + m);
      });
      moments += part.size();
    }
  }
}

}  // namespace trit
