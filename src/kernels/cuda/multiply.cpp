// Products of float matrices through cuBLASLt.
//
// Of the algorithms that the library proposes for a shape the first is not always the quickest (on an H200, of a step's
// products 3 to 20 % behind). So large ones are tried once, on what they are called with; but only those that give
// the first one's bits can be chosen, so that what was measured never changes a result.

#include <cublasLt.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/training_products.h"

namespace trit::cuda {
namespace {

constexpr int64_t kWorkspace = int64_t{32} << 20;
constexpr int kCandidates = 8, kRuns = 3;
constexpr double kWorthTrying = 1e9;  // multiplications

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

cudaDataType_t type_of(Float type) { return type == Float::kF32 ? CUDA_R_32F : CUDA_R_16BF; }

// The library's matrices go by columns: it is asked for d^T = b^T a^T, and a matrix of ours is its transpose.
struct Plan {
  Operation operation;
  Layout b, a, d;
  std::vector<cublasLtMatmulAlgo_t> candidates;
  size_t best = 0;
};

// The largest power of two, up to 256, that places and strides are multiples of.
uint32_t alignment(const void* data, int64_t stride, Float type) {
  const uint64_t all = reinterpret_cast<uint64_t>(data) |
                       static_cast<uint64_t>(stride * float_bytes(type)) | uint64_t{256};
  return static_cast<uint32_t>(all & (~all + 1));
}

// All that the choice of an algorithm depends on, so that it is the same in every process.
struct Shape {
  int device;
  int64_t M, N, K, a_stride, b_stride, d_stride;
  uint32_t a_align, b_align, d_align;
  Float of, to;
  bool a_turned, b_turned;
  auto operator<=>(const Shape&) const = default;
};

Layout layout(Float type, int64_t rows, int64_t columns, int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  TRIT_CUBLAS(cublasLtMatrixLayoutCreate, &made, type_of(type), static_cast<uint64_t>(columns),
              static_cast<uint64_t>(rows), stride);
  return Layout(made);
}

template <class T>
void prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t what,
            T value) {
  TRIT_CUBLAS(cublasLtMatmulPreferenceSetAttribute, preference, what, &value, sizeof value);
}

Plan make_plan(cublasLtHandle_t handle, const Shape& s) {
  Plan p;
  cublasLtMatmulDesc_t operation = nullptr;
  TRIT_CUBLAS(cublasLtMatmulDescCreate, &operation,
              s.of == Float::kF32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F, CUDA_R_32F);
  p.operation.reset(operation);
  const auto turn = [&](cublasLtMatmulDescAttributes_t which, bool turned) {
    const cublasOperation_t op = turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    TRIT_CUBLAS(cublasLtMatmulDescSetAttribute, operation, which, &op, sizeof op);
  };
  turn(CUBLASLT_MATMUL_DESC_TRANSA, s.b_turned);
  turn(CUBLASLT_MATMUL_DESC_TRANSB, s.a_turned);
  p.b = layout(s.of, s.b_turned ? s.N : s.K, s.b_turned ? s.K : s.N, s.b_stride);
  p.a = layout(s.of, s.a_turned ? s.K : s.M, s.a_turned ? s.M : s.K, s.a_stride);
  p.d = layout(s.to, s.M, s.N, s.d_stride);
  cublasLtMatmulPreference_t made = nullptr;
  TRIT_CUBLAS(cublasLtMatmulPreferenceCreate, &made);
  const Preference preference(made);
  prefer(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<size_t>(kWorkspace));
  // Parts of a sum are put together in float32 and in order.
  prefer(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  prefer(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, s.b_align);
  prefer(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, s.a_align);
  prefer(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, s.d_align);
  prefer(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, s.d_align);
  cublasLtMatmulHeuristicResult_t results[kCandidates];
  int found = 0;
  TRIT_CUBLAS(cublasLtMatmulAlgoGetHeuristic, handle, operation, p.b.get(), p.a.get(), p.d.get(),
              p.d.get(), made, kCandidates, results, &found);
  if (found == 0)
    call_failed(cudaErrorNotSupported, "cublasLtMatmulAlgoGetHeuristic", __FILE__, __LINE__);
  for (int i = 0; i < found; ++i) p.candidates.push_back(results[i].algo);
  return p;
}

void run(StreamHandle stream, cublasLtHandle_t handle, const Plan& plan, size_t candidate,
         const MatrixProduct& p, void* d, const Scratch& scratch) {
  const bool adds = p.c.data != nullptr;
  const float alpha = 1.0f, beta = adds ? 1.0f : 0.0f;
  TRIT_CUBLAS(cublasLtMatmul, handle, plan.operation.get(), &alpha, p.b.data, plan.b.get(),
              p.a.data, plan.a.get(), &beta, adds ? p.c.data : d, plan.d.get(), d, plan.d.get(),
              &plan.candidates[candidate], scratch.memory, static_cast<size_t>(kWorkspace), stream);
}

bool recording(StreamHandle stream) {
  cudaStreamCaptureStatus status{};
  TRIT_CUDA(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

void try_candidates(StreamHandle stream, cublasLtHandle_t handle, Plan& plan,
                    const MatrixProduct& p, const Scratch& scratch) {
  const int64_t bytes = p.M * p.d.stride * float_bytes(p.d.type);
  const auto size = static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
  if (size < kWorthTrying || recording(stream) || free_memory() < 3 * bytes) return;
  const DeviceMemory first(bytes), other(bytes), differs(4);
  fill(first.data(), 0, bytes, stream);
  fill(other.data(), 0, bytes, stream);
  run(stream, handle, plan, 0, p, first.data(), scratch);
  double least = 0;
  for (size_t i = 0; i < plan.candidates.size(); ++i) {
    int32_t differ = 0;
    fill(differs.data(), 0, 4, stream);
    run(stream, handle, plan, i, p, other.data(), scratch);
    compare_bytes(stream, first.data(), other.data(), bytes, differs.as<int32_t>());
    copy_to_host(&differ, differs.data(), 4, stream);
    DeviceTimer timer;
    timer.start(stream);
    for (int r = 0; r < kRuns; ++r) run(stream, handle, plan, i, p, other.data(), scratch);
    timer.stop(stream);
    const double time = timer.milliseconds();
    if (differ != 0 || (i > 0 && time >= least)) continue;
    least = time;
    plan.best = i;
  }
}

// Kept for the life of the program: handles may not be destroyed after the driver.
struct Library {
  std::mutex mutex;
  std::map<int, cublasLtHandle_t> handles;
  std::map<Shape, Plan> plans;
};

struct Found {
  cublasLtHandle_t handle;
  const Plan* plan;
};
Found plan_of(StreamHandle stream, const MatrixProduct& p, const Scratch& scratch) {
  static Library* const all = new Library;
  Shape shape{.device = 0,
              .M = p.M,
              .N = p.N,
              .K = p.K,
              .a_stride = p.a.stride,
              .b_stride = p.b.stride,
              .d_stride = p.d.stride,
              .a_align = alignment(p.a.data, p.a.stride, p.a.type),
              .b_align = alignment(p.b.data, p.b.stride, p.b.type),
              .d_align = alignment(p.d.data, p.d.stride, p.d.type),
              .of = p.a.type,
              .to = p.d.type,
              .a_turned = p.a_turned,
              .b_turned = p.b_turned};
  if (p.c.data != nullptr)
    shape.d_align = std::min(shape.d_align, alignment(p.c.data, p.c.stride, p.c.type));
  TRIT_CUDA(cudaGetDevice(&shape.device));
  const std::lock_guard lock(all->mutex);
  cublasLtHandle_t& handle = all->handles[shape.device];
  if (handle == nullptr) TRIT_CUBLAS(cublasLtCreate, &handle);
  auto at = all->plans.find(shape);
  if (at == all->plans.end()) {
    at = all->plans.emplace(shape, make_plan(handle, shape)).first;
    try_candidates(stream, handle, at->second, p, scratch);
  }
  return {handle, &at->second};
}

}  // namespace

int64_t multiply_scratch_bytes() { return kWorkspace; }

void multiply(StreamHandle stream, const MatrixProduct& p, const Scratch& scratch) {
  if (scratch.bytes < kWorkspace)
    scratch_too_small("a matrix product", static_cast<long>(scratch.bytes), kWorkspace);
  if (p.c.data != nullptr && p.c.stride != p.d.stride)
    call_failed(cudaErrorInvalidValue, "rows of c and d apart alike", __FILE__, __LINE__);
  const auto [handle, plan] = plan_of(stream, p, scratch);
  run(stream, handle, *plan, plan->best, p, p.d.data, scratch);
}

}  // namespace trit::cuda
