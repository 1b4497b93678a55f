#pragma once
// For .cu files: Hopper's instructions (PTX ISA 8, sm_90a) as functions: barriers in shared memory, the tensor copy
// engine, and wgmma over 8-bit integers with the left operand in registers.

#include <cstdint>

namespace trit::cuda::hopper {

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// ---- mbarrier ----

__device__ inline void barrier_init(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals));
}
__device__ inline void barrier_init_done() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ inline void barrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}
__device__ inline void barrier_expect(uint64_t* barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
__device__ inline void barrier_wait(uint64_t* barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\n"
      "bra again;\n"
      "over:\n"
      "}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// ---- The copy engine ----

// A box of a two-dimensional tensor map, from column and row on; what lies outside is zeros.
__device__ inline void copy_box(void* to, const void* map, int column, int row, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
      "%3}], [%4];" ::"r"(shared_address(to)),
      "l"(map), "r"(column), "r"(row), "r"(shared_address(barrier))
      : "memory");
}
__device__ inline void prefetch_map(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// ---- Clusters ----

__device__ inline uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
// By all threads of all blocks of the cluster.
__device__ inline void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}
// The same place in the shared memory of another block.
__device__ inline uint32_t shared_of(uint32_t address, uint32_t rank) {
  uint32_t there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
  return there;
}
__device__ inline int4 load_shared_of(uint32_t address) {
  int4 v;
  asm volatile("ld.shared::cluster.v4.s32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}

// ---- Kernels that overlap (programmatic dependent launch) ----

// The next kernel of the stream, when it was launched so, may take free multiprocessors now; its threads wait for
// this one's end with wait_for_kernel_before(), ahead of all that this one writes or reads.
__device__ inline void let_next_kernel_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
__device__ inline void wait_for_kernel_before() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// ---- Registers ----

// By all threads of a warpgroup whose block was launched with a limit: registers a thread from here on.
template <int kCount>
__device__ inline void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ inline void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

// ---- wgmma ----

// Rows of 128 bytes, eight of them in 1,024 aligned bytes, 16-byte parts permuted as a tensor map's 128-byte swizzle
// does it (PTX ISA, "Matrix descriptor"): start / 16, stride of eight rows / 16 in bits 32.., swizzle mode 1.
__device__ inline uint64_t swizzled_rows(const void* start) {
  return static_cast<uint64_t>((shared_address(start) & 0x3FFFF) >> 4) | uint64_t{1} << 16 |
         uint64_t{1024 / 16} << 32 | uint64_t{1} << 62;
}

// Keeps the computation of registers that wgmma reads before products_begin(), where compilers would move it past.
template <int kCount>
__device__ inline void pin(uint32_t (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(registers[i])::"memory");
}
// Between writing registers that wgmma reads and issuing it.
__device__ inline void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void products_end() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until at most kPending groups have not ended.
template <int kPending>
__device__ inline void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// c [64, kColumns] += a [64, 32] b [kColumns, 32]^T; a: codes (unsigned), b: int8.
template <int kColumns>
struct Product;

// The instruction of N columns with C registers of sums, named in `sums`; a0..b: the numbers of the operands behind.
#define TRIT_PRODUCT(N, C, sums, a0, a1, a2, a3, b0, ...)                                     \
  template <>                                                                                 \
  struct Product<N> {                                                                         \
    __device__ static void add(int32_t (&c)[C], const uint32_t (&a)[4], uint64_t b) {         \
      asm volatile(                                                                           \
          "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"                                          \
          "wgmma.mma_async.sync.aligned.m64n" #N "k32.s32.u8.s8 {" sums "}, {%" #a0 ", %" #a1 \
          ", %" #a2 ", %" #a3 "}, %" #b0 ", p;\n}\n"                                          \
          : __VA_ARGS__                                                                       \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                              \
    }                                                                                         \
  };
#define TRIT_C8(i)                                                                            \
  "+r"(c[i]), "+r"(c[i + 1]), "+r"(c[i + 2]), "+r"(c[i + 3]), "+r"(c[i + 4]), "+r"(c[i + 5]), \
      "+r"(c[i + 6]), "+r"(c[i + 7])
#define TRIT_S1 "%0, %1, %2, %3, %4, %5, %6, %7"
#define TRIT_S2 TRIT_S1 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define TRIT_S3 TRIT_S2 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define TRIT_S4 TRIT_S3 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define TRIT_S5 TRIT_S4 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define TRIT_S6 TRIT_S5 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define TRIT_S7 TRIT_S6 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define TRIT_S8 TRIT_S7 ", %56, %57, %58, %59, %60, %61, %62, %63"
#define TRIT_O1 TRIT_C8(0)
#define TRIT_O2 TRIT_O1, TRIT_C8(8)
#define TRIT_O3 TRIT_O2, TRIT_C8(16)
#define TRIT_O4 TRIT_O3, TRIT_C8(24)
#define TRIT_O5 TRIT_O4, TRIT_C8(32)
#define TRIT_O6 TRIT_O5, TRIT_C8(40)
#define TRIT_O7 TRIT_O6, TRIT_C8(48)
#define TRIT_O8 TRIT_O7, TRIT_C8(56)
TRIT_PRODUCT(16, 8, TRIT_S1, 8, 9, 10, 11, 12, TRIT_O1)
TRIT_PRODUCT(32, 16, TRIT_S2, 16, 17, 18, 19, 20, TRIT_O2)
TRIT_PRODUCT(48, 24, TRIT_S3, 24, 25, 26, 27, 28, TRIT_O3)
TRIT_PRODUCT(64, 32, TRIT_S4, 32, 33, 34, 35, 36, TRIT_O4)
TRIT_PRODUCT(80, 40, TRIT_S5, 40, 41, 42, 43, 44, TRIT_O5)
TRIT_PRODUCT(96, 48, TRIT_S6, 48, 49, 50, 51, 52, TRIT_O6)
TRIT_PRODUCT(112, 56, TRIT_S7, 56, 57, 58, 59, 60, TRIT_O7)
TRIT_PRODUCT(128, 64, TRIT_S8, 64, 65, 66, 67, 68, TRIT_O8)
#undef TRIT_PRODUCT
#undef TRIT_C8
#undef TRIT_S1
#undef TRIT_S2
#undef TRIT_S3
#undef TRIT_S4
#undef TRIT_S5
#undef TRIT_S6
#undef TRIT_S7
#undef TRIT_S8
#undef TRIT_O1
#undef TRIT_O2
#undef TRIT_O3
#undef TRIT_O4
#undef TRIT_O5
#undef TRIT_O6
#undef TRIT_O7
#undef TRIT_O8

}  // namespace trit::cuda::hopper
