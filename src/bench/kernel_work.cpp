#include "bench/kernel_work.h"

#include <fmt/format.h>

#include "quant/layouts.h"

namespace trit::bench {
namespace {

std::vector<KernelInfo> make_list() {
  using enum KernelKind;
  std::vector<KernelInfo> list = {{"two_bit_gemm_i8", kTiles},   {"base3_gemm_i8", kTiles},
                                  {"ternary_gemm_i8", kTernary}, {"ternary_gemm_f32", kTernary},
                                  {"dense_gemm_f32", kDense},    {"dense_gemm_f16", kDense},
                                  {"dense_gemm_bf16", kDense},   {"dense_gemm_q8_0", kDense},
                                  {"dense_gemm_q6_k", kDense},   {"dense_gemm_q4_0", kDense},
                                  {"dense_gemm_q4_k", kDense},   {"attention_f32", kAttention},
                                  {"attention_f16", kAttention}, {"attention_int8", kAttention},
                                  {"attention_int4", kAttention}};
  for (KernelInfo& row : row_kernels()) list.push_back(std::move(row));
  return list;
}

int64_t block_of(const std::string& kernel) {
  if (kernel.ends_with("_q8_0") || kernel.ends_with("_q4_0")) return 32;
  return kernel.ends_with("_q6_k") || kernel.ends_with("_q4_k") ? 256 : 1;
}

bool is_product(KernelKind kind) { return kind <= KernelKind::kDense; }

}  // namespace

std::string_view to_string(Source source) {
  constexpr std::string_view kNames[] = {"memory", "L3", "cache"};
  return kNames[static_cast<size_t>(source)];
}

std::span<const KernelInfo> kernel_list() {
  static const std::vector<KernelInfo> list = make_list();
  return list;
}

std::string KernelTest::shape() const {
  if (is_product(kernel.kind)) return fmt::format("{}x{}", outputs, inputs);
  if (kernel.kind == KernelKind::kAttention)
    return fmt::format("{} x {} heads of {}, {} deep", kv_heads, group, length, depth);
  return fmt::format("{}", length);
}

std::string KernelTest::name() const {
  return fmt::format("{} {} x {}, {}, {} thread{}, {}", kernel.name, shape(), batch,
                     kernels::to_string(isa), threads, threads == 1 ? "" : "s", to_string(source));
}

std::string hindrance(const KernelTest& test) {
  if (const int64_t block = block_of(test.kernel.name); test.inputs % block != 0)
    return fmt::format("{} inputs are not whole blocks of {}", test.inputs, block);
  if (test.kernel.name == "base3_tables" && kernels::table(test.isa).base3_tables == nullptr)
    return fmt::format("{} makes no tables", kernels::to_string(test.isa));
  return "";
}

Work make_work(const KernelTest& test, WorkingMemory& memory, int64_t most) {
  if (is_product(test.kernel.kind)) return product_work(test, memory, most);
  if (test.kernel.kind == KernelKind::kAttention) return attention_work(test, memory, most);
  return row_work(test);
}

}  // namespace trit::bench
