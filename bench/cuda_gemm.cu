// Speed of the ternary product of many rows on an NVIDIA device: cuda_gemm [cuts | large].
//
// Random weights and activations; calls in a CUDA graph go round among copies of the weights that together are larger
// than the L2 cache. Medians of several graphs. With "cuts", all ways to cut the work are timed where T is small; with
// "large", T is.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/linear_large.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

// Codes 0..2 in every two bits, or bytes.
__global__ void fill_random(uint32_t* words, int64_t count, bool codes, uint32_t seed) {
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += threads) {
    uint64_t x = (static_cast<uint64_t>(i) + seed) * 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9ULL;
    uint32_t v = static_cast<uint32_t>(x >> 32);
    if (codes) {
      uint32_t trits = 0;
      for (int j = 0; j < 16; ++j, x = x * 6364136223846793005ULL + 1442695040888963407ULL)
        trits |= static_cast<uint32_t>((x >> 33) % 3) << (2 * j);
      v = trits;
    } else {
      for (int j = 0; j < 4; ++j)
        if ((v >> (8 * j) & 0xFF) == 0x80) v ^= 1U << (8 * j);
    }
    words[i] = v;
  }
}

struct Shape {
  int64_t N, K;
};

struct Data {
  Data(const Shape& s, int64_t T, StreamHandle stream) : shape(s) {
    const int64_t bytes = mma_bytes(s.N, s.K), stride = mma_blocks(s.K) * 128;
    copies = std::max<int64_t>(1, std::min<int64_t>(64, (int64_t{192} << 20) / bytes));
    tiles = DeviceMemory(copies * bytes);
    scales = DeviceMemory(s.N / 16 * 4);
    q = DeviceMemory(T * stride);
    step = DeviceMemory(T * 8);
    sum = DeviceMemory(T * 4);
    y = DeviceMemory(T * s.N * 4);
    fill_random<<<1024, 256, 0, stream>>>(tiles.as<uint32_t>(), copies * bytes / 4, true, 1);
    fill_random<<<1024, 256, 0, stream>>>(q.as<uint32_t>(), T * stride / 4, false, 7);
    TRIT_CUDA_LAUNCHED();
    fill(scales.data(), 0x3C, scales.bytes(), stream);
    fill(step.data(), 0x3F, step.bytes(), stream);
    fill(sum.data(), 0, sum.bytes(), stream);
  }
  large::Product product(int64_t copy, int64_t T, Epilogue epilogue) const {
    large::Product p;
    p.layer = {tiles.as<uint8_t>() + copy % copies * mma_bytes(shape.N, shape.K),
               scales.as<float>(), shape.N, shape.K};
    p.x = {q.as<int8_t>(), mma_blocks(shape.K) * 128, step.as<double>(), sum.as<int32_t>()};
    p.T = T;
    p.epilogue = epilogue;
    p.y = y.as<float>();
    p.y_stride = shape.N;
    return p;
  }
  Shape shape;
  int64_t copies = 1;
  DeviceMemory tiles, scales, q, step, sum, y;
};

// Microseconds of one product; a way multiplies.
template <class Way>
double microseconds(const Stream& stream, const Data& data, int64_t T, Epilogue epilogue,
                    const Way& way) {
  const double operations = 2.0 * static_cast<double>(data.shape.N * data.shape.K * T);
  const double guess = 4 + operations / 1.0e9;  // us, at 1,000 TOPS
  const int64_t calls = std::clamp<int64_t>(static_cast<int64_t>(3000 / guess), 2, 200);
  int64_t copy = 0;
  const Graph graph(stream.handle(), [&](StreamHandle s) {
    for (int64_t i = 0; i < calls; ++i) way(s, data.product(copy++, T, epilogue));
  });
  graph.launch(stream.handle());
  std::vector<double> all;
  DeviceTimer timer;
  for (int i = 0; i < 5; ++i) {
    timer.start(stream.handle());
    graph.launch(stream.handle());
    timer.stop(stream.handle());
    all.push_back(1e3 * timer.milliseconds() / static_cast<double>(calls));
  }
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

// All cuts that fit and are not far from the best.
void time_cuts(const Stream& stream, const Data& data, int64_t T, const large::Room& room) {
  struct Timed {
    double us;
    large::Cut cut;
  };
  std::vector<Timed> all;
  for (const int tokens : large::kTileTokens) {
    for (int splits = 1; splits <= large::kMostSplits; ++splits) {
      const int64_t tiles = (data.shape.N + 255) / 256 * ((T + tokens - 1) / tokens);
      if (tokens >= 2 * T || (splits > 1 && tiles > room.clusters[splits])) continue;
      if (splits == 1 && tiles > 8 * room.clusters[1]) continue;
      const large::Cut cut{tokens, splits};
      all.push_back({microseconds(stream, data, T, Epilogue::kStore,
                                  [&](StreamHandle s, const large::Product& p) {
                                    multiply_wgmma(s, p, cut);
                                  }),
                     cut});
    }
  }
  std::sort(all.begin(), all.end(), [](const Timed& a, const Timed& b) { return a.us < b.us; });
  std::printf("\n   ");
  for (size_t i = 0; i < all.size() && i < 6; ++i)
    std::printf(" %d/%d %.1f", all[i].cut.tokens, all[i].cut.splits, all[i].us);
  std::printf("\n");
}

void run(bool cuts, bool large_only) {
  const DeviceInfo device = devices().at(0);
  use_device(device.index);
  std::printf("%s, %d multiprocessors\n", device.name.c_str(), device.multiprocessors);
  const large::Room room = large::room_on_device();
  for (const int clusters : room.clusters) std::printf(" %d", clusters);
  std::puts(" clusters");
  const Stream stream;
  const auto chosen = [](StreamHandle s, const large::Product& p) {
    ternary_linear_large(s, p.layer, p.x, p.T, p.epilogue, p.y, p.y_stride, {});
  };
  constexpr Shape kShapes[] = {{2560, 2560},  {13824, 2560}, {2560, 6912},  {4096, 4096},
                               {22016, 4096}, {8192, 8192},  {16384, 16384}};
  for (const Shape& shape : kShapes) {
    const Data data(shape, 8192, stream.handle());
    std::printf("%lld x %lld:", static_cast<long long>(shape.N), static_cast<long long>(shape.K));
    for (const int64_t T : {16, 64, 256, 512, 2048, 8192}) {
      if (large_only && T < 2048) continue;
      const double us = microseconds(stream, data, T, Epilogue::kStore, chosen);
      const double tops = 2e-6 * static_cast<double>(shape.N * shape.K * T) / us;
      const large::Cut cut = large::choose_cut(shape.N, shape.K, T, room);
      std::printf("  T %lld %.1f us %.0f TOPS (%d/%d)", static_cast<long long>(T), us, tops,
                  cut.tokens, cut.splits);
      if (cuts && T <= 2048) time_cuts(stream, data, T, room);
    }
    std::printf("\n");
    if (shape.N != 13824) continue;
    for (const Epilogue epilogue : {Epilogue::kAdd, Epilogue::kSiluMul, Epilogue::kRelu2Mul}) {
      const double us = microseconds(stream, data, 8192, epilogue, chosen);
      std::printf("  epilogue %d: %.0f TOPS\n", static_cast<int>(epilogue),
                  2e-6 * static_cast<double>(shape.N * shape.K * 8192) / us);
    }
  }
}

}  // namespace
}  // namespace trit::cuda

int main(int count, char** arguments) {
  if (trit::cuda::devices().empty()) {
    std::puts("no NVIDIA device");
    return 0;
  }
  const auto asked = [&](const char* word) {
    return count > 1 && std::strcmp(arguments[1], word) == 0;
  };
  trit::cuda::run(asked("cuts"), asked("large"));
}
