// Milliseconds of a step of whole models of random weights on an NVIDIA device: a token at a time, and prompts.
//
//   cuda_model 700M 3B ... [--llama]

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "cuda_weights.h"
#include "infer/cuda/backend.h"
#include "kernels/cuda/device.h"

namespace trit {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void run(const std::string& name, Family family) {
  Config c = as_family(preset(name), family);
  c.context = 4096;
  if (name == "70B") c.kv_heads = 8;
  std::vector<uint8_t> memory;
  const Weights w = bench::weights_of(c, memory);
  const auto backend = cuda_backend(w, {.positions = 4096, .max_rows = 2048});
  std::vector<int32_t> pages;
  for (int32_t i = 0; i < 64; ++i) pages.push_back(i);
  const PageTable table(pages);
  const auto step = [&](int64_t first, int64_t rows) {
    std::vector<int32_t> tokens;
    std::vector<TokenSlot> slots;
    for (int64_t i = 0; i < rows; ++i) {
      tokens.push_back(static_cast<int32_t>((first + i) * 7 % c.vocabulary));
      slots.push_back({0, static_cast<int32_t>(first + i)});
    }
    backend->run({tokens, slots, {&table, 1}});
  };
  const auto token_ms = [&](int64_t first) {
    std::vector<double> times;
    for (const double begin = seconds(); seconds() < begin + 0.3;) step(first, 1);  // clocks rise
    for (int64_t i = 0; i < 60; ++i) {
      const double begin = seconds();
      step(first + i, 1);
      TokenLogit best;
      const int64_t row = 0;
      backend->top({&row, 1}, 1, {&best, 1});
      times.push_back(seconds() - begin);
    }
    std::ranges::nth_element(times, times.begin() + 30);
    return times[30] * 1e3;
  };
  const auto prompt_ms = [&](int64_t rows) {
    step(0, rows);
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      const double begin = seconds();
      step(0, rows);
      best = std::min(best, seconds() - begin);
    }
    return best * 1e3;
  };
  const double at_1 = token_ms(1), at_512 = token_ms(512), at_4000 = token_ms(4000);
  fmt::print(
      "{:5} {:10} token {:.3f} ms, after 512 {:.3f}, 4000 {:.3f} | prompt of 8 {:.2f} 64 {:.2f} "
      "512 {:.2f} 2048 {:.2f} ms ({:.0f} tok/s)\n",
      name, to_string(family), at_1, at_512, at_4000, prompt_ms(8), prompt_ms(64), prompt_ms(512),
      prompt_ms(2048), 2048e3 / prompt_ms(2048));
  std::fflush(stdout);
}

}  // namespace
}  // namespace trit

int main(int argc, char** argv) {
  std::vector<std::string> names(argv + 1, argv + argc);
  trit::Family family = trit::Family::kBitNet;
  if (std::erase(names, "--llama") > 0) family = trit::Family::kLlama;
  for (const std::string& name : names) trit::run(name, family);
}
