// Speed of the kernels of a training step on an NVIDIA device: cuda_training [part of a kernel's name].
//
// Calls in CUDA graphs, medians. Activations are larger than the second cache. GB/s: what a kernel must read and write
// once, as a share of the rate at which memory is read; attention: products of the causal half, forward 2, backward 5 of them.

#include <cuda_bf16.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "cuda_timing.h"
#include "kernels/cuda/training.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {
namespace {

constexpr int64_t kT = 2048;

struct Shape {
  const char* name;
  int64_t B, C, F, H, D, V, layers;
};
constexpr Shape kShapes[] = {{"350M", 8, 1024, 2752, 16, 64, 32000, 24},
                             {"1.3B", 4, 2048, 5460, 32, 64, 32000, 24}};

__global__ void fill_kernel(float* f, __nv_bfloat16* h, int64_t count, float size) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    uint64_t x = static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9ULL;
    const float v = size * static_cast<float>(static_cast<int32_t>(x >> 32)) * 0x1p-31f;
    if (f != nullptr) f[i] = v;
    if (h != nullptr) h[i] = __float2bfloat16_rn(v);
  }
}

struct Bench {
  Stream stream;
  const char* only;
  double read_rate = 0;  // bytes a ms

  DeviceMemory halves(int64_t count, float size = 1.0f) {
    DeviceMemory memory(2 * count);
    fill_kernel<<<1024, 256, 0, stream.handle()>>>(nullptr, memory.as<__nv_bfloat16>(), count,
                                                   size);
    return memory;
  }
  DeviceMemory floats(int64_t count, float size = 1.0f) {
    DeviceMemory memory(4 * count);
    fill_kernel<<<1024, 256, 0, stream.handle()>>>(memory.as<float>(), nullptr, count, size);
    return memory;
  }
  void measure_read() {
    const int64_t bytes = int64_t{4} << 30;
    const DeviceMemory memory(bytes), out(4);
    fill(memory.data(), 1, bytes, stream.handle());
    const double ms = median_ms(
        stream.handle(),
        [&](StreamHandle s) { read_all(s, memory.data(), bytes, out.as<uint32_t>()); }, 7);
    read_rate = static_cast<double>(bytes) / ms;
    std::printf("read: %.0f GB/s\n", read_rate / 1e6);
  }
  void line(const char* shape, const char* name, double bytes, double flops,
            const std::function<void(StreamHandle)>& queue) {
    if (only != nullptr && std::strstr(name, only) == nullptr) return;
    const double ms = median_ms(stream.handle(), queue, 7);
    std::printf("%s %-26s %9.1f us", shape, name, ms * 1e3);
    if (flops > 0)
      std::printf("  %6.0f TFLOPS (%.0f %% of 989)\n", flops / ms / 1e9, flops / ms / 9.89e9);
    else
      std::printf("  %6.0f GB/s (%.0f %% of the read)\n", bytes / ms / 1e6,
                  100 * bytes / ms / read_rate);
    std::fflush(stdout);
  }

  void rows(const Shape& z);
  void attention(const Shape& z);
  void optimizer(const Shape& z);
};

Rows half_rows(const DeviceMemory& memory, int64_t K) { return {memory.data(), K, Float::kBF16}; }

void Bench::rows(const Shape& z) {
  const int64_t N = z.B * kT, C = z.C, F = z.F, NC = N * C, NF = N * F;
  const int64_t S = (F + 15) / 16 * 16, NS = N * S;  // rows of F start at 16 bytes
  const DeviceMemory x = halves(NC), dy = halves(NC), y(2 * NC), wide = floats(NC), wide2(4 * NC),
                     gain = floats(F), dgain = floats(F), r(4 * N), q(NC), step(8 * N), sum(4 * N),
                     memory(norm_scratch_bytes(F)), gu = halves(2 * NS), dgu(4 * NS),
                     m = halves(NS), m2(2 * NS), qf(N * (F + 127) / 128 * 128 + N * 128);
  const Scratch scratch{.memory = memory.data(), .bytes = memory.bytes()};
  const QuantizedRows out{q.as<int8_t>(), C, step.as<double>(), sum.as<int32_t>()};
  const QuantizedRows out_f{qf.as<int8_t>(), (F + 127) / 128 * 128, step.as<double>(),
                            sum.as<int32_t>()};
  const Norm norm{true, gain.as<float>(), 1e-5f};
  const Rows xr = half_rows(x, C), yr = half_rows(y, C), dyr = half_rows(dy, C);
  const Rows wr{wide.data(), C}, w2{wide2.data(), C},
      gr = half_rows(gu, 2 * S), dgr = half_rows(dgu, 2 * S), mr = half_rows(m, S);
  const auto nc = static_cast<double>(NC), nf = static_cast<double>(NF);
  const char* n = z.name;
  line(n, "rmsnorm f32 to bf16", 6 * nc, 0, [&](StreamHandle s) {
    rmsnorm_forward(s, wr, N, C, gain.as<float>(), 1e-5f, yr, r.as<float>());
  });
  line(n, "rmsnorm bf16", 4 * nc, 0, [&](StreamHandle s) {
    rmsnorm_forward(s, xr, N, C, gain.as<float>(), 1e-5f, yr, r.as<float>());
  });
  line(n, "rmsnorm backward dx +=", 8 * nc, 0, [&](StreamHandle s) {
    rmsnorm_backward(s, xr, r.as<float>(), N, C, gain.as<float>(), dyr, yr, true, dgain.as<float>(),
                     scratch);
  });
  line(n, "rmsnorm backward f32 dx +=", 14 * nc, 0, [&](StreamHandle s) {
    rmsnorm_backward(s, wr, r.as<float>(), N, C, gain.as<float>(), dyr, w2, true, dgain.as<float>(),
                     scratch);
  });
  line(n, "rmsnorm backward F bf16", 6 * nf, 0, [&](StreamHandle s) {
    rmsnorm_backward(s, mr, r.as<float>(), N, F, gain.as<float>(), mr, half_rows(dgu, S), false,
                     dgain.as<float>(), scratch);
  });
  line(n, "norm and quantise f32", 5 * nc, 0, [&](StreamHandle s) {
    quantize_activations(s, wr, N, C, norm, {}, out, {{}, r.as<float>(), nullptr}, scratch);
  });
  line(n, "norm and quantise bf16", 3 * nc, 0, [&](StreamHandle s) {
    quantize_activations(s, xr, N, C, norm, {}, out, {{}, r.as<float>(), nullptr}, scratch);
  });
  line(n, "norm and quantise bf16 + u", 5 * nc, 0, [&](StreamHandle s) {
    quantize_activations(s, xr, N, C, norm, {}, out, {yr, r.as<float>(), nullptr}, scratch);
  });
  line(n, "norm and quantise F + u", 5 * nf, 0, [&](StreamHandle s) {
    quantize_activations(s, mr, N, F, norm, {}, out_f, {half_rows(dgu, S), r.as<float>(), nullptr},
                         scratch);
  });
  line(n, "dequantise", 3 * nc, 0,
       [&](StreamHandle s) { dequantize_activations(s, out, N, C, yr); });
  line(n, "glu forward", 6 * nf, 0, [&](StreamHandle s) {
    glu_forward(s, gr, GatePlaces::kBy16, N, F, Epilogue::kSiluMul, mr);
  });
  line(n, "glu backward", 10 * nf, 0, [&](StreamHandle s) {
    glu_backward(s, gr, GatePlaces::kBy16, N, F, Epilogue::kSiluMul, mr, dgr);
  });
  line(n, "glu, norm, quantise + u", 7 * nf, 0, [&](StreamHandle s) {
    glu_quantize(s, gr, GatePlaces::kBy16, N, F, Epilogue::kSiluMul, norm, out_f,
                 {half_rows(m2, S), r.as<float>(), nullptr}, scratch);
  });
  line(n, "glu and norm backward", 10 * nf, 0, [&](StreamHandle s) {
    glu_norm_backward(s, gr, GatePlaces::kBy16, N, F, Epilogue::kSiluMul, r.as<float>(),
                      gain.as<float>(), mr, dgr, dgain.as<float>(), scratch);
  });
  line(n, "rotate q and k", 8 * nc, 0, [&](StreamHandle s) {
    rotate_positions(s, gr, N, kT, 2 * z.H, z.D, wide.as<float>(), wide2.as<float>(), 1.0f);
  });
  line(n, "add f32 + bf16", 10 * nc, 0, [&](StreamHandle s) { add_rows(s, wr, xr, N, C, wr); });
  const DeviceMemory tiles(mma_bytes(2 * S, C)), levels(2 * 2 * S * C), scales = floats(2 * S);
  fill(tiles.data(), 0x55, tiles.bytes(), stream.handle());
  line(n, "levels of gate and up", 2.25 * 2 * static_cast<double>(F * C), 0, [&](StreamHandle s) {
    unpack_levels(s, {tiles.as<uint8_t>(), scales.as<float>(), 2 * S, C}, false,
                  half_rows(levels, C));
  });

  // Words as in text: the k-th has a share of 1 / k.
  std::vector<int32_t> tokens;
  uint64_t state = 1;
  for (int64_t i = 0; i < N; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const double u = static_cast<double>(state >> 11) * 0x1p-53;
    tokens.push_back(static_cast<int32_t>(std::exp(u * std::log(static_cast<double>(z.V))) - 1));
  }
  const std::vector<int32_t> order = token_order(tokens, z.V);
  const DeviceMemory dt(4 * N), dorder(4 * N), table = floats(z.V * C);
  copy_to_device(dt.data(), tokens.data(), 4 * N, stream.handle());
  copy_to_device(dorder.data(), order.data(), 4 * N, stream.handle());
  line(n, "embedding", 6 * nc, 0, [&](StreamHandle s) {
    embedding_forward(s, {table.data(), C}, dt.as<int32_t>(), N, C, yr);
  });
  line(n, "embedding backward", 4 * nc, 0, [&](StreamHandle s) {
    embedding_backward(s, dt.as<int32_t>(), dorder.as<int32_t>(), N, C, wr, table.as<float>());
  });
  for (const int64_t V : {z.V, int64_t{128256}}) {
    const int64_t rows = 4096;
    const DeviceMemory logits = halves(rows * V, 5.0f), losses(4 * rows);
    line(n, V == z.V ? "loss, 4096 of 32000" : "loss, 4096 of 128256",
         4 * static_cast<double>(rows * V), 0, [&](StreamHandle s) {
           cross_entropy(s, half_rows(logits, V), rows, V, dt.as<int32_t>(), 1e-4f,
                         losses.as<float>());
         });
  }
}

void Bench::attention(const Shape& z) {
  const int64_t N = z.B * kT, HD = z.H * z.D;
  const HeadShape shape{z.H, z.H, z.D};
  const SequenceBatch batch{z.B, kT};
  const DeviceMemory qkv = halves(3 * N * HD), dout = halves(N * HD), out(2 * N * HD),
                     dqkv(6 * N * HD), log_sums(4 * z.H * N),
                     memory(causal_attention_scratch_bytes(shape, batch, Float::kBF16));
  const Scratch scratch{.memory = memory.data(), .bytes = memory.bytes()};
  const auto part = [&](const DeviceMemory& m, int64_t i) {
    return Rows{m.as<__nv_bfloat16>() + i * HD, 3 * HD, Float::kBF16};
  };
  const double product = static_cast<double>(z.B * z.H * kT * kT * z.D);  // of the causal half
  line(z.name, "attention", 0, 2 * product, [&](StreamHandle s) {
    causal_attention(s, shape, batch, part(qkv, 0), part(qkv, 1), part(qkv, 2), half_rows(out, HD),
                     log_sums.as<float>());
  });
  line(z.name, "attention backward", 0, 5 * product, [&](StreamHandle s) {
    causal_attention_backward(s, shape, batch, part(qkv, 0), part(qkv, 1), part(qkv, 2),
                              half_rows(out, HD), log_sums.as<float>(), half_rows(dout, HD),
                              part(dqkv, 0), part(dqkv, 1), part(dqkv, 2), scratch);
  });
}

void Bench::optimizer(const Shape& z) {
  std::vector<ParameterTensor> tensors;
  int64_t count = 0, tile_bytes = 0, scale_count = 0;
  const auto add = [&](int64_t rows, int64_t columns, WeightKind kind) {
    tensors.push_back({.offset = count, .rows = rows, .columns = columns, .kind = kind});
    count += rows * columns;
    if (kind == WeightKind::kFloat) return;
    tile_bytes += mma_bytes(rows, columns);
    scale_count += mma_tiles(rows);
  };
  add(z.V, z.C, WeightKind::kFloat);
  for (int64_t l = 0; l < z.layers; ++l) {
    for (int i = 0; i < 4; ++i) add(z.C, z.C, WeightKind::kTernary);
    for (int i = 0; i < 2; ++i) add(z.F, z.C, WeightKind::kTernary);
    add(z.C, z.F, WeightKind::kTernary);
  }
  const DeviceMemory tiles(tile_bytes), scales(4 * scale_count), copy(2 * z.V * z.C);
  fill(tiles.data(), 0x55, tile_bytes, stream.handle());
  tensors[0].rounded = copy.data();
  uint8_t* tile = tiles.as<uint8_t>();
  float* scale = scales.as<float>();
  for (ParameterTensor& t : tensors) {
    if (t.kind == WeightKind::kFloat) continue;
    t.tiles = tile, t.tile_scales = scale, t.tile_stride = mma_tile_bytes(t.columns);
    tile += mma_bytes(t.rows, t.columns), scale += mma_tiles(t.rows);
  }
  const ParameterPlan plan(tensors, stream.handle());
  const DeviceMemory p = floats(count, 0.02f), g = floats(count, 0.01f), m = floats(count, 0.001f),
                     v(4 * count), step(sizeof(kernels::AdamStep)), norm(16),
                     memory(gradient_norm_scratch_bytes());
  fill(v.data(), 0, v.bytes(), stream.handle());
  const kernels::AdamStep host{.keep = 0.9999f,
                               .rate = 1e-4f,
                               .beta1 = 0.9f,
                               .one_minus_beta1 = 0.1f,
                               .beta2 = 0.95f,
                               .one_minus_beta2 = 0.05f,
                               .correction2 = 1.0f,
                               .epsilon = 1e-8f,
                               .gradient_scale = 1.0f};
  copy_to_device(step.data(), &host, sizeof host, stream.handle());
  const Scratch scratch{.memory = memory.data(), .bytes = memory.bytes()};
  const auto all = static_cast<double>(count), quantised = static_cast<double>(tile_bytes) * 4;
  line(z.name, "adamw and quantise", 28 * all + 4.5 * quantised, 0, [&](StreamHandle s) {
    adamw_step(s, plan, step.as<kernels::AdamStep>(), g.as<float>(), p.as<float>(), m.as<float>(),
               v.as<float>(), scratch);
  });
  line(z.name, "quantise alone", 8.5 * quantised, 0,
       [&](StreamHandle s) { quantize_parameters(s, plan, p.as<float>(), scratch); });
  line(z.name, "gradient norm", 4 * all, 0, [&](StreamHandle s) {
    gradient_norm(s, g.as<float>(), count, 1.0, norm.as<double>(), nullptr, scratch);
  });
}

}  // namespace
}  // namespace trit::cuda

int main(int argc, char** argv) {
  using namespace trit::cuda;
  if (devices().empty()) {
    std::printf("no NVIDIA device\n");
    return 0;
  }
  std::printf("%s\n", devices()[0].name.c_str());
  Bench bench{.only = argc > 1 ? argv[1] : nullptr};
  bench.measure_read();
  for (const Shape& shape : kShapes) {
    bench.rows(shape);
    bench.attention(shape);
    bench.optimizer(shape);
  }
  bench.attention({"D128", 4, 2048, 5460, 16, 128, 32000, 24});
}
