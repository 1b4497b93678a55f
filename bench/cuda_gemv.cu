// Speed of ternary products of up to 8 rows on an NVIDIA device: cuda_gemv [cuts].
//
// Calls in a CUDA graph go round among copies of the weights that together take 512 MB (cold) or stay on one (hot),
// beside a kernel that only reads as many bytes, and the quantising of rows beside them or in them. Medians. With
// "cuts", the best ways to cut the work of a shape are shown.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <vector>

#include "cuda_timing.h"
#include "kernels/cuda/chain.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/linear_small.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

// Codes 0..2 in every two bits, or floats in -1..1.
__global__ void fill_random(uint32_t* words, int64_t count, bool codes) {
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += threads) {
    uint64_t x = static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9ULL;
    uint32_t v = __float_as_uint(static_cast<float>(static_cast<int32_t>(x >> 32)) * 0x1p-31f);
    if (codes) {
      v = 0;
      for (int j = 0; j < 16; ++j, x = x * 6364136223846793005ULL + 1442695040888963407ULL)
        v |= static_cast<uint32_t>((x >> 33) % 3) << (2 * j);
    }
    words[i] = v;
  }
}

__global__ void __launch_bounds__(512) empty_kernel() { wait_for_previous(); }

struct Shape {
  int64_t N, K;
  Epilogue epilogue;
};
constexpr Shape kShapes[] = {{2560, 2560, Epilogue::kAdd},       {3840, 2560, Epilogue::kStore},
                             {13824, 2560, Epilogue::kRelu2Mul}, {2560, 6912, Epilogue::kAdd},
                             {1536, 1536, Epilogue::kAdd},       {8192, 1536, Epilogue::kSiluMul},
                             {3200, 3200, Epilogue::kAdd},       {9600, 3200, Epilogue::kStore},
                             {20480, 3200, Epilogue::kSiluMul},  {3200, 10240, Epilogue::kAdd},
                             {4096, 4096, Epilogue::kAdd},       {22016, 4096, Epilogue::kSiluMul},
                             {4096, 11008, Epilogue::kAdd},      {5120, 27648, Epilogue::kAdd},
                             {55296, 5120, Epilogue::kSiluMul},  {57344, 8192, Epilogue::kSiluMul},
                             {8192, 28672, Epilogue::kAdd}};
using small::of_pairs;

constexpr int64_t kPool = int64_t{512} << 20;

struct Bench {
  Stream stream;
  DeviceMemory pool{kPool}, scales{1 << 16}, x{8 * 32768 * 4}, q{8 * 32768}, step{64}, sum{32},
      y{8 * 65536 * 4}, out{4}, sums{8 * 32768};
  Shape shape{};

  Bench() {
    fill_random<<<2048, 256, 0, stream.handle()>>>(pool.as<uint32_t>(), kPool / 4, true);
    fill_random<<<256, 256, 0, stream.handle()>>>(x.as<uint32_t>(), x.bytes() / 4, false);
    TRIT_CUDA_LAUNCHED();
    fill(scales.data(), 0x3C, scales.bytes(), stream.handle());
    fill(y.data(), 0, y.bytes(), stream.handle());
    fill(sums.data(), 0x3F, sums.bytes(), stream.handle());
  }
  int64_t bytes() const { return mma_bytes(shape.N, shape.K); }
  small::Product product(int64_t copy, int64_t T) const {
    const int64_t stride = mma_blocks(shape.K) * 128;
    return {{pool.as<uint8_t>() + copy * bytes(), scales.as<float>(), shape.N, shape.K},
            {q.as<int8_t>(), stride, step.as<double>(), sum.as<int32_t>()},
            T,
            shape.epilogue,
            y.as<float>(),
            of_pairs(shape.epilogue) ? shape.N / 2 : shape.N};
  }
  void quantise(StreamHandle s, int64_t T) const {
    quantize_rows(s, x.as<float>(), shape.K, T, shape.K, norm, {}, product(0, T).x, {});
  }
  Norm norm{true, nullptr, 1e-5f};

  // Microseconds of a call(stream, copy).
  double time(bool cold, const std::function<void(StreamHandle, int64_t)>& call) const {
    const int64_t copies = kPool / bytes(),
                  calls = std::clamp<int64_t>(copies, 64, cold ? 256 : 64);
    const auto queue = [&](StreamHandle s) {
      for (int64_t i = 0; i < calls; ++i) call(s, cold ? i % copies : 0);
    };
    return 1e3 * median_ms(stream.handle(), queue, 3) / static_cast<double>(calls);
  }
  double read(bool cold) const {
    double best = 1e9;
    for (const int blocks : {132, 264, 528})
      best = std::min(best, time(cold, [&](StreamHandle s, int64_t copy) {
                        cuda::read<512>(s, pool.data() + copy * bytes(), bytes(), blocks,
                                        out.as<uint32_t>());
                      }));
    return best;
  }
  double multiply(bool cold, int64_t T) const {
    return time(cold, [&](StreamHandle s, int64_t copy) {
      const small::Product p = product(copy, T);
      ternary_linear_small(s, p.layer, p.x, T, p.epilogue, p.y, p.y_stride, {});
    });
  }
  // Of T rows that are quantised by a kernel of their own.
  double with_rows(int64_t T) const {
    return time(true, [&](StreamHandle s, int64_t copy) {
      const small::Product p = product(copy, T);
      quantise(s, T);
      ternary_linear_small(s, p.layer, p.x, T, p.epilogue, p.y, p.y_stride, {});
    });
  }
  // Of one row that the product quantises itself, or with what is handed over and left behind.
  double single(bool handed) const {
    const Handed in{x.as<float>(), sums.as<double>()},
        out{y.as<float>() + 65536, sums.as<double>() + 8192};
    return time(true, [&](StreamHandle s, int64_t copy) {
      const small::Product p = product(copy, 1);
      ternary_linear_single(s, p.layer, {x.as<float>(), norm, handed ? in : Handed{}}, p.epilogue,
                            {p.y, nullptr, handed ? out : Handed{}}, {});
    });
  }
  int multiprocessors = 132;

  void cuts(int64_t T, int show) const {
    struct Timed {
      double us;
      small::Cut cut;
    };
    std::vector<Timed> all;
    const int64_t units = shape.N / (of_pairs(shape.epilogue) ? 32 : 16);
    for (const int warps : {8, 16}) {
      for (const int depth : small::kDepths) {
        if (!small::fits(shape.K, T, warps, 1, device_limits().shared_bytes)) continue;
        for (const int each : {1, 2, 3, 4, 100}) {
          const small::Cut cut{warps, depth,
                               static_cast<int>(std::min<int64_t>(units, each * multiprocessors))};
          if (each > 1 && cut.blocks == units && units <= (each - 1) * multiprocessors &&
              each != 100)
            continue;
          if (each == 100 && units <= 4 * multiprocessors) continue;
          double us = 1e9;
          try {
            us = time(true, [&](StreamHandle s, int64_t copy) {
              small::multiply(s, product(copy, T), cut);
            });
          } catch (...) {
            cudaGetLastError();
          }
          all.push_back({us, cut});
        }
      }
    }
    std::sort(all.begin(), all.end(), [](const Timed& a, const Timed& b) { return a.us < b.us; });
    const small::Cut chosen =
        small::choose_cut(product(0, T).layer, T, of_pairs(shape.epilogue), device_limits());
    std::printf("  T %d chosen %d/%d/%d; best", static_cast<int>(T), chosen.warps, chosen.depth,
                chosen.blocks);
    for (int i = 0; i < show && i < static_cast<int>(all.size()); ++i)
      std::printf(" %.2f %d/%d/%d", all[static_cast<size_t>(i)].us,
                  all[static_cast<size_t>(i)].cut.warps, all[static_cast<size_t>(i)].cut.depth,
                  all[static_cast<size_t>(i)].cut.blocks);
    std::printf("\n");
  }
};

void run(bool cuts) {
  const DeviceInfo device = devices().at(0);
  std::printf("%s, %d multiprocessors\n", device.name.c_str(), device.multiprocessors);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Bench bench;
  bench.multiprocessors = device.multiprocessors;
  std::printf(
      "us: N x K, MB | read cold hot | T = 1 2 4 8 cold (ratio to read; T = 1: GB/s) | T = 1 "
      "hot | quantise + multiply T = 1 2 8 | single, handed over\n");
  for (const Shape& shape : kShapes) {
    bench.shape = shape;
    bench.quantise(bench.stream.handle(), 8);
    const double cold = bench.read(true), hot = bench.read(false);
    std::printf("%5d x %5d %6.2f | %6.2f %6.2f |", static_cast<int>(shape.N),
                static_cast<int>(shape.K), 1e-6 * static_cast<double>(bench.bytes()), cold, hot);
    for (const int64_t T : {1, 2, 4, 8}) {
      double us = 0;
      try {
        us = bench.multiply(true, T);
      } catch (...) {
        cudaGetLastError();
      }
      std::printf(" %6.2f (%.2f)", us, us / cold);
      if (T == 1) std::printf(" %4.0f", 1e-3 * static_cast<double>(bench.bytes()) / us);
    }
    std::printf(" | %6.2f |", bench.multiply(false, 1));
    for (const int64_t T : {1, 2, 8}) std::printf(" %6.2f", bench.with_rows(T));
    std::printf(" | %6.2f %6.2f\n", bench.single(false), bench.single(true));
    if (cuts) {
      bench.cuts(1, 6);
      bench.cuts(8, 4);
    }
  }
  for (const int blocks : {160, 264})
    std::printf("empty chain of %d: %.2f\n", blocks,
                bench.time(false, [&](StreamHandle s, int64_t) {
                  launch_chained(s, blocks, 512, 0, empty_kernel);
                }));
  std::printf("quantise rows (norm), us: K");
  for (const int64_t K : {1536, 2560, 4096, 6912, 8192, 13824, 28672}) {
    bench.shape = {16, K, Epilogue::kStore};
    std::printf(" | %d:", static_cast<int>(K));
    for (const int64_t T : {1, 8})
      std::printf(" %.2f",
                  bench.time(false, [&](StreamHandle s, int64_t) { bench.quantise(s, T); }));
  }
  std::printf("\n");
}

}  // namespace
}  // namespace trit::cuda

int main(int argc, char** argv) {
  try {
    trit::cuda::run(argc > 1 && std::strcmp(argv[1], "cuts") == 0);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
