// Dense layers of many rows, through cuBLASLt.

#include <cublasLt.h>

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/dense_parts.h"

namespace trit::cuda {
namespace {

constexpr int64_t kWorkspace = int64_t{32} << 20, kAlign = 256;
constexpr int kThreads = 256;

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// cuBLASLt's codes in CUDA's terms: what it cannot do is a fault of this file.
void check(cublasStatus_t status, const char* call, int line) {
  if (status != CUBLAS_STATUS_SUCCESS) call_failed(cudaErrorUnknown, call, __FILE__, line);
}
#define TRIT_CUBLAS(function, ...) check(TRIT_CUBLAS_LT(function, __VA_ARGS__), #function, __LINE__)

struct Destroy {
  void operator()(cublasLtMatmulDesc_t p) const { TRIT_CUBLAS_LT(cublasLtMatmulDescDestroy, p); }
  void operator()(cublasLtMatrixLayout_t p) const {
    TRIT_CUBLAS_LT(cublasLtMatrixLayoutDestroy, p);
  }
  void operator()(cublasLtMatmulPreference_t p) const {
    TRIT_CUBLAS_LT(cublasLtMatmulPreferenceDestroy, p);
  }
};
using Operation = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy>;
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy>;

struct Type {
  cudaDataType_t of_inputs;
  cublasComputeType_t compute;
};
Type type_of(DenseForm form) {
  if (form == DenseForm::kF16) return {CUDA_R_16F, CUBLAS_COMPUTE_32F};
  if (form == DenseForm::kBF16) return {CUDA_R_16BF, CUBLAS_COMPUTE_32F};
  return {CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC};
}

// y [T, N] (+)= x [T, K] W^T [N, K]; for a library of column-major matrices: y^T [N, T] = (W^T)^T x^T.
struct Product {
  Operation operation;
  Layout w, x, y;
  cublasLtMatmulAlgo_t algorithm;
};

// device, form, N, K, T, stride of x, stride of y, adds
using Key = std::tuple<int, DenseForm, int64_t, int64_t, int64_t, int64_t, int64_t, bool>;

Layout layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  TRIT_CUBLAS(cublasLtMatrixLayoutCreate, &made, type, static_cast<uint64_t>(rows),
              static_cast<uint64_t>(columns), stride);
  return Layout(made);
}

Product make_product(cublasLtHandle_t handle, DenseForm form, int64_t N, int64_t K, int64_t T,
                     int64_t x_stride, int64_t y_stride) {
  const Type type = type_of(form);
  Product p;
  cublasLtMatmulDesc_t operation = nullptr;
  TRIT_CUBLAS(cublasLtMatmulDescCreate, &operation, type.compute, CUDA_R_32F);
  p.operation.reset(operation);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  TRIT_CUBLAS(cublasLtMatmulDescSetAttribute, operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
              sizeof transposed);
  p.w = layout(type.of_inputs, K, N, K);
  p.x = layout(type.of_inputs, K, T, x_stride);
  p.y = layout(CUDA_R_32F, N, T, y_stride);
  cublasLtMatmulPreference_t made = nullptr;
  TRIT_CUBLAS(cublasLtMatmulPreferenceCreate, &made);
  const Preference preference(made);
  const auto workspace = static_cast<size_t>(kWorkspace);
  TRIT_CUBLAS(cublasLtMatmulPreferenceSetAttribute, made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
              &workspace, sizeof workspace);
  // W and x may stand anywhere that their rows allow.
  const auto bytes = static_cast<int64_t>(type.of_inputs == CUDA_R_32F ? 4 : 2);
  const auto least = [](int64_t stride) {
    uint32_t align = 256;
    while (stride % align != 0) align /= 2;
    return align;
  };
  const uint32_t of_w = least(K * bytes), of_x = least(x_stride * bytes),
                 of_y = least(y_stride * 4);
  TRIT_CUBLAS(cublasLtMatmulPreferenceSetAttribute, made,
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &of_w, sizeof of_w);
  TRIT_CUBLAS(cublasLtMatmulPreferenceSetAttribute, made,
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &of_x, sizeof of_x);
  for (const auto which :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    TRIT_CUBLAS(cublasLtMatmulPreferenceSetAttribute, made, which, &of_y, sizeof of_y);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  TRIT_CUBLAS(cublasLtMatmulAlgoGetHeuristic, handle, operation, p.w.get(), p.x.get(), p.y.get(),
              p.y.get(), made, 1, &best, &found);
  if (found == 0)
    call_failed(cudaErrorNotSupported, "cublasLtMatmulAlgoGetHeuristic", __FILE__, __LINE__);
  p.algorithm = best.algo;
  return p;
}

// Kept for the life of the program: handles may not be destroyed after the driver.
struct Library {
  std::mutex mutex;
  std::map<int, cublasLtHandle_t> handles;
  std::map<Key, Product> products;
};
Library& library() {
  static Library* const of_program = new Library;
  return *of_program;
}

struct Found {
  cublasLtHandle_t handle;
  const Product* product;
};
Found product_of(const DenseLayer& layer, int64_t T, int64_t x_stride, int64_t y_stride,
                 bool adds) {
  int device = 0;
  TRIT_CUDA(cudaGetDevice(&device));
  Library& all = library();
  const std::lock_guard lock(all.mutex);
  cublasLtHandle_t& handle = all.handles[device];
  if (handle == nullptr) TRIT_CUBLAS(cublasLtCreate, &handle);
  const Key key{device, layer.form, layer.rows, layer.columns, T, x_stride, y_stride, adds};
  auto at = all.products.find(key);
  if (at == all.products.end()) {
    Product made =
        make_product(handle, layer.form, layer.rows, layer.columns, T, x_stride, y_stride);
    at = all.products.emplace(key, std::move(made)).first;
  }
  return {handle, &at->second};
}

// out [T, K] = norm(x) as To: a block for each row.
template <class To>
__global__ void __launch_bounds__(kThreads)
    round_rows(const __grid_constant__ DenseArguments rows, To* out) {
  wait_for_previous();
  DenseArguments a = rows;
  a.x += blockIdx.x * a.x_stride;
  a.T = 1;
  const RowNorms& norms = row_norms<kThreads / 32>(a);
  out += blockIdx.x * a.K;
#pragma unroll 4
  for (int64_t k = threadIdx.x; k < a.K; k += kThreads) out[k] = To(normed(a, norms, 0, k, a.x[k]));
}

// Gate and up alternate by 16 columns of v [T, N].
__global__ void glu_rows(const float* v, int64_t T, int64_t N, Epilogue epilogue, float* y,
                         int64_t y_stride) {
  wait_for_previous();
  const int64_t half = N / 2, n = T * half, step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) {
    const int64_t t = i / half, o = i % half;
    const float* gate = v + t * N + o / 16 * 32 + o % 16;
    y[t * y_stride + o] = glu(epilogue, gate[0], gate[16]);
  }
}

dim3 grid_of(int64_t elements) {
  const int64_t blocks = (elements + kThreads - 1) / kThreads;
  const int64_t most = device_limits().multiprocessors * int64_t{8};
  return dim3(static_cast<unsigned>(blocks < most ? blocks : most));
}

template <class To>
const void* round_to(StreamHandle stream, const DenseArguments& rows, std::byte* out) {
  launch_chained(stream, dim3(static_cast<unsigned>(rows.T)), dim3(kThreads), 0, round_rows<To>,
                 rows, reinterpret_cast<To*>(out));
  return out;
}

int64_t rounded_bytes(DenseForm form, int64_t T, int64_t K) {
  return aligned(T * K * (form == DenseForm::kF32 ? 4 : 2));
}

}  // namespace

int64_t dense_scratch_bytes(const DenseLayer& layer, int64_t T, Epilogue epilogue) {
  if (T <= kSmallRows || !is_float(layer.form)) return 0;
  return kWorkspace + rounded_bytes(layer.form, T, layer.columns) +
         (is_glu(epilogue) ? aligned(T * layer.rows * 4) : 0);
}

void dense_linear_large(StreamHandle stream, const Norm& norm, const DenseLayer& layer,
                        const float* x, int64_t x_stride, int64_t T, Epilogue epilogue, float* y,
                        int64_t y_stride, const Scratch& scratch) {
  const int64_t N = layer.rows, K = layer.columns;
  std::byte* rounded = scratch.memory + kWorkspace;
  DenseArguments rows{.norm = norm, .K = K, .x = x, .x_stride = x_stride, .T = static_cast<int>(T)};
  const void* inputs = x;
  if (layer.form == DenseForm::kF16)
    inputs = round_to<__half>(stream, rows, rounded);
  else if (layer.form == DenseForm::kBF16)
    inputs = round_to<__nv_bfloat16>(stream, rows, rounded);
  else if (norm.there)
    inputs = round_to<float>(stream, rows, rounded);
  if (inputs != x) x_stride = K;
  auto* product = reinterpret_cast<float*>(rounded + rounded_bytes(layer.form, T, K));
  const bool through = is_glu(epilogue), adds = epilogue == Epilogue::kAdd;
  float* out = through ? product : y;
  const auto [handle, made] = product_of(layer, T, x_stride, through ? N : y_stride, adds);
  const float alpha = 1.0f, beta = adds ? 1.0f : 0.0f;
  TRIT_CUBLAS(cublasLtMatmul, handle, made->operation.get(), &alpha, layer.weights, made->w.get(),
              inputs, made->x.get(), &beta, out, made->y.get(), out, made->y.get(),
              &made->algorithm, scratch.memory, static_cast<size_t>(kWorkspace), stream);
  if (through)
    launch_chained(stream, grid_of(T * N / 2), dim3(kThreads), 0, glu_rows, product, T, N, epilogue,
                   y, y_stride);
}

}  // namespace trit::cuda
