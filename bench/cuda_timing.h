#pragma once
// What the benchmarks of kernels share. For .cu files.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device.h"

namespace trit::cuda {

// Median milliseconds of `repeats` launches of the graph of what `queue` queues, after two that do not count.
inline double median_ms(StreamHandle stream, const std::function<void(StreamHandle)>& queue,
                        int repeats) {
  const Graph graph(stream, queue);
  std::vector<double> ms;
  for (int i = 0; i < repeats + 2; ++i) {
    DeviceTimer timer;
    timer.start(stream);
    graph.launch(stream);
    timer.stop(stream);
    if (i >= 2) ms.push_back(timer.milliseconds());
  }
  std::sort(ms.begin(), ms.end());
  return ms[ms.size() / 2];
}

// What a product is compared with: all bytes read once.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    read_bytes(const uint4* from, int64_t count, uint32_t* out) {
  constexpr int kAtOnce = 8;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  uint32_t all = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += kAtOnce * step) {
    uint4 v[kAtOnce] = {};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j)
      if (i + j * step < count)
        asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(v[j].x), "=r"(v[j].y), "=r"(v[j].z), "=r"(v[j].w)
                     : "l"(from + i + j * step));
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) all ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (all == 0x12345678u) *out = all;
}
// bytes: a multiple of 16.
template <int kThreads>
void read(StreamHandle stream, const void* from, int64_t bytes, int blocks, uint32_t* out) {
  const int64_t most = (bytes / 16 + kThreads - 1) / kThreads;
  read_bytes<kThreads>
      <<<static_cast<unsigned>(std::min<int64_t>(blocks, most)), kThreads, 0, stream>>>(
          static_cast<const uint4*>(from), bytes / 16, out);
  TRIT_CUDA_LAUNCHED();
}

}  // namespace trit::cuda
