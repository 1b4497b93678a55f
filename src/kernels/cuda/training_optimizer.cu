// AdamW over all parameters in one pass, with the sums that their quantisation needs; the norm of gradients. A block has a
// piece of one tensor: 8 rounds of its threads, four elements each, so that loads of 16 bytes of all four arrays are
// under way at once.

#include "kernels/cuda/training_parts.h"

namespace trit::cuda {
namespace {

using namespace training;

constexpr int kWarps = kThreads / 32;

// As adamw of kernels/cpu/float_rows.h rounds.
__device__ void update(const kernels::AdamStep& s, float keep, float gradient, float& p, float& m,
                       float& v) {
  const float g = __fmul_rn(gradient, s.gradient_scale);
  m = __fadd_rn(__fmul_rn(m, s.beta1), __fmul_rn(g, s.one_minus_beta1));
  v = __fadd_rn(__fmul_rn(v, s.beta2), __fmul_rn(__fmul_rn(g, g), s.one_minus_beta2));
  const float root = __fadd_rn(__fmul_rn(__fsqrt_rn(v), s.correction2), s.epsilon);
  p = __fsub_rn(__fmul_rn(p, keep), __fdiv_rn(__fmul_rn(s.rate, m), root));
}

struct Arrays {
  const float* gradients;
  float *parameters, *first, *second;
};

// Of |w| and of w.
struct Sums {
  double size = 0, plain = 0;
  __device__ void add(float w) {
    const auto x = static_cast<double>(w);
    size += fabs(x);
    plain += x;
  }
};

// kUpdate: otherwise parameters stay, and only what comes of them is made.
template <bool kUpdate>
__global__ void __launch_bounds__(kThreads)
    parameters_kernel(const ParameterPlan::Piece* pieces, const ParameterTensor* tensors,
                      const kernels::AdamStep* step, Arrays arrays, double* sums) {
  __shared__ double warps[2][kWarps];
  const ParameterPlan::Piece piece = pieces[blockIdx.x];
  const ParameterTensor& tensor = tensors[piece.tensor];
  const bool quantised = tensor.kind != WeightKind::kFloat;
  auto* rounded = quantised ? nullptr : static_cast<Bf16*>(tensor.rounded);
  if (!kUpdate && !quantised && rounded == nullptr) return;
  if (rounded != nullptr) rounded += piece.begin - tensor.offset;
  kernels::AdamStep s{};
  if (kUpdate) s = *step;
  const float keep = tensor.decays ? s.keep : 1.0f;
  const float* __restrict__ gradients = arrays.gradients + piece.begin;
  float* __restrict__ p = arrays.parameters + piece.begin;
  float* __restrict__ m = arrays.first + piece.begin;
  float* __restrict__ v = arrays.second + piece.begin;
  Sums sum;
  const bool pairs = reinterpret_cast<uintptr_t>(rounded) % 8 == 0;
  const int whole = piece.count / 4 * 4;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x) * 4; i < whole; i += kThreads * 4) {
    float4 parameter = *reinterpret_cast<float4*>(p + i);
    float* w = &parameter.x;
    if (kUpdate) {
      const float4 gradient = *reinterpret_cast<const float4*>(gradients + i);
      float4 first = *reinterpret_cast<float4*>(m + i), second = *reinterpret_cast<float4*>(v + i);
      const float* g = &gradient.x;
      float *a = &first.x, *b = &second.x;
#pragma unroll
      for (int j = 0; j < 4; ++j) update(s, keep, g[j], w[j], a[j], b[j]);
      *reinterpret_cast<float4*>(p + i) = parameter;
      *reinterpret_cast<float4*>(m + i) = first;
      *reinterpret_cast<float4*>(v + i) = second;
    }
    if (quantised) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sum.add(w[j]);
    } else if (rounded != nullptr && pairs) {
      *reinterpret_cast<uint2*>(rounded + i) = make_uint2(pair(w[0], w[1]), pair(w[2], w[3]));
    } else if (rounded != nullptr) {
      for (int j = 0; j < 4; ++j) rounded[i + j] = narrow<Bf16>(w[j]);
    }
  }
  if (const int i = whole + static_cast<int>(threadIdx.x); i < piece.count) {
    if (kUpdate) update(s, keep, gradients[i], p[i], m[i], v[i]);
    if (quantised) sum.add(p[i]);
    if (rounded != nullptr) rounded[i] = narrow<Bf16>(p[i]);
  }
  if (!quantised) return;
  sum.size = sum_of_block<kWarps>(sum.size, warps[0]);
  sum.plain = sum_of_block<kWarps>(sum.plain, warps[1]);
  if (threadIdx.x == 0) {
    sums[2 * blockIdx.x] = sum.size;
    sums[2 * blockIdx.x + 1] = sum.plain;
  }
}

// The squares' sum in a fixed number of parts, whatever the device.
constexpr int kParts = 1024;
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const float* values, int64_t count, double* parts) {
  __shared__ double warps[kWarps];
  double sum = 0;
  const int64_t whole = count / 4 * 4, thread = blockIdx.x * kThreads + threadIdx.x;
#pragma unroll 4
  for (int64_t i = thread * 4; i < whole; i += int64_t{kParts} * kThreads * 4) {
    const float4 four = *reinterpret_cast<const float4*>(values + i);
    const float* f = &four.x;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const auto x = static_cast<double>(f[j]);
      sum = fma(x, x, sum);
    }
  }
  if (whole + thread < count) {
    const auto x = static_cast<double>(values[whole + thread]);
    sum = fma(x, x, sum);
  }
  sum = sum_of_block<kWarps>(sum, warps);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kParts)
    norm_kernel(const double* parts, double max_norm, double* norm, float* factor) {
  __shared__ double warps[kParts / 32];
  const double n = sqrt(sum_of_block<kParts / 32>(parts[threadIdx.x], warps));
  if (threadIdx.x != 0) return;
  *norm = n;
  if (factor != nullptr)
    *factor = max_norm > 0 && n > max_norm ? static_cast<float>(max_norm / n) : 1.0f;
}

}  // namespace

// training_quantize.cu
void quantize_summed(StreamHandle stream, const ParameterPlan& plan, const float* parameters,
                     const Scratch& scratch);

void adamw_step(StreamHandle stream, const ParameterPlan& plan, const kernels::AdamStep* step,
                const float* gradients, float* parameters, float* first, float* second,
                const Scratch& scratch) {
  if (plan.pieces() == 0) return;
  parameters_kernel<true><<<static_cast<unsigned>(plan.pieces()), kThreads, 0, stream>>>(
      plan.piece_table(), plan.tensors(), step, {gradients, parameters, first, second},
      plan.sums());
  TRIT_CUDA_LAUNCHED();
  quantize_summed(stream, plan, parameters, scratch);
}

void quantize_parameters(StreamHandle stream, const ParameterPlan& plan, const float* parameters,
                         const Scratch& scratch) {
  if (plan.pieces() == 0) return;
  parameters_kernel<false><<<static_cast<unsigned>(plan.pieces()), kThreads, 0, stream>>>(
      plan.piece_table(), plan.tensors(), nullptr,
      {nullptr, const_cast<float*>(parameters), nullptr, nullptr}, plan.sums());
  TRIT_CUDA_LAUNCHED();
  quantize_summed(stream, plan, parameters, scratch);
}

int64_t gradient_norm_scratch_bytes() { return kParts * static_cast<int64_t>(sizeof(double)); }

void gradient_norm(StreamHandle stream, const float* gradients, int64_t count, double max_norm,
                   double* norm, float* factor, const Scratch& scratch) {
  if (scratch.bytes < gradient_norm_scratch_bytes())
    scratch_too_small("gradient_norm", scratch.bytes, gradient_norm_scratch_bytes());
  auto* parts = reinterpret_cast<double*>(scratch.memory);
  squares_kernel<<<kParts, kThreads, 0, stream>>>(gradients, count, parts);
  TRIT_CUDA_LAUNCHED();
  norm_kernel<<<1, kParts, 0, stream>>>(parts, max_norm, norm, factor);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
