#include "kernels/cuda/peers.h"

#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kPairs = kPeerFloats / 2;  // of values, in 16 bytes

struct Exchange {
  PeerInboxes inboxes;
  const float* part;
  int64_t part_stride, pairs, columns;  // pairs: of all rows
  bool add;
  float* full;
  int64_t full_stride;
};

inline __device__ void write_16(uint4* to, const uint4& v) {
  asm volatile("st.volatile.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v.x), "r"(v.y),
               "r"(v.z), "r"(v.w)
               : "memory");
}
inline __device__ uint4 read_16(const uint4* from) {
  uint4 v;
  asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from)
               : "memory");
  return v;
}

inline __device__ uint4* inbox_of(const PeerInboxes& in, int rank) {
  return reinterpret_cast<uint4*>(in.of[rank]);
}

inline __device__ void place(const Exchange& e, int64_t t, int64_t column, int64_t end, float v) {
  if (column >= end) return;  // the part was filled up
  float& to = e.full[t * e.full_stride + column];
  to = e.add ? __fadd_rn(to, v) : v;
}

__global__ void __launch_bounds__(kThreads) exchange_kernel(const __grid_constant__ Exchange e) {
  wait_for_previous();
  const PeerInboxes& in = e.inboxes;
  const uint32_t number = *reinterpret_cast<volatile uint32_t*>(in.counters) + 1;
  const int64_t half = (number & 1) * in.ranks * kPairs;
  const int64_t row = e.part_stride / 2, step = static_cast<int64_t>(gridDim.x) * kThreads;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;

  for (int64_t i = first; i < e.pairs; i += step) {
    const uint2 v = __ldcg(reinterpret_cast<const uint2*>(e.part) + i);
    const uint4 sent{v.x, number, v.y, number};
    for (int r = 0; r < in.ranks; ++r)
      if (r != in.rank) write_16(inbox_of(in, r) + half + in.rank * kPairs + i, sent);
  }
  for (int64_t i = first; i < e.pairs; i += step) {
    const int64_t t = i / row, c = 2 * (i - t * row);
    for (int r = 0; r < in.ranks; ++r) {
      uint2 v;
      if (r == in.rank) {
        v = __ldcg(reinterpret_cast<const uint2*>(e.part) + i);
      } else {
        const uint4* from = inbox_of(in, in.rank) + half + r * kPairs + i;
        uint4 come = read_16(from);
        while (come.y != number || come.w != number) come = read_16(from);
        v = {come.x, come.z};
      }
      const int64_t begin = e.columns * r / in.ranks, end = e.columns * (r + 1) / in.ranks;
      place(e, t, begin + c, end, __uint_as_float(v.x));
      place(e, t, begin + c + 1, end, __uint_as_float(v.y));
    }
  }

  // The last block counts the exchange: all have read its number.
  __syncthreads();
  if (threadIdx.x == 0 && atomicAdd(in.counters + 1, 1) == gridDim.x - 1) {
    in.counters[1] = 0;
    in.counters[0] = number;
  }
}

}  // namespace

void exchange_columns(StreamHandle stream, const PeerInboxes& inboxes, const float* part,
                      int64_t part_stride, int64_t T, int64_t columns, Epilogue epilogue,
                      float* full, int64_t full_stride) {
  const Exchange e{
      inboxes, part,       part_stride, T * part_stride / 2, columns, epilogue == Epilogue::kAdd,
      full,    full_stride};
  // All blocks are on the device together, so that none waits for one that has not begun.
  const int64_t blocks = (e.pairs + kThreads - 1) / kThreads;
  const int64_t most = device_limits().multiprocessors;
  launch_chained(stream, dim3(static_cast<unsigned>(blocks < most ? blocks : most)), dim3(kThreads),
                 0, exchange_kernel, e);
}

}  // namespace trit::cuda
