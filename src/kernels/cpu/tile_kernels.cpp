#include "kernels/cpu/tile_kernels.h"

#include "kernels/cpu/target.h"

namespace trit::kernels {
namespace {

// What serves an instruction set.
struct TileKernels {
  TwoBitKernel *two_bit_few, *two_bit_many;
  Base3Kernel *base3_few, *base3_many;
  Base3Kernel* base3_look_up = nullptr;  // from tables, for up to table_rows rows of activations
  void (*base3_tables)(const int8_t* x, int64_t blocks, uint8_t* tables) = nullptr;
  int64_t table_rows = 0, table_bytes = 0;
  TwoBitKernel* two_bit_some = nullptr;  // for 3 to some_rows rows, before few and many
  int64_t some_rows = 0;
  int64_t few_rows = 3;
};

#if defined(__x86_64__)
constexpr TileKernels kAvx2 = {
    .two_bit_few = two_bit_gemm_avx2,
    .two_bit_many = two_bit_gemm_avx2,
    .base3_few = base3_gemm_avx2,
    .base3_many = base3_gemm_avx2,
};
constexpr TileKernels kAvxVnni = {
    .two_bit_few = two_bit_gemm_avxvnni,
    .two_bit_many = two_bit_gemm_avxvnni,
    .base3_few = base3_gemm_avxvnni,
    .base3_many = base3_gemm_avxvnni,
};
constexpr TileKernels kAvx512Vnni = {
    .two_bit_few = two_bit_gemv_avx512vnni,
    .two_bit_many = two_bit_gemm_avx512,
    .base3_few = base3_gemm_avx2,
    .base3_many = base3_gemm_avx512vnni,
    .two_bit_some = two_bit_some_avx512vnni,
    .some_rows = 22,
};
constexpr TileKernels kAvx512Vbmi = {
    .two_bit_few = two_bit_gemv_avx512vnni,
    .two_bit_many = two_bit_gemm_avx512,
    .base3_few = base3_gemm_avx2,
    .base3_many = base3_gemm_avx512vbmi,
    .base3_look_up = base3_look_up_avx512vbmi,
    .base3_tables = base3_tables_avx512vbmi,
    .table_rows = 3,
    .table_bytes = 256,
    .two_bit_some = two_bit_some_avx512vnni,
    .some_rows = 22,
};
constexpr TileKernels kAmx = {
    .two_bit_few = two_bit_gemv_avx512vnni,
    .two_bit_many = two_bit_gemm_amx,
    .base3_few = base3_gemm_avx2,
    .base3_many = base3_gemm_amx,
    .base3_look_up = base3_look_up_avx512vbmi,
    .base3_tables = base3_tables_avx512vbmi,
    .table_rows = 2,
    .table_bytes = 256,
    .few_rows = 2,
};
#elif defined(__aarch64__)
constexpr TileKernels kNeon = {
    .two_bit_few = two_bit_gemv_neon,
    .two_bit_many = two_bit_gemm_neon,
    .base3_few = base3_gemm_neon,
    .base3_many = base3_gemm_neon,
    .base3_look_up = base3_look_up_neon,
    .base3_tables = base3_tables_neon,
    .table_rows = 3,
    .table_bytes = 256,
};
#endif
#if TRIT_ARM_EXTENSIONS
constexpr TileKernels kDotprod = {
    .two_bit_few = two_bit_gemv_dotprod,
    .two_bit_many = two_bit_gemm_dotprod,
    .base3_few = base3_gemm_dotprod,
    .base3_many = base3_gemm_dotprod,
    .base3_look_up = base3_look_up_neon,
    .base3_tables = base3_tables_neon,
    .table_rows = 3,
    .table_bytes = 256,
};
constexpr TileKernels kI8mm = {
    .two_bit_few = two_bit_gemv_dotprod,
    .two_bit_many = two_bit_gemm_i8mm,
    .base3_few = base3_gemm_i8mm,
    .base3_many = base3_gemm_i8mm,
    .base3_look_up = base3_look_up_neon,
    .base3_tables = base3_tables_neon,
    .table_rows = 3,
    .table_bytes = 256,
};
#endif

template <const TileKernels& kernels>
void two_bit(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x, int64_t x_stride,
             const int32_t* x_sum, int64_t T, int32_t* y, int64_t y_stride) {
  const auto multiply = T >= 3 && T <= kernels.some_rows ? kernels.two_bit_some
                        : T <= kernels.few_rows          ? kernels.two_bit_few
                                                         : kernels.two_bit_many;
  multiply(w, tiles, blocks, x, x_stride, x_sum, T, y, y_stride);
}

template <const TileKernels& kernels>
void base3(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x, int64_t x_stride,
           const int32_t* x_sum, const uint8_t* tables, int64_t T, int32_t* y, int64_t y_stride) {
  (tables != nullptr ? kernels.base3_look_up
   : T <= kernels.few_rows
       ? kernels.base3_few
       : kernels.base3_many)(w, tiles, blocks, x, x_stride, x_sum, tables, T, y, y_stride);
}

template <const TileKernels& kernels>
void set(Table& table) {
  table.two_bit_gemm_i8 = two_bit<kernels>;
  table.base3_gemm_i8 = base3<kernels>;
  table.base3_tables = kernels.base3_tables;
  table.base3_table_rows = kernels.table_rows;
  table.base3_table_bytes = kernels.table_bytes;
}

}  // namespace

void set_tile_rows(Isa isa, Table& table) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return set<kAvx2>(table);
    case Isa::kAvxVnni:
      return set<kAvxVnni>(table);
    case Isa::kAvx512Vnni:
      return set<kAvx512Vnni>(table);
    case Isa::kAvx512Vbmi:
      return set<kAvx512Vbmi>(table);
    case Isa::kAmx:
      return set<kAmx>(table);
#elif defined(__aarch64__)
    case Isa::kNeon:
      return set<kNeon>(table);
#endif
#if TRIT_ARM_EXTENSIONS
    case Isa::kDotprod:
      return set<kDotprod>(table);
    case Isa::kI8mm:
      return set<kI8mm>(table);
#endif
    default:
      table.two_bit_gemm_i8 = two_bit_gemm_scalar;
      table.base3_gemm_i8 = base3_gemm_scalar;
  }
}

}  // namespace trit::kernels
