#pragma once
// For .cu files: wgmma over float16 with sums in float32 (PTX ISA 8, "wgmma.mma_async", sm_90a), beside hopper.h.

#include <cstdint>

#include "kernels/cuda/hopper.h"

namespace trit::cuda::hopper {

template <int kCount>
__device__ inline void pin(float (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}

#define TRIT_F8(i)                                                                            \
  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]), "+f"(c[i + 5]), \
      "+f"(c[i + 6]), "+f"(c[i + 7])
#define TRIT_F32 TRIT_F8(0), TRIT_F8(8), TRIT_F8(16), TRIT_F8(24)
#define TRIT_F64 TRIT_F32, TRIT_F8(32), TRIT_F8(40), TRIT_F8(48), TRIT_F8(56)
#define TRIT_N32                                                                          \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, " \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TRIT_N64                                                                            \
  TRIT_N32                                                                                  \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, " \
  "%49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// c [64, 128] = (add: +) a [64, 16] b [128, 16]^T, both in shared memory (swizzled_rows).
__device__ inline void multiply_rows(float (&c)[64], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" TRIT_N64
      "}, %64, %65, p, 1, 1, 0, 0;\n}\n"
      : TRIT_F64
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}

// c [64, 64 or 128] += a [64, 16] b [16, 64 or 128], b in shared memory with its columns along rows (swizzled_columns).
__device__ inline void add_product(float (&c)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" TRIT_N32
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}\n"
      : TRIT_F32
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ inline void add_product(float (&c)[64], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" TRIT_N64
      "}, {%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}\n"
      : TRIT_F64
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
#undef TRIT_F8
#undef TRIT_F32
#undef TRIT_F64
#undef TRIT_N32
#undef TRIT_N64

// As swizzled_rows, with the distance to the next 64 columns.
__device__ inline uint64_t swizzled_columns(const void* start, int next_bytes) {
  return (swizzled_rows(start) & ~(uint64_t{0x3FFF} << 16)) | static_cast<uint64_t>(next_bytes / 16)
                                                                  << 16;
}

// What this thread wrote to shared memory is there for wgmma and the copy engine, once a barrier has told their threads.
__device__ inline void show_writes() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Barriers 1 to 15 of a block: one side waits for `threads` in all, the other goes on.
__device__ inline void named_wait(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
__device__ inline void named_arrive(int barrier, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

}  // namespace trit::cuda::hopper
