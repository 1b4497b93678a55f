#include "kernels/cuda/cublas_lt.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/error.h"

namespace trit::cuda {
namespace {

// TRIT_CUBLAS_LT: where it was when this was built. The system's loader may know another place.
void* load() {
  for (const char* name : {TRIT_CUBLAS_LT_NAME, TRIT_CUBLAS_LT_FILE}) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  failure("cuBLASLt, which float layers of many rows take: {}", dlerror());
}

}  // namespace

void* cublas_lt_function(const char* name) {
  static void* const library = load();  // stays for the process's life
  void* const function = dlsym(library, name);
  if (function == nullptr) failure("cuBLASLt has no {}: {}", name, dlerror());
  return function;
}

}  // namespace trit::cuda
