// Attention on an NVIDIA device: tokens (one row a sequence) beside the time of a kernel that only reads the cache's
// bytes, prompts in TFLOPS, and rotate_and_store. Every call has its own layer of a cache larger than the device's L2.
// In graphs; medians.
//
//   cuda_attention [tokens] [prompts] [rotate]

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/chain.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {
namespace {

using kernels::KvType;

// Halves of about 1 / 64 either way; as integers and their scales they are finite too.
__global__ void make_numbers(uint32_t* words, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    uint32_t v = static_cast<uint32_t>(i) * 2654435761u;
    v ^= v >> 15;
    v *= 2246822519u;
    v ^= v >> 13;
    words[i] = (v & 0x87FF87FFu) | 0x20002000u;
  }
}

__global__ void __launch_bounds__(512) read_bytes(const uint4* from, int64_t count, uint32_t* out) {
  wait_for_previous();
  constexpr int kAtOnce = 8;
  const int64_t step = static_cast<int64_t>(gridDim.x) * 512;
  uint32_t all = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * 512 + threadIdx.x; i < count;
       i += kAtOnce * step) {
    uint4 v[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j)
      v[j] = i + j * step < count ? __ldcs(from + i + j * step) : uint4{};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) all ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (all == 0x12345678u) *out = all;
}

// Median microseconds of one of `calls` calls queued behind each other.
double median_us(const std::function<void(StreamHandle, int)>& call, int calls) {
  const Stream stream;
  const Graph graph(stream.handle(), [&](StreamHandle s) {
    for (int i = 0; i < calls; ++i) call(s, i);
  });
  std::vector<double> us;
  for (int i = 0; i < 9; ++i) {
    DeviceTimer timer;
    timer.start(stream.handle());
    graph.launch(stream.handle());
    timer.stop(stream.handle());
    if (i >= 2) us.push_back(timer.milliseconds() * 1e3 / calls);
  }
  std::ranges::sort(us);
  return us[us.size() / 2];
}

// `sequences` of `rows` rows each that end at `length` positions, and layers of a cache for them.
struct Setting {
  Setting(KvType kv, const HeadShape& heads, int64_t sequences, int64_t length, int64_t rows)
      : type(kv), shape(heads), T(sequences * rows), width((heads.H + 2 * heads.G) * heads.D) {
    const int64_t pages = kernels::pages_of(length);
    head = kv_head_bytes(type, shape.D);
    layer_bytes = sequences * pages * shape.G * head;
    layers = static_cast<int>(std::clamp<int64_t>((int64_t{1} << 29) / layer_bytes, 2, 40));
    cache = DeviceMemory(layers * layer_bytes);
    qkv = DeviceMemory(T * width * 4);
    out = DeviceMemory(T * shape.H * shape.D * 4);
    table = DeviceMemory(length * shape.D * 4);
    for (const DeviceMemory* memory : {&cache, &qkv, &table})
      make_numbers<<<1024, 256>>>(memory->as<uint32_t>(), memory->bytes() / 4);
    std::vector<int32_t> words;
    for (int64_t t = 0; t < T; ++t) words.push_back(static_cast<int32_t>(t / rows));
    for (int64_t t = 0; t < T; ++t) words.push_back(static_cast<int32_t>(length - rows + t % rows));
    for (int64_t i = 0; i < sequences * pages; ++i)
      words.push_back(static_cast<int32_t>(i * 7919 % (sequences * pages)));
    int64_t tiles = 0;
    for (int64_t t = 0; rows > 1 && t < T; t += std::min(kPromptRows, rows), ++tiles) {
      words.push_back(static_cast<int32_t>(t));
      words.push_back(static_cast<int32_t>(std::min(kPromptRows, rows)));
    }
    control = DeviceMemory(static_cast<int64_t>(words.size()) * 4);
    copy_to_device(control.data(), words.data(), control.bytes(), nullptr);
    const int32_t* at = control.as<int32_t>();
    slots = {.sequences = at,
             .positions = at + T,
             .tables = at + 2 * T,
             .table_stride = pages,
             .longest = length};
    if (tiles > 0) slots.tiles = slots.singles = at + 2 * T + sequences * pages;
    slots.tile_count = tiles;
    scratch_memory = DeviceMemory(std::max<int64_t>(
        256, std::min<int64_t>(attention_scratch_bytes(shape, T, length), int64_t{256} << 20)));
    counters = DeviceMemory(kCounters * 4);
    fill(counters.data(), 0, counters.bytes(), nullptr);
    wait(nullptr);
  }
  KvLayer layer(int i) const {
    return {type, cache.data() + i % layers * layer_bytes, shape.G * head, head};
  }
  void attend(StreamHandle s, int i) const {
    attention(s, shape, qkv.as<float>(), width, T, slots, layer(i), out.as<float>(),
              shape.H * shape.D,
              {.memory = scratch_memory.data(),
               .bytes = scratch_memory.bytes(),
               .counters = counters.as<uint32_t>()});
  }
  Rotation rotation() const {
    return {{0, shape.H * shape.D, (shape.H + shape.G) * shape.D},
            {},
            {},
            table.as<float>(),
            table.as<float>()};
  }
  void rotate(StreamHandle s, int i) const {
    rotate_and_store(s, shape, qkv.as<float>(), width, T, rotation(), slots, layer(i));
  }
  void rotate_and_attend_to(StreamHandle s, int i) const {
    RowSlots apart = slots;
    apart.apart = true;
    rotate_and_attend(s, shape, qkv.as<float>(), width, T, rotation(), apart, layer(i),
                      out.as<float>(), shape.H * shape.D,
                      {.memory = scratch_memory.data(),
                       .bytes = scratch_memory.bytes(),
                       .counters = counters.as<uint32_t>()});
  }

  KvType type;
  HeadShape shape;
  int64_t T, width, head = 0, layer_bytes = 0;
  int layers = 0;
  DeviceMemory cache, qkv, out, table, control, scratch_memory, counters;
  RowSlots slots;
};

struct Model {
  const char* name;
  HeadShape shape;
};
constexpr Model k2B{"2B-4T", {20, 5, 128}}, k7B{"7B", {32, 32, 128}}, k3B{"3B", {32, 32, 100}},
    k70B{"70B", {64, 8, 128}};

void tokens() {
  const auto one = [](const Model& m, KvType type, int64_t batch, int64_t length) {
    const Setting s(type, m.shape, batch, length, 1);
    int blocks = 0;
    cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, 0);
    const double us = median_us([&](StreamHandle h, int i) { s.attend(h, i); }, s.layers);
    const double both =
        median_us([&](StreamHandle h, int i) { s.rotate_and_attend_to(h, i); }, s.layers);
    const double read = median_us(
        [&](StreamHandle h, int i) {
          launch_chained(h, dim3(static_cast<unsigned>(blocks * 3)), dim3(512), 0, read_bytes,
                         reinterpret_cast<const uint4*>(s.layer(i).pages), s.layer_bytes / 16,
                         s.out.as<uint32_t>());
        },
        s.layers);
    std::printf(
        "%-6s %-5s batch %4d x %6d: %8.2f us (with rotate %8.2f), %6.0f GB/s; only reading %8.2f "
        "us\n",
        m.name, std::string(to_string(type)).c_str(), static_cast<int>(batch),
        static_cast<int>(length), us, both, static_cast<double>(s.layer_bytes) / us / 1e3, read);
    std::fflush(stdout);
  };
  for (const int64_t length : {64, 512, 4096, 32768}) {
    for (const Model& m : {k2B, k7B, k70B}) one(m, KvType::kF16, 1, length);
  }
  one(k3B, KvType::kF16, 1, 4096);
  for (const KvType type : {KvType::kInt8, KvType::kInt4, KvType::kF32}) {
    one(k2B, type, 1, 4096);
    one(k7B, type, 1, 4096);
  }
  for (const KvType type : {KvType::kF16, KvType::kInt8, KvType::kInt4}) {
    one(k70B, type, 256, 512);
    one(k7B, type, 16, 1024);
  }
}

void prompts() {
  for (const Model& m : {k7B, k2B, k3B, k70B}) {
    for (const int64_t rows : {512, 2048, 8192}) {
      for (const KvType type : {KvType::kF16, KvType::kInt8}) {
        if (type == KvType::kInt8 && rows != 2048) continue;
        const Setting s(type, m.shape, 1, rows, rows);
        const double us = median_us([&](StreamHandle h, int i) { s.attend(h, i); }, 4);
        const double flops = 2.0 * static_cast<double>(m.shape.H * m.shape.D * rows * rows);
        std::printf("%-6s %-5s prompt of %5d: %8.1f us, %5.0f TFLOPS\n", m.name,
                    std::string(to_string(type)).c_str(), static_cast<int>(rows), us,
                    flops / us / 1e6);
        std::fflush(stdout);
      }
    }
  }
}

void rotations() {
  for (const Model& m : {k2B, k7B, k70B}) {
    for (const int64_t rows : {1, 8, 64, 2048}) {
      for (const KvType type : {KvType::kF16, KvType::kInt4}) {
        const Setting s(type, m.shape, 1, std::max<int64_t>(rows, 64), rows);
        std::printf("%-6s %-5s rotate %5d rows: %7.2f us\n", m.name,
                    std::string(to_string(type)).c_str(), static_cast<int>(rows),
                    median_us([&](StreamHandle h, int i) { s.rotate(h, i); }, 20));
      }
    }
  }
}

}  // namespace
}  // namespace trit::cuda

int main(int argc, char** argv) {
  const std::vector<std::string> what(argv + 1, argv + argc);
  if (trit::cuda::devices().empty()) return std::puts("no NVIDIA device"), 1;
  std::printf("%s\n", trit::cuda::devices()[0].name.c_str());
  const auto wanted = [&](const char* name) {
    return what.empty() || std::ranges::find(what, name) != what.end();
  };
  if (wanted("tokens")) trit::cuda::tokens();
  if (wanted("prompts")) trit::cuda::prompts();
  if (wanted("rotate")) trit::cuda::rotations();
}
