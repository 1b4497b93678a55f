// The library that float layers of many rows take: found without a device, and only when it is called.

#include "kernels/cuda/cublas_lt.h"

#include <cublasLt.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace trit::cuda {
namespace {

TEST(CudaCublasLt, IsTheVersionThatThisWasBuiltFor) {
  const size_t version = TRIT_CUBLAS_LT(cublasLtGetVersion);
  EXPECT_EQ(version / 10000, size_t{CUBLAS_VER_MAJOR});
}

TEST(CudaCublasLt, WhatItLacksIsNamed) {
  try {
    cublas_lt_function("cublasLtNothing");
    FAIL() << "found";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("cublasLtNothing"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace trit::cuda
