#include "model/kernel_check.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_folder.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

// A kernel with one wrong bit in one output.
void broken_gemm(const uint8_t* w, int64_t rows, int64_t row_bytes, const int8_t* x,
                 const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  kernels::table(kernels::Isa::kScalar)
      .ternary_gemm_i8(w, rows, row_bytes, x, x_sum, T, y, y_stride);
  y[(T - 1) * y_stride + rows - 1] ^= 1;
}

void broken_dense(const float* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                  int64_t y_stride) {
  kernels::table(kernels::Isa::kScalar).dense_gemm_f32(w, rows, K, x, T, y, y_stride);
  y[0] += 1e-3f;
}

std::string failure_of(const Model& model, const kernels::Table& table) {
  try {
    check_kernels(model.weights(), table, kernels::Isa::kAvx2);
    return "none";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kFailure);
    return error.what();
  }
}

TEST(KernelCheck, PassesEveryInstructionSetAndFindsOneWrongBit) {
  Config config = preset("nano");
  config.vocabulary = 40;
  const Model model = Model::random(config, 1);
  for (const kernels::Isa isa : kernels::available())
    EXPECT_NO_THROW(check_kernels(model.weights(), kernels::table(isa), isa));

  kernels::Table broken = kernels::table(kernels::Isa::kScalar);
  broken.ternary_gemm_i8 = broken_gemm;
  EXPECT_NE(failure_of(model, broken).find("avx2 kernels"), std::string::npos);
  broken = kernels::table(kernels::Isa::kScalar);
  broken.dense_gemm_f32 = broken_dense;
  EXPECT_NE(failure_of(model, broken).find("output head"), std::string::npos);
}

// The same for a model that is arranged in tiles.
void broken_two_bit(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                    int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                    int64_t y_stride) {
  kernels::table(kernels::Isa::kScalar)
      .two_bit_gemm_i8(w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride);
  y[15] ^= 1;
}
void broken_base3(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                  int64_t x_stride, const int32_t* x_sum, const uint8_t* tables, int64_t T,
                  int32_t* y, int64_t y_stride) {
  kernels::table(kernels::Isa::kScalar)
      .base3_gemm_i8(w, tiles, blocks, x, x_stride, x_sum, tables, T, y, y_stride);
  y[63] ^= 1;
}

class KernelCheckOfTiles : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Forms, KernelCheckOfTiles, testing::Values("2-bit", "base-3"));

TEST_P(KernelCheckOfTiles, PassesEveryInstructionSetAndFindsOneWrongBit) {
  Config config = preset("nano");
  config.vocabulary = 40;
  const Path file = test_folder() / "kernel_check_tiles.gguf";
  write_gguf_model(file, Model::random(config, 1), nullptr, {});
  setenv("TRIT_TILES", GetParam(), 1);
  const Model model = Model::open_to_run(file);
  unsetenv("TRIT_TILES");
  for (const kernels::Isa isa : kernels::available())
    EXPECT_NO_THROW(check_kernels(model.weights(), kernels::table(isa), isa));

  kernels::Table broken = kernels::table(kernels::Isa::kScalar);
  broken.two_bit_gemm_i8 = broken_two_bit;
  broken.base3_gemm_i8 = broken_base3;
  EXPECT_NE(failure_of(model, broken).find("projection 0 of layer 0"), std::string::npos);
}

}  // namespace
}  // namespace trit
