#pragma once
// cuBLASLt, loaded when it is first called: loading it takes 200 MB and 70 ms, which programs that stay on the CPU
// should not pay.

namespace trit::cuda {

// The function of this name. Throws Error when the library is not there or too old.
void* cublas_lt_function(const char* name);

}  // namespace trit::cuda

// function(arguments...), one of cublasLt.h's.
#define TRIT_CUBLAS_LT(function, ...) \
  (reinterpret_cast<decltype(&function)>(::trit::cuda::cublas_lt_function(#function))(__VA_ARGS__))
