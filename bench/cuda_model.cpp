// Milliseconds of a step of whole models of random weights on an NVIDIA device: a token at a time, and prompts.
//
//   cuda_model 700M 3B ... [--llama]

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "infer/cuda/backend.h"
#include "kernels/cuda/device.h"
#include "quant/packing.h"

namespace trit {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Weights that are all views of the same memory: only their number matters.
Weights weights_of(const Config& c, std::vector<uint8_t>& memory) {
  Weights w = empty_weights(c);
  int64_t most = c.vocabulary * c.hidden * 2;
  for (const Linear& l : w.layers[0].projections)
    most = std::max(most, l.kind == WeightKind::kFloat ? l.outputs * l.inputs * 2
                                                       : l.outputs * packed_row_bytes(l.inputs));
  if (c.weights == WeightKind::kFloat) {
    memory.assign(static_cast<size_t>(most), 0);
    for (size_t i = 0; i < memory.size(); i += 2) {
      memory[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
      memory[i + 1] = static_cast<uint8_t>(0x20 | (i * 40503u >> 5 & 0x80));  // about +-0.01
    }
  } else {
    memory.assign(static_cast<size_t>(most), 0);
    for (size_t i = 0; i < memory.size(); ++i) {
      for (int s = 0; s < 8; s += 2)
        memory[i] = static_cast<uint8_t>(memory[i] | (i * 2654435761u >> (9 + s)) % 3 << s);
    }
  }
  static std::vector<float> ones(1 << 16, 1.0f);
  for (LayerWeights& layer : w.layers) {
    for (Linear& l : layer.projections) {
      l.packed = l.kind == WeightKind::kFloat ? nullptr : memory.data();
      l.dense = {memory.data(), DType::kF16};
      l.scale = 0.02f;
    }
    if (c.block_norms()) layer.attn_norm = layer.ffn_norm = ones.data();
    if (c.sub_norms()) layer.attn_sub_norm = layer.ffn_sub_norm = ones.data();
  }
  w.final_norm = ones.data();
  static std::vector<uint16_t> table;
  table.assign(static_cast<size_t>(c.vocabulary * c.hidden), 0);
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<uint16_t>(0x2000 | (i * 2654435761u >> 9 & 0x83FF));
  w.embedding = w.head.dense = {table.data(), DType::kF16};
  return w;
}

void run(const std::string& name, Family family) {
  Config c = as_family(preset(name), family);
  c.context = 4096;
  if (name == "70B") c.kv_heads = 8;
  std::vector<uint8_t> memory;
  const Weights w = weights_of(c, memory);
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
    step(first, 1);
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
