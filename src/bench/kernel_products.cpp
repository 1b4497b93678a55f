// Products: each thread takes its share of a matrix's rows in the pieces that ops/linear.cpp cuts.

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/rng.h"
#include "base/tensor.h"
#include "bench/kernel_work.h"
#include "quant/layouts.h"
#include "quant/packing.h"
#include "quant/tiles.h"

namespace trit::bench {
namespace {

using kernels::Table;

constexpr int64_t kPatternBytes = 1 << 20;
constexpr int64_t kPieceRows = 256, kPieceRowsOfMany = 128, kManyTokens = 17;  // of tiles
constexpr int64_t kTileRows = 128, kTileOutputs = 64;                          // of the others
// Of a thread's round: larger products are measured on some of their rows.
constexpr double kMostMacs = 2.5e8;

// A form of weights: its units, and the product of `count` of them with all rows of activations.
struct Form {
  std::string name;  // of the bytes
  int64_t unit_bytes, unit_rows;
  int64_t piece_rows;
  std::function<std::vector<uint8_t>()> pattern;
};

// Bytes that are four codes 0 to 2, and at once a magnitude up to 121 and a sign.
std::vector<uint8_t> trits() {
  Rng rng(1);
  std::vector<uint8_t> bytes(kPatternBytes);
  for (uint8_t& byte : bytes) {
    for (int plane = 0; plane < 4; ++plane)
      byte = static_cast<uint8_t>(byte | rng.below(3) << (2 * plane));
  }
  return bytes;
}

std::vector<uint8_t> noise(int64_t count) {
  Rng rng(1);
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
  return bytes;
}

// Floats of any sign and mantissa, about 1/32: none denormal, none infinite.
std::vector<uint8_t> floats(int64_t size, uint8_t exponent_or, uint8_t exponent_and) {
  std::vector<uint8_t> bytes = noise(kPatternBytes);
  for (size_t i = static_cast<size_t>(size) - 1; i < bytes.size(); i += static_cast<size_t>(size))
    bytes[i] = static_cast<uint8_t>((bytes[i] & exponent_and) | exponent_or);
  return bytes;
}

// Blocks with any codes, and 2^-7 as every scale in float16.
std::vector<uint8_t> blocks(const PackedLayout& layout) {
  const int64_t count = kPatternBytes / layout.bytes;
  std::vector<uint8_t> bytes = noise(count * layout.bytes);
  const bool behind = &layout == &kQ6_K, two = &layout == &kQ4_K;
  for (int64_t b = 0; b < count; ++b) {
    uint8_t* block = bytes.data() + b * layout.bytes;
    const uint16_t scale = 0x2000;
    std::memcpy(block + (behind ? layout.bytes - 2 : 0), &scale, 2);
    if (two) std::memcpy(block + 2, &scale, 2);
  }
  return bytes;
}

const PackedLayout* block_layout(const std::string& kernel) {
  if (kernel == "dense_gemm_q8_0") return &kQ8_0;
  if (kernel == "dense_gemm_q6_k") return &kQ6_K;
  if (kernel == "dense_gemm_q4_0") return &kQ4_0;
  return kernel == "dense_gemm_q4_k" ? &kQ4_K : nullptr;
}

bool is_base3(const KernelTest& test) { return test.kernel.name == "base3_gemm_i8"; }

// Rows of whole units repeat: units need not begin where the pattern does, bytes of blocks must.
Form form_of(const KernelTest& test) {
  const std::string& name = test.kernel.name;
  const int64_t K = test.inputs;
  if (test.kernel.kind == KernelKind::kTiles) {
    const TileForm form = is_base3(test) ? TileForm::kBase3 : TileForm::kTwoBit;
    return {"trits", tile_bytes(form, K), tile_rows(form),
            test.batch < kManyTokens ? kPieceRows : kPieceRowsOfMany, trits};
  }
  if (test.kernel.kind == KernelKind::kTernary)
    return {"trits", packed_row_bytes(K), 1, kTileOutputs, trits};
  if (const PackedLayout* layout = block_layout(name)) {
    return {name, K / layout->block * layout->bytes, 1, kTileOutputs,
            [layout] { return blocks(*layout); }};
  }
  if (name == "dense_gemm_f32")
    return {name, 4 * K, 1, kTileOutputs, [] { return floats(4, 0x3D, 0x80); }};
  if (name == "dense_gemm_bf16")
    return {name, 2 * K, 1, kTileOutputs, [] { return floats(2, 0x3D, 0x80); }};
  return {name, 2 * K, 1, kTileOutputs, [] { return floats(2, 0x28, 0x83); }};
}

// What one thread writes, and where it is in the weights.
struct Hands {
  Ring ring;
  Buffer<int32_t> sums;
  Buffer<float> y;
  Buffer<uint8_t>
      tables;  // of base 3: all threads make their share of them, each in a copy of its own
};

struct Product {
  KernelTest test;
  const Table& kernel;
  Form form;
  int64_t units_a_round = 0, units_a_piece = 0;
  int64_t x_stride = 0;
  Buffer<int8_t> q{};
  Buffer<int32_t> q_sum{};
  Buffer<float> x{}, scales{};
  std::vector<Hands> hands{};

  bool looks_up() const { return is_base3(test) && test.batch <= kernel.base3_table_rows; }
  int64_t base3_blocks() const { return tile_blocks(TileForm::kBase3, test.inputs); }

  void make_tables(Hands& mine) const {
    const int64_t share = (base3_blocks() + test.threads - 1) / test.threads;
    for (int64_t t = 0; t < test.batch; ++t) {
      kernel.base3_tables(q.data() + t * x_stride, share,
                          mine.tables.data() + t * base3_blocks() * kernel.base3_table_bytes);
    }
  }

  void multiply(const uint8_t* w, int64_t units, Hands& mine) const {
    if (test.kernel.kind == KernelKind::kTiles) return multiply_tiles(w, units, mine);
    for (int64_t t = 0; t < test.batch; t += kTileRows)
      multiply_rows(w, units, t, std::min(kTileRows, test.batch - t), mine);
  }

  void multiply_tiles(const uint8_t* w, int64_t tiles, Hands& mine) const {
    if (is_base3(test)) {
      kernel.base3_gemm_i8(w, tiles, base3_blocks(), q.data(), x_stride, q_sum.data(),
                           looks_up() ? mine.tables.data() : nullptr, test.batch, mine.sums.data(),
                           form.piece_rows);
    } else {
      kernel.two_bit_gemm_i8(w, tiles, tile_blocks(TileForm::kTwoBit, test.inputs), q.data(),
                             x_stride, q_sum.data(), test.batch, mine.sums.data(), form.piece_rows);
    }
  }

  void multiply_rows(const uint8_t* w, int64_t rows, int64_t t, int64_t T, Hands& mine) const {
    const int64_t K = test.inputs, row_bytes = packed_row_bytes(K);
    const std::string& name = test.kernel.name;
    const float* from = x.data() + t * x_stride;
    float* to = mine.y.data() + t * kTileOutputs;
    const auto* half = reinterpret_cast<const uint16_t*>(w);
    if (name == "ternary_gemm_i8") {
      kernel.ternary_gemm_i8(w, rows, row_bytes, q.data() + t * x_stride, q_sum.data() + t, T,
                             mine.sums.data() + t * kTileOutputs, kTileOutputs);
    } else if (name == "ternary_gemm_f32") {
      kernel.ternary_gemm_f32(w, scales.data(), rows, row_bytes, from, T, to, kTileOutputs);
    } else if (name == "dense_gemm_f32") {
      kernel.dense_gemm_f32(reinterpret_cast<const float*>(w), rows, K, from, T, to, kTileOutputs);
    } else if (name == "dense_gemm_f16") {
      kernel.dense_gemm_f16(half, rows, K, from, T, to, kTileOutputs);
    } else if (name == "dense_gemm_bf16") {
      kernel.dense_gemm_bf16(half, rows, K, from, T, to, kTileOutputs);
    } else {
      const auto blocks_of = name == "dense_gemm_q8_0"   ? kernel.dense_gemm_q8_0
                             : name == "dense_gemm_q6_k" ? kernel.dense_gemm_q6_k
                             : name == "dense_gemm_q4_0" ? kernel.dense_gemm_q4_0
                                                         : kernel.dense_gemm_q4_k;
      blocks_of(w, rows, K, from, T, to, kTileOutputs);
    }
  }

  void run(int thread, int64_t rounds) {
    Hands& mine = hands[static_cast<size_t>(thread)];
    for (int64_t round = 0; round < rounds; ++round) {
      if (looks_up()) make_tables(mine);
      for (int64_t done = 0; done < units_a_round; done += units_a_piece) {
        const int64_t count = std::min(units_a_piece, units_a_round - done);
        multiply(mine.ring.next(count), count, mine);
      }
    }
  }
};

// Rows of activations that are all alike.
void make_activations(Product& product) {
  const KernelTest& test = product.test;
  const int64_t stride = product.x_stride, size = test.batch * stride;
  Rng rng(2);
  std::vector<int8_t> row(static_cast<size_t>(stride));
  for (int8_t& value : row) value = static_cast<int8_t>(static_cast<int>(rng.below(255)) - 127);
  product.q = Buffer<int8_t>(static_cast<size_t>(size));
  product.q_sum = Buffer<int32_t>::zeros(static_cast<size_t>(test.batch));
  for (int64_t t = 0; t < test.batch; ++t) std::ranges::copy(row, product.q.data() + t * stride);
  if (test.kernel.kind == KernelKind::kDense || test.kernel.name == "ternary_gemm_f32") {
    product.x = Buffer<float>(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i)
      product.x.data()[i] = static_cast<float>(product.q.data()[i]) / 127;
  }
  product.scales = Buffer<float>(static_cast<size_t>(kTileOutputs * runs(test.inputs)));
  std::ranges::fill(product.scales, 0.5f);
}

int64_t stride_of(const KernelTest& test) {
  if (test.kernel.kind == KernelKind::kTiles) return activation_stride(test.inputs);
  return test.kernel.kind == KernelKind::kTernary ? padded_columns(test.inputs) : test.inputs;
}

void make_hands(Product& product, const WorkingMemory& memory, int64_t most) {
  const KernelTest& test = product.test;
  const bool tables = product.looks_up();
  for (int thread = 0; thread < test.threads; ++thread) {
    product.hands.push_back(
        {memory.ring(thread, product.form.unit_bytes, most),
         Buffer<int32_t>(static_cast<size_t>(test.batch * kPieceRows)),
         Buffer<float>(static_cast<size_t>(test.batch * kTileOutputs)),
         Buffer<uint8_t>::zeros(static_cast<size_t>(tables ? test.batch * product.base3_blocks() *
                                                                 product.kernel.base3_table_bytes
                                                           : 0))});
  }
}

}  // namespace

Work product_work(const KernelTest& test, WorkingMemory& memory, int64_t most) {
  auto product = std::make_shared<Product>(
      Product{test, kernels::table(test.isa), form_of(test), 0, 0, stride_of(test)});
  const Form& form = product->form;
  memory.fill(form.name, form.pattern);
  make_activations(*product);
  make_hands(*product, memory, most);

  const int64_t units = (test.outputs + form.unit_rows - 1) / form.unit_rows;
  const auto unit_macs = static_cast<double>(form.unit_rows * test.inputs * test.batch);
  product->units_a_piece =
      std::min({form.piece_rows / form.unit_rows, product->hands[0].ring.units(), units});
  product->units_a_round =
      std::clamp(static_cast<int64_t>(kMostMacs / unit_macs), product->units_a_piece,
                 std::max((units + test.threads - 1) / test.threads, product->units_a_piece));
  const auto done = static_cast<double>(product->units_a_round * test.threads);
  Work work;
  work.calls = done / static_cast<double>(units);
  work.bytes = done * static_cast<double>(form.unit_bytes);
  work.macs = done * unit_macs;
  work.resident = product->hands[0].ring.bytes();
  if (test.kernel.kind == KernelKind::kTiles || test.kernel.name == "ternary_gemm_i8")
    work.arithmetic = product->looks_up() ? Measure::kLookUp : Measure::kInt8;
  work.run = [product](int thread, int64_t rounds) { product->run(thread, rounds); };
  return work;
}

}  // namespace trit::bench
