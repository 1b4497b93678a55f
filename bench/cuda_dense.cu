// Dense layers on an NVIDIA device: heads, and all matrices of a token of LLaMA in half floats, beside the time of
// kernels that only read the bytes. Weights are read from memory, not from a cache: every call has its own, as far
// as the device's memory goes. All in graphs; medians.
//
//   cuda_dense [heads] [tokens] [layers] [top] [many]

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "cuda_timing.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

constexpr double kGiga = 1e9;

// Bytes of a form that are finite weights of about 1 / 64: halves (as all blocks' scales are) between 2^-7 and 2^-5, either
// sign; float32 the same way in its upper half.
__global__ void make_weights(uint32_t* words, int64_t count, bool single) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    uint32_t v = static_cast<uint32_t>(i) * 2654435761u;
    v ^= v >> 15;
    v *= 2246822519u;
    v ^= v >> 13;
    words[i] = single ? (v & 0x80FFFFFFu) | 0x3C000000u : (v & 0x87FF87FFu) | 0x20002000u;
  }
}

struct Device {
  Stream stream;
  DeviceMemory weights;
  DeviceMemory x{int64_t{8} * 65536 * 4}, y{int64_t{8} * 262144 * 4}, z{int64_t{8} * 65536 * 4};
  int blocks = 0;
};

void read(const Device& d, StreamHandle s, const void* from, int64_t bytes) {
  cuda::read<256>(s, from, bytes, d.blocks * 6, d.z.as<uint32_t>());
}
double median_ms(const Device& d, const std::function<void(StreamHandle)>& queue, int repeats) {
  return cuda::median_ms(d.stream.handle(), queue, repeats);
}

// Hands out weights one after the other, and from the beginning again at the end.
struct Shelf {
  const Device& d;
  int64_t at = 0;
  const void* take(int64_t bytes) {
    if (at + bytes > d.weights.bytes()) at = 0;
    const void* p = d.weights.data() + at;
    at += (bytes + 255) / 256 * 256;
    return p;
  }
};

const char* name_of(DenseForm form) {
  static const char* const names[] = {"f32", "f16", "bf16", "q8_0", "q6_k", "q4_0", "q4_k"};
  return names[static_cast<int>(form)];
}

void fill_weights(const Device& d, bool single) {
  make_weights<<<1024, 256, 0, d.stream.handle()>>>(d.weights.as<uint32_t>(), d.weights.bytes() / 4,
                                                    single);
  TRIT_CUDA_LAUNCHED();
}

void heads(const Device& d) {
  struct Shape {
    int64_t N, K;
  };
  std::printf("\nhead: us of a call, cold | read of the same bytes | ratio, T = 1 2 4 8\n");
  for (const DenseForm form :
       {DenseForm::kF16, DenseForm::kBF16, DenseForm::kQ6_K, DenseForm::kQ8_0, DenseForm::kF32}) {
    fill_weights(d, form == DenseForm::kF32);
    for (const Shape shape : {Shape{32000, 1536},
                              {32000, 2048},
                              {32000, 3200},
                              {32000, 4096},
                              {32000, 5120},
                              {32000, 8192},
                              {128256, 2560}}) {
      if (form == DenseForm::kQ6_K && shape.K % 256 != 0) continue;
      if (form != DenseForm::kF16 && shape.K != 2560 && shape.K != 4096) continue;
      const int64_t bytes = dense_row_bytes(form, shape.K) * shape.N;
      constexpr int kCalls = 10;
      const auto calls = [&](const std::function<void(StreamHandle, const void*)>& call) {
        Shelf shelf{d};
        return 1e3 / kCalls *
               median_ms(
                   d,
                   [&](StreamHandle s) {
                     for (int i = 0; i < kCalls; ++i) call(s, shelf.take(bytes));
                   },
                   7);
      };
      const double only = calls([&](StreamHandle s, const void* w) { read(d, s, w, bytes); });
      std::printf("%-5s %6ld x %-5ld", name_of(form), shape.N, shape.K);
      for (const int64_t T : {1, 2, 4, 8}) {
        const double us = calls([&](StreamHandle s, const void* w) {
          dense_linear(s, {w, form, shape.N, shape.K}, d.x.as<float>(), shape.K, T,
                       Epilogue::kStore, d.y.as<float>(), shape.N, {});
        });
        if (T == 1) std::printf(" %8.2f | %8.2f |", us, only);
        std::printf(" %5.2f", us / only);
      }
      std::printf("\n");
    }
  }
}

struct Llama {
  const char* name;
  int64_t hidden, layers, kv, ffn;
};
constexpr Llama kModels[] = {{"700M", 1536, 24, 1536, 4096}, {"1.3B", 2048, 24, 2048, 5460},
                             {"3B", 3200, 26, 3200, 8640},   {"7B", 4096, 32, 4096, 11008},
                             {"13B", 5120, 40, 5120, 13824}, {"70B", 8192, 80, 1024, 28672}};

struct Matrix {
  int64_t N, K;
  Epilogue epilogue;
};

void tokens(const Device& d) {
  fill_weights(d, false);
  std::printf(
      "\ntoken in f16, matrices: ms T = 1 | with norms T = 1 2 8 | bytes / read rate | a read per "
      "matrix\n");
  const int64_t most = std::min<int64_t>(d.weights.bytes(), int64_t{16} << 30);
  const double whole = median_ms(
      d, [&](StreamHandle s) { read(d, s, d.weights.data(), most); }, 7);
  const double rate = static_cast<double>(most) / whole * 1e-6;
  std::printf("read of %.1f GB: %.0f GB/s\n", static_cast<double>(most) / kGiga, rate);
  for (const Llama& m : kModels) {
    const int64_t ffn = m.ffn / 16 * 16;
    const Matrix layer[] = {{m.hidden + 2 * m.kv, m.hidden, Epilogue::kStore},
                            {m.hidden, m.hidden, Epilogue::kAdd},
                            {2 * ffn, m.hidden, Epilogue::kSiluMul},
                            {m.hidden, ffn, Epilogue::kAdd}};
    int64_t bytes = m.hidden * 32000 * 2;
    for (const Matrix& w : layer) bytes += m.layers * w.N * w.K * 2;
    float* const hidden = d.x.as<float>();
    const auto token = [&](int64_t T, bool with_norms) {
      const Norm none, there{.there = with_norms, .gain = d.x.as<float>() + 65536};
      return median_ms(
          d,
          [&](StreamHandle s) {
            Shelf shelf{d};
            const auto product = [&](const Norm& norm, const Matrix& w, const float* x, float* y) {
              const int64_t outputs = w.epilogue == Epilogue::kSiluMul ? w.N / 2 : w.N;
              dense_linear_fused(s, norm, {shelf.take(w.N * w.K * 2), DenseForm::kF16, w.N, w.K}, x,
                                 w.K, T, w.epilogue, y, outputs, {});
            };
            for (int64_t l = 0; l < m.layers; ++l) {
              product(there, layer[0], hidden, d.y.as<float>());
              product(none, layer[1], d.y.as<float>(), hidden);
              product(there, layer[2], hidden, d.z.as<float>());
              product(none, layer[3], d.z.as<float>(), hidden);
            }
            product(there, {32000, m.hidden, Epilogue::kStore}, hidden, d.y.as<float>());
          },
          7);
    };
    const double reads = median_ms(
        d,
        [&](StreamHandle s) {
          Shelf shelf{d};
          for (int64_t l = 0; l < m.layers; ++l)
            for (const Matrix& w : layer) read(d, s, shelf.take(w.N * w.K * 2), w.N * w.K * 2);
          read(d, s, shelf.take(m.hidden * 64000), m.hidden * 64000);
        },
        7);
    const double bare = token(1, false), one = token(1, true);
    const double two = token(2, true), eight = token(8, true);
    const double floor = static_cast<double>(bytes) / rate * 1e-6;
    std::printf("%-5s %7.3f | %7.3f %7.3f %7.3f | %7.3f (%.0f %%) | %7.3f (%.2fx)\n", m.name, bare,
                one, two, eight, floor, 100 * floor / one, reads, one / reads);
  }
}

// Each matrix of a layer by itself, over as much memory as there is.
void layers(const Device& d) {
  fill_weights(d, false);
  std::printf("\nmatrices in f16, T = 1: us (GB/s), and of a read\n");
  for (const Llama& m : kModels) {
    const int64_t ffn = m.ffn / 16 * 16;
    std::printf("%-5s", m.name);
    for (const Matrix w : {Matrix{m.hidden + 2 * m.kv, m.hidden, Epilogue::kStore},
                           {m.hidden, m.hidden, Epilogue::kAdd},
                           {2 * ffn, m.hidden, Epilogue::kSiluMul},
                           {m.hidden, ffn, Epilogue::kAdd}}) {
      const int64_t bytes = w.N * w.K * 2;
      const int64_t calls = std::min<int64_t>(100, (int64_t{30} << 30) / bytes);
      const auto us_of = [&](const std::function<void(StreamHandle, const void*)>& call) {
        Shelf shelf{d};
        return 1e3 / static_cast<double>(calls) *
               median_ms(
                   d,
                   [&](StreamHandle s) {
                     for (int64_t i = 0; i < calls; ++i) call(s, shelf.take(bytes));
                   },
                   5);
      };
      const double us = us_of([&](StreamHandle s, const void* p) {
        dense_linear(s, {p, DenseForm::kF16, w.N, w.K}, d.x.as<float>(), w.K, 1, w.epilogue,
                     d.y.as<float>(), w.N, {});
      });
      const double only = us_of([&](StreamHandle s, const void* p) { read(d, s, p, bytes); });
      std::printf("  %7.2f (%4.0f) %7.2f", us, 1e-3 * static_cast<double>(bytes) / us, only);
    }
    std::printf("\n");
  }
}

void top(const Device& d) {
  fill_weights(d, true);
  std::printf("\ntop_logits, us: k = 1, 40, 64\n");
  const DeviceMemory scratch(int64_t{64} << 20), ids(int64_t{1} << 20), values(int64_t{1} << 20);
  for (const int64_t V : {32000, 128256}) {
    for (const int64_t T : {1, 8, 64}) {
      std::printf("V %6ld T %2ld", V, T);
      for (const int64_t k : {1, 40, 64}) {
        const double ms = median_ms(
            d,
            [&](StreamHandle s) {
              for (int i = 0; i < 10; ++i)
                top_logits(s, d.weights.as<float>() + i * T * V, T, V, k, ids.as<int32_t>(),
                           values.as<float>(), {scratch.data(), scratch.bytes()});
            },
            7);
        std::printf(" %7.2f", 100 * ms);
      }
      std::printf("\n");
    }
  }
}

void many(const Device& d) {
  fill_weights(d, false);
  std::printf("\nmany rows, TFLOP/s of f16 (cuBLASLt): T = 16, 64, 512, 2048\n");
  const DeviceMemory x(int64_t{2048} * 16384 * 4), y(int64_t{2048} * 32768 * 4);
  for (const Matrix w : {Matrix{4096, 4096, Epilogue::kAdd},
                         {22016, 4096, Epilogue::kSiluMul},
                         {4096, 11008, Epilogue::kAdd},
                         {32000, 4096, Epilogue::kStore}}) {
    std::printf("%6ld x %-5ld", w.N, w.K);
    for (const int64_t T : {16, 64, 512, 2048}) {
      const DenseLayer layer{d.weights.data(), DenseForm::kF16, w.N, w.K};
      const DeviceMemory scratch(dense_scratch_bytes(layer, T, w.epilogue));
      const double ms = median_ms(
          d,
          [&](StreamHandle s) {
            dense_linear(s, layer, x.as<float>(), w.K, T, w.epilogue, y.as<float>(), w.N,
                         {scratch.data(), scratch.bytes()});
          },
          7);
      std::printf(" %6.0f", 2e-9 * static_cast<double>(T * w.N * w.K) / ms);
    }
    std::printf("\n");
  }
}

int run(int argc, char** argv) {
  if (devices().empty()) {
    std::printf("no NVIDIA device\n");
    return 0;
  }
  const DeviceInfo info = devices().front();
  use_device(info.index);
  size_t left = 0, all = 0;
  TRIT_CUDA(cudaMemGetInfo(&left, &all));
  Device d;
  d.blocks = info.multiprocessors;
  d.weights = DeviceMemory(
      std::min<int64_t>(static_cast<int64_t>(left) - (int64_t{4} << 30), int64_t{36} << 30));
  make_weights<<<1024, 256, 0, d.stream.handle()>>>(d.x.as<uint32_t>(), d.x.bytes() / 4, true);
  TRIT_CUDA_LAUNCHED();
  std::printf("%s, %d multiprocessors\n", info.name.c_str(), info.multiprocessors);
  const auto wanted = [&](const char* name) {
    return argc < 2 || std::any_of(argv + 1, argv + argc,
                                   [&](const char* a) { return std::strcmp(a, name) == 0; });
  };
  if (wanted("heads")) heads(d);
  if (wanted("tokens")) tokens(d);
  if (wanted("layers")) layers(d);
  if (wanted("top")) top(d);
  if (wanted("many")) many(d);
  return 0;
}

}  // namespace
}  // namespace trit::cuda

int main(int argc, char** argv) { return trit::cuda::run(argc, argv); }
