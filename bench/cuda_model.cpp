// Milliseconds of a step of whole models of random weights on an NVIDIA device: a token at a time, and prompts.
//
//   cuda_model 700M 3B ... [--llama] [--short]
//   mpirun -n 2 cuda_model 70B [--stages 2]
//
// The hash is of the logits behind a prompt of 100 and behind eight tokens: ranks have that of one.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cuda_weights.h"
#include "infer/place.h"
#include "infer/rank_backend.h"
#include "kernels/cuda/device.h"

namespace trit {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Options {
  Family family = Family::kBitNet;
  int stages = 1;
  bool shorter = false;
};

void run(const std::string& name, const Options& options) {
  const Family family = options.family;
  Config c = as_family(preset(name), family);
  c.context = 4096;
  if (name == "70B") c.kv_heads = 8;
  std::vector<uint8_t> memory;
  const Weights w = bench::weights_of(c, memory);
  const Ranks ranks = ranks_of_job(options.stages);
  Place place("cuda", ranks);
  const double begin_load = seconds();
  const auto own =
      place.backend(w, {.kv_type = KvType::kF16, .positions = 8 * 4096, .max_rows = 2048});
  const double load = seconds() - begin_load;
  if (!leads(ranks)) return follow(ranks, *own);
  std::optional<RankBackend> together;
  if (ranks.job() != nullptr) together.emplace(ranks, *own);
  Backend* const backend = together ? static_cast<Backend*>(&*together) : own.get();
  std::vector<int32_t> pages;
  for (int32_t i = 0; i < 8 * 64; ++i) pages.push_back(i);
  const PageTable table = PageTable(pages).first(64);
  std::vector<PageTable> tables;
  for (size_t s = 0; s < 8; ++s) tables.push_back(PageTable(pages).subspan(64 * s, 64));
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
  // A token of eight sequences.
  const auto eight_ms = [&] {
    std::vector<double> times;
    const std::vector<int64_t> rows{0, 1, 2, 3, 4, 5, 6, 7};
    for (int32_t i = 0; i < 60; ++i) {
      std::vector<int32_t> tokens;
      std::vector<TokenSlot> slots;
      for (int32_t s = 0; s < 8; ++s) {
        tokens.push_back(s * 91 + i * 7);
        slots.push_back({s, 1 + i});
      }
      const double begin = seconds();
      backend->run({tokens, slots, tables});
      std::array<TokenLogit, 8> best;
      backend->top(rows, 1, best);
      times.push_back(seconds() - begin);
    }
    std::ranges::nth_element(times, times.begin() + 30);
    return times[30] * 1e3;
  };
  const auto logits_hash = [&] {
    uint64_t hash = 14695981039346656037u;
    std::vector<float> logits(static_cast<size_t>(c.vocabulary));
    for (const int64_t rows : {100, 8}) {
      step(rows == 100 ? 0 : 100, rows);
      const int64_t last = rows - 1;
      backend->logits({&last, 1}, {logits.data(), 1, c.vocabulary});
      for (const float v : logits) hash = (hash ^ std::bit_cast<uint32_t>(v)) * 1099511628211u;
    }
    return hash;
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
  if (options.shorter) {
    const uint64_t hash = logits_hash();
    fmt::print(
        "{:5} {:10} {} ranks, {} stages: load {:.1f} s | token {:.3f} ms, after 512 {:.3f} | of "
        "eight {:.3f} | "
        "prompt of 512 {:.2f} 2048 {:.2f} ms | hash {:016x}\n",
        name, to_string(family), ranks.tensor_size() * ranks.stages(), ranks.stages(), load,
        token_ms(1), token_ms(512), eight_ms(), prompt_ms(512), prompt_ms(2048), hash);
    std::fflush(stdout);
    return;
  }
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
  trit::Options options;
  if (std::erase(names, "--llama") > 0) options.family = trit::Family::kLlama;
  options.shorter = std::erase(names, "--short") > 0;
  if (const auto at = std::ranges::find(names, "--stages");
      at != names.end() && at + 1 != names.end()) {
    options.stages = std::stoi(at[1]);
    names.erase(at, at + 2);
  }
  try {
    for (const std::string& name : names) trit::run(name, options);
  } catch (const trit::Error& error) {
    trit::fail_job(trit::world().rank(), error);
    return 1;
  }
}
