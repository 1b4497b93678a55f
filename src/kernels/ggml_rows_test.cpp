#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "base/rng.h"
#include "kernels/kernels.h"
#include "quant/layouts.h"

namespace trit::kernels {
namespace {

struct Row {
  const PackedLayout& layout;
  decltype(Table::dense_gemm_q8_0) Table::*product;
};
const Row kRows[] = {{kQ8_0, &Table::dense_gemm_q8_0},
                     {kQ6_K, &Table::dense_gemm_q6_k},
                     {kQ4_0, &Table::dense_gemm_q4_0},
                     {kQ4_K, &Table::dense_gemm_q4_k}};

// Any bytes are weights as long as the fp16 scales are finite.
std::vector<uint8_t> random_blocks(const PackedLayout& layout, int64_t blocks, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint8_t> bytes(static_cast<size_t>(blocks * layout.bytes));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
  const auto make_finite = [&](int64_t block, int64_t offset) {
    uint8_t& high = bytes[static_cast<size_t>(block * layout.bytes + offset + 1)];
    if ((high & 0x7C) == 0x7C) high = static_cast<uint8_t>(high & 0x83);  // subnormal
  };
  for (int64_t b = 0; b < blocks; ++b) {
    make_finite(b, &layout == &kQ6_K ? 208 : 0);
    if (&layout == &kQ4_K) make_finite(b, 2);
  }
  return bytes;
}

// The specification: decode (quant's code, which its tests hold equal to ggml's), then the float32 product.
TEST(GgmlRows, GiveTheBitsOfDecodingAndMultiplyingOnEveryInstructionSet) {
  for (const auto& [layout, product] : kRows) {
    for (const int64_t blocks_of_k : {1, 2, 3, 5, 9}) {
      for (const int64_t rows : {1, 4, 5, 11}) {
        const int64_t K = blocks_of_k * layout.block, T = 35;
        const std::vector<uint8_t> w =
            random_blocks(layout, rows * blocks_of_k, static_cast<uint64_t>(rows * 10 + K));
        std::vector<float> weights(static_cast<size_t>(rows * K)), x(static_cast<size_t>(T * K));
        decode_weights(layout, w, rows, K, weights, "w");
        Rng rng(3);
        for (float& v : x) v = rng.normal();
        std::vector<float> expected(static_cast<size_t>(T * rows));
        table(Isa::kScalar)
            .dense_gemm_f32(weights.data(), rows, K, x.data(), T, expected.data(), rows);
        for (const Isa isa : available()) {
          for (const int64_t tokens : {1, 2, 32, 35}) {
            std::vector<float> y(static_cast<size_t>(tokens * rows), -1.0f);
            (table(isa).*product)(w.data(), rows, K, x.data(), tokens, y.data(), rows);
            ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
                << layout.name << ' ' << to_string(isa) << " rows " << rows << " columns " << K
                << " tokens " << tokens;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace trit::kernels
