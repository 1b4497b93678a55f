#include "energy/energy.h"

#include <gtest/gtest.h>

#include <cmath>

namespace trit {
namespace {

constexpr int64_t kTokens = 512;

// A block of the papers' plain shape: four h x h projections and a feed-forward part of 8 h^2.
EnergyShape plain(int64_t h, int64_t layers) {
  return {layers, 12 * h * h * layers, 18 * h * layers, h};
}

// A gated block with grouped key/value heads.
EnergyShape gated(int64_t h, int64_t layers, int64_t ffn, int64_t heads, int64_t kv_heads,
                  int64_t head_dim) {
  const int64_t query = heads * head_dim, kv = kv_heads * head_dim;
  return {layers, layers * (2 * h * query + 2 * h * kv + 3 * h * ffn),
          layers * (2 * (h + query) + 2 * (h + kv) + 3 * (h + ffn)), query};
}

double llama(const EnergyShape& shape) {
  return float_pass_energy(shape, kTokens, kEnergy7nm.fp16).total();
}
double bitnet(const EnergyShape& shape) {
  return bitnet_pass_energy(shape, kTokens, kEnergy7nm).total();
}

// BitNet b1.58 (arXiv 2402.17764), Figure 3, left.
TEST(Energy, MultiplyAccumulateRatio) { EXPECT_NEAR(matmul_energy_ratio(kEnergy7nm), 71.4, 0.05); }

// Figure 3, right: the printed ratios, and the joules read off its drawing.
TEST(Energy, EndToEndRatiosOfTheFigure) {
  struct Row {
    int64_t hidden, layers;
    double llama_joules, bitnet_joules, ratio;
  };
  for (const Row& row : {Row{2048, 24, 0.322, 0.0173, 18.6}, Row{2560, 32, 0.666, 0.0307, 21.7},
                         Row{4096, 32, 1.683, 0.0578, 29.1}, Row{5120, 40, 3.275, 0.0993, 32.9},
                         Row{8192, 80, 16.66, 0.404, 41.2}}) {
    const EnergyShape shape = plain(row.hidden, row.layers);
    EXPECT_NEAR(llama(shape) / bitnet(shape), row.ratio, 0.06) << row.hidden;
    EXPECT_NEAR(llama(shape) / row.llama_joules, 1.0, 0.005) << row.hidden;
    EXPECT_NEAR(bitnet(shape) / row.bitnet_joules, 1.0, 0.005) << row.hidden;
  }
}

// BitNet b1.58 2B4T (arXiv 2504.12285), Table 1: the printed joules of five models.
TEST(Energy, JoulesOfThe2B4TReport) {
  EXPECT_NEAR(llama(gated(2048, 16, 8192, 32, 8, 64)), 0.258, 0.0005);    // LLaMA 3.2 1B
  EXPECT_NEAR(llama(gated(1536, 28, 8960, 12, 2, 128)), 0.347, 0.0005);   // Qwen2.5 1.5B
  EXPECT_NEAR(llama(gated(2048, 24, 8192, 32, 32, 64)), 0.425, 0.0005);   // SmolLM2 1.7B
  EXPECT_NEAR(llama(gated(2304, 40, 5760, 36, 36, 64)), 0.649, 0.0005);   // MiniCPM 2B
  EXPECT_NEAR(bitnet(gated(2560, 30, 6912, 20, 5, 128)), 0.028, 0.0005);  // BitNet b1.58 2B4T
}

// BitNet (arXiv 2310.11453), Table 1: joules of multiplications and additions, printed to two digits.
// (The 6.7B model's additions at 7 nm are printed as 0.04 where the form gives 0.034.)
TEST(Energy, FirstPapersTable) {
  const auto printed = [](double ours, double theirs) {
    EXPECT_NEAR(ours, theirs, 0.0051) << theirs;
  };
  const auto check = [&](const EnergyShape& shape, const ProcessEnergy& process, double fp32_mul,
                         double fp32_add, double fp16_mul, double fp16_add, double bitnet_mul,
                         double bitnet_add) {
    const PassEnergy fp32 = float_pass_energy(shape, kTokens, process.fp32);
    const PassEnergy fp16 = float_pass_energy(shape, kTokens, process.fp16);
    const PassEnergy binary = bitnet_pass_energy(shape, kTokens, process);
    printed(fp32.mul(), fp32_mul);
    printed(fp32.add(), fp32_add);
    printed(fp16.mul(), fp16_mul);
    printed(fp16.add(), fp16_add);
    printed(binary.mul(), bitnet_mul);
    if (bitnet_add > 0) printed(binary.add(), bitnet_add);
  };
  check(plain(4096, 32), kEnergy7nm, 4.41, 1.28, 1.14, 0.54, 0.02, 0);
  check(plain(4096, 32), kEnergy45nm, 12.46, 3.03, 3.70, 1.35, 0.08, 0.13);
  check(plain(5120, 40), kEnergy7nm, 8.58, 2.49, 2.23, 1.05, 0.04, 0.06);
  check(plain(5120, 40), kEnergy45nm, 24.23, 5.89, 7.20, 2.62, 0.12, 0.24);
  check(plain(7168, 48), kEnergy7nm, 20.09, 5.83, 5.21, 2.45, 0.06, 0.14);
  check(plain(7168, 48), kEnergy45nm, 56.73, 13.80, 16.87, 6.13, 0.20, 0.53);
}

// 8 GB are 10^9 accesses of 64 bits: 1.3 to 2.6 J (Horowitz 2014).
TEST(Energy, ReadingMemory) {
  const TrafficEnergy energy = traffic_energy(8e9);
  EXPECT_NEAR(energy.least, 1.3, 1e-9);
  EXPECT_NEAR(energy.most, 2.6, 1e-9);
}

}  // namespace
}  // namespace trit
