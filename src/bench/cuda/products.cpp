#include "bench/cuda/products.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "bench/statistics.h"
#include "infer/cuda/backend.h"
#include "kernels/cuda/kernels.h"
#include "quant/mma_tiles.h"

namespace trit::bench {
namespace {

using cuda::DeviceMemory;
using cuda::StreamHandle;

using E = cuda::Epilogue;

struct Shape {
  int64_t outputs, inputs;
  E epilogue = E::kStore;
};
// Of 2B4T, 3B, 7B and 70B: q, k and v; o; gate and up; down.
constexpr Shape kModels[] = {
    {3840, 2560},  {2560, 2560, E::kAdd}, {13824, 2560, E::kRelu2Mul}, {2560, 6912, E::kAdd},
    {9600, 3200},  {3200, 3200, E::kAdd}, {17280, 3200, E::kSiluMul},  {3200, 8640, E::kAdd},
    {12288, 4096}, {4096, 4096, E::kAdd}, {22016, 4096, E::kSiluMul},  {4096, 11008, E::kAdd},
    {10240, 8192}, {8192, 8192, E::kAdd}, {57344, 8192, E::kSiluMul},  {8192, 28672, E::kAdd}};
constexpr Shape kMany[] = {{2560, 2560},  {13824, 2560}, {2560, 6912},  {4096, 4096},
                           {22016, 4096}, {8192, 8192},  {16384, 16384}};
constexpr int64_t kManyRows = 8192;
constexpr int64_t kTallest = 57344;
constexpr int64_t kPool = int64_t{512} << 20;  // far more than a second cache holds

class Products {
 public:
  Products() {
    const StreamHandle s = stream_.handle();
    cuda::random_codes(s, pool_.data(), kPool, 1);
    cuda::random_codes(s, q_.data(), q_.bytes(), 2);  // as any bytes
    cuda::fill(counters_.data(), 0, counters_.bytes(), s);
    cuda::fill(flag_.data(), 0, flag_.bytes(), s);
    cuda::fill(scales_.data(), 0x3C, scales_.bytes(), s);
    cuda::fill(step_.data(), 0x3F, step_.bytes(), s);
    cuda::fill(sum_.data(), 0, sum_.bytes(), s);
    cuda::fill(y_.data(), 0, y_.bytes(), s);
  }

  // Microseconds of the product of T rows.
  Statistics product(const Shape& shape, int64_t T) {
    const cuda::QuantizedRows x{q_.as<int8_t>(), mma_blocks(shape.inputs) * kMmaInputs,
                                step_.as<double>(), sum_.as<int32_t>()};
    return time(shape, T, [&](StreamHandle s, int64_t copy) {
      const cuda::TernaryLayer layer{pool_.as<uint8_t>() + copy * bytes(shape), scales_.as<float>(),
                                     shape.outputs, shape.inputs};
      cuda::ternary_linear(s, layer, x, T, shape.epilogue, y_.as<float>(), shape.outputs,
                           scratch());
    });
  }

  // Microseconds of reading its weights, with the best number of blocks.
  Statistics read(const Shape& shape) {
    Statistics best;
    for (const int blocks : {1, 2, 4}) {
      const Statistics one = time(shape, 1, [&](StreamHandle s, int64_t copy) {
        cuda::read_all(s, pool_.data() + copy * bytes(shape), bytes(shape), sum_.as<uint32_t>(),
                       blocks);
      });
      if (best.samples == 0 || one.median < best.median) best = one;
    }
    return best;
  }

 private:
  static int64_t bytes(const Shape& s) { return mma_bytes(s.outputs, s.inputs); }
  cuda::Scratch scratch() const {
    return {scratch_.data(), scratch_.bytes(), flag_.as<int32_t>(), counters_.as<uint32_t>()};
  }

  // Of a call(stream, copy) for T rows, with weights that are not in the cache: behind each other, in a graph.
  Statistics time(const Shape& shape, int64_t T,
                  const std::function<void(StreamHandle, int64_t)>& call) {
    constexpr int kRepeats = 7;
    const int64_t copies = kPool / bytes(shape);
    const int64_t calls = T > 1 ? 8 : std::max<int64_t>(128, copies);
    const cuda::Graph graph(stream_.handle(), [&](StreamHandle s) {
      for (int64_t i = 0; i < calls; ++i) call(s, i % copies);
    });
    std::vector<double> times;
    for (int i = 0; i <= kRepeats; ++i) {
      cuda::DeviceTimer timer;
      timer.start(stream_.handle());
      graph.launch(stream_.handle());
      timer.stop(stream_.handle());
      if (i > 0) times.push_back(timer.milliseconds() * 1e3 / static_cast<double>(calls));
    }
    return statistics(times);
  }

  cuda::Stream stream_;
  DeviceMemory pool_{kPool}, q_{kManyRows * 16384}, scales_{kTallest / kMmaRows * 4},
      step_{kManyRows * 8}, sum_{kManyRows * 4}, y_{kManyRows * 22016 * 4}, scratch_{64 << 20},
      flag_{4}, counters_{cuda::kCounters * 4};
};

PaperFigure figure(const Shape& shape, const char* weights, int64_t T, const Statistics& s) {
  return {fmt::format("{}x{}", shape.outputs, shape.inputs),
          weights,
          PaperMeasure::kProduct,
          T,
          1,
          "",
          s.median,
          s.spread};
}

}  // namespace

std::vector<PaperFigure> cuda_product_figures(int device) {
  std::vector<PaperFigure> figures;
  figures.push_back(
      {"", "read", PaperMeasure::kReadRate, 0, 1, "", 1e-9 * cuda_read_rate(device), 0});
  Products products;
  for (const Shape& shape : kModels) {
    figures.push_back(figure(shape, "ternary", 1, products.product(shape, 1)));
    figures.push_back(figure(shape, "read", 1, products.read(shape)));
  }
  for (const Shape& shape : kMany)
    figures.push_back(figure(shape, "ternary", kManyRows, products.product(shape, kManyRows)));
  return figures;
}

}  // namespace trit::bench
