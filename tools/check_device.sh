#!/bin/bash
# check_device.sh [kernels_test]: memcheck and racecheck of the device kernels on an NVIDIA device; under a minute each.
# Needs compute-sanitizer of the CUDA toolkit.
set -euo pipefail
test=${1:-build/release/kernels_test}
filter='CudaAttention.Norms*:CudaLinearSmall.EveryCut*:CudaLinearF*:CudaQ*:CudaR*:CudaTop*:CudaDense.Embedding'
compute-sanitizer --error-exitcode 1 "$test" \
  --gtest_filter="$filter:CudaAttention.Prompts*:CudaAttention.Mixed*:CudaDense.FewRows*" --gtest_brief=1
compute-sanitizer --error-exitcode 1 --tool racecheck "$test" --gtest_filter="$filter" --gtest_brief=1
