#pragma once
// The rows of the table that multiply tiles (two_bit_gemm_i8, base3_gemm_i8), one function per instruction
// set and number of activation rows; tile_kernels.cpp says which serves what. All keep the contract of
// their row in kernels.h.
//
//   gemv     few rows (T = 1 to 3): bound by the reading of weights
//   some     more rows, whose products cost less than unpacking for gemm would
//   gemm     many rows
//   look_up  up to base3_table_rows rows, from tables

#include <cstdint>

#include "kernels/kernels.h"

namespace trit::kernels {

using TwoBitKernel = void(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                          int64_t x_stride, const int32_t* x_sum, int64_t T, int32_t* y,
                          int64_t y_stride);
using Base3Kernel = void(const uint8_t* w, int64_t tiles, int64_t blocks, const int8_t* x,
                         int64_t x_stride, const int32_t* x_sum, const uint8_t* tables, int64_t T,
                         int32_t* y, int64_t y_stride);

TwoBitKernel two_bit_gemm_scalar;
Base3Kernel base3_gemm_scalar;

TwoBitKernel two_bit_gemm_avx2, two_bit_gemm_avxvnni;
Base3Kernel base3_gemm_avx2, base3_gemm_avxvnni;

TwoBitKernel two_bit_gemv_avx512vnni, two_bit_some_avx512vnni, two_bit_gemm_avx512,
    two_bit_gemm_amx;

Base3Kernel base3_gemm_avx512vnni, base3_gemm_avx512vbmi, base3_gemm_amx, base3_look_up_avx512vbmi;
void base3_tables_avx512vbmi(const int8_t* x, int64_t blocks, uint8_t* tables);

TwoBitKernel two_bit_gemv_neon, two_bit_gemm_neon;
Base3Kernel base3_look_up_neon, base3_gemm_neon;
void base3_tables_neon(const int8_t* x, int64_t blocks, uint8_t* tables);
TwoBitKernel two_bit_gemv_dotprod, two_bit_gemm_dotprod;
Base3Kernel base3_gemm_dotprod;
TwoBitKernel two_bit_gemm_i8mm;
Base3Kernel base3_gemm_i8mm;

// Sets the rows of the table that concern tiles.
void set_tile_rows(Isa isa, Table& table);

}  // namespace trit::kernels
