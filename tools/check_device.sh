#!/bin/bash
# check_device.sh [FOLDER]: memcheck of the device kernels and of whole models, and racecheck of the kernels that are
# quick under it, on an NVIDIA device, from the tests in the build folder. Two minutes. Needs compute-sanitizer of the
# CUDA toolkit.
set -euo pipefail
folder=${1:-build/release}
check() {  # TEST FILTER OPTIONS...
  local test=$1 filter=$2
  shift 2
  echo "$test $filter $*"
  compute-sanitizer --error-exitcode 1 "$@" "$folder/$test" --gtest_filter="$filter" --gtest_brief=1
}
check kernels_test 'Cuda*'
# One test asks for more memory than there is, and is refused.
check infer_test 'CudaBackend*:*CudaModel*' --report-api-errors no
races='CudaAttention.Norms*:CudaLinearSmall.EveryCut*:CudaLinearSingle*:CudaLinearLarge.Mma*:CudaQ*:CudaR*:CudaTop*'
check kernels_test "$races:CudaDense.Embedding" --tool racecheck
