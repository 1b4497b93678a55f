#include "model/synthetic.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "model/model_files.h"
#include "quant/packing.h"

namespace trit {
namespace {

struct ShapeOf {
  int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocabulary, context;
  float theta, epsilon;
  bool tied;
};

Config config_of(const ShapeOf& s, WeightKind weights, NormForm norms, Activation activation) {
  Config c;
  c.hidden = s.hidden;
  c.ffn = s.ffn;
  c.layers = s.layers;
  c.heads = s.heads;
  c.kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  c.vocabulary = s.vocabulary;
  c.context = s.context;
  c.rope_theta = s.theta;
  c.norm_epsilon = s.epsilon;
  c.tied = s.tied;
  c.weights = weights;
  c.norms = norms;
  c.activation = activation;
  return c;
}

Config bitnet(const ShapeOf& s, Activation activation) {
  return config_of(s, WeightKind::kTernary, NormForm::kSub, activation);
}
Config bitlinear_llama(const ShapeOf& s) {
  return config_of(s, WeightKind::kTernary, NormForm::kBlock, Activation::kSilu);
}
Config float_inputs(Config c, bool qk_norms) {
  c.inputs = InputKind::kFloat;
  c.qk_norms = qk_norms;
  return c;
}

const std::array kPublished = {
    PublishedModel{"microsoft/bitnet-b1.58-2B-4T", "BitNet b1.58 2B4T",
                   bitnet({2560, 6912, 30, 20, 5, 128, 128256, 4096, 500000.0f, 1e-5f, true},
                          Activation::kRelu2),
                   DType::kBF16},
    PublishedModel{
        "1bitLLM/bitnet_b1_58-large", "the 700M reproduction",
        bitnet({1536, 4096, 24, 16, 16, 96, 32002, 2048, 10000.0f, 1e-5f, true}, Activation::kSilu),
        DType::kF16},
    PublishedModel{"1bitLLM/bitnet_b1_58-3B", "the 3B reproduction",
                   bitnet({3200, 8640, 26, 32, 32, 100, 32002, 2048, 10000.0f, 1e-5f, true},
                          Activation::kSilu),
                   DType::kF16},
    PublishedModel{
        "HF1BitLLM/Llama3-8B-1.58-100B-tokens", "LLaMA-3 8B of BitLinears",
        bitlinear_llama({4096, 14336, 32, 32, 8, 128, 128256, 8192, 500000.0f, 1e-5f, false}),
        DType::kBF16},
    PublishedModel{
        "tiiuae/Falcon3-1B-Instruct-1.58bit", "Falcon3 1B of BitLinears",
        bitlinear_llama({2048, 8192, 18, 8, 4, 256, 131072, 8192, 1000042.0f, 1e-6f, false}),
        DType::kBF16},
    PublishedModel{
        "tiiuae/Falcon3-3B-Instruct-1.58bit", "Falcon3 3B of BitLinears",
        bitlinear_llama({3072, 9216, 22, 12, 4, 256, 131072, 32768, 1000042.0f, 1e-6f, false}),
        DType::kBF16},
    PublishedModel{
        "tiiuae/Falcon3-7B-Instruct-1.58bit", "Falcon3 7B of BitLinears",
        bitlinear_llama({3072, 23040, 28, 12, 4, 256, 131072, 32768, 1000042.0f, 1e-6f, false}),
        DType::kBF16},
    PublishedModel{
        "tiiuae/Falcon3-10B-Instruct-1.58bit", "Falcon3 10B of BitLinears",
        bitlinear_llama({3072, 23040, 40, 12, 4, 256, 131072, 32768, 1000042.0f, 1e-6f, false}),
        DType::kBF16},
    PublishedModel{
        "SpectraSuite/TriLM_99M_Unpacked", "TriLM 99M, float activations",
        float_inputs(
            bitlinear_llama({512, 1280, 16, 8, 8, 64, 50304, 2048, 10000.0f, 1e-5f, false}), false),
        DType::kF16},
    PublishedModel{"prism-ml/Ternary-Bonsai-1.7B", "Qwen3 1.7B, float activations",
                   float_inputs(bitlinear_llama({2048, 6144, 28, 16, 8, 128, 151936, 40960,
                                                 1000000.0f, 1e-6f, true}),
                                true),
                   DType::kF16},
    PublishedModel{"prism-ml/Ternary-Bonsai-4B", "Qwen3 4B, float activations",
                   float_inputs(bitlinear_llama({2560, 9728, 36, 32, 8, 128, 151936, 40960,
                                                 1000000.0f, 1e-6f, true}),
                                true),
                   DType::kF16},
    PublishedModel{"prism-ml/Ternary-Bonsai-8B", "Qwen3 8B, float activations",
                   float_inputs(bitlinear_llama({4096, 12288, 36, 32, 8, 128, 151936, 40960,
                                                 1000000.0f, 1e-6f, false}),
                                true),
                   DType::kF16},
};

uint64_t seed_of(uint64_t seed, const TensorRow& row) {
  return splitmix64(seed) + static_cast<uint64_t>(row.offset);
}

// Pairs of random bits as codes: 3 becomes 1, so 0 and 2 have a quarter each and 1 the rest.
uint64_t codes_of(uint64_t random) {
  constexpr uint64_t kHigh = 0xAAAA'AAAA'AAAA'AAAA;
  return random & ~(random & random << 1 & kHigh);
}

Buffer<uint8_t> random_levels(const Linear& layer, WeightKind kind, uint64_t seed) {
  const int64_t row_bytes = packed_row_bytes(layer.inputs);
  Buffer<uint8_t> packed(static_cast<size_t>(layer.outputs * row_bytes));
  parallel_ranges(layer.outputs, 64, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> levels(static_cast<size_t>(layer.inputs));
    for (int64_t r = begin; r < end; ++r) {
      uint8_t* row = packed.data() + r * row_bytes;
      uint64_t state = seed + static_cast<uint64_t>(r) * 0x9E3779B97F4A7C15;
      for (int64_t b = 0; b < row_bytes; b += 8) {
        state = splitmix64(state);
        const uint64_t codes =
            kind == WeightKind::kBinary ? state & 0xAAAA'AAAA'AAAA'AAAA : codes_of(state);
        std::memcpy(row + b, &codes, sizeof codes);
      }
      // Zeros behind the end of the row.
      for (int64_t c = layer.inputs; c < padded_columns(layer.inputs); ++c) {
        uint8_t& byte = row[c / kRun * kRunBytes + c % 32];
        const int64_t shift = c % kRun / 32 * 2;
        byte = static_cast<uint8_t>((byte & ~(3 << shift)) | 1 << shift);
      }
    }
  });
  return packed;
}

// Uniform between -size and +size.
Buffer<std::byte> random_floats(const TensorRow& row, DType type, float size, uint64_t seed) {
  const int64_t columns = row.shape.back(), rows = row.count() / columns,
                bytes = columns * static_cast<int64_t>(dtype_size(type));
  Buffer<std::byte> made(static_cast<size_t>(rows * bytes));
  parallel_ranges(rows, 64, [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(columns));
    for (int64_t r = begin; r < end; ++r) {
      uint64_t state = seed + static_cast<uint64_t>(r) * 0x9E3779B97F4A7C15;
      for (float& v : values) {
        state = splitmix64(state);
        v = size * (static_cast<float>(state >> 40) * 0x1p-23f - 1.0f);
      }
      from_f32(type, values.data(), values.size(), made.data() + r * bytes);
    }
  });
  return made;
}

Buffer<std::byte> ones(int64_t count) {
  Buffer<std::byte> bytes(static_cast<size_t>(count) * sizeof(float));
  std::fill_n(reinterpret_cast<float*>(bytes.data()), count, 1.0f);
  return bytes;
}

}  // namespace

std::span<const PublishedModel> published_models() { return kPublished; }

const PublishedModel& published_model(std::string_view name) {
  std::string names;
  for (const PublishedModel& model : kPublished) {
    if (model.name == name) return model;
    names += (names.empty() ? "" : ", ") + std::string(model.name);
  }
  bad_input("'{}' is no published model that trit knows; there are {}", printable(name), names);
}

Model synthetic_model(const Config& config, DType type, uint64_t seed) {
  validate(config, "model");
  ModelBuilder builder(config);
  for (size_t i = 0; i < builder.table().size(); ++i) {
    const TensorRow& row = builder.table()[i];
    const uint64_t own = seed_of(seed, row);
    if (row.role == TensorRole::kNorm) {
      builder.set_float(i, DType::kF32, ones(row.count()), row.hf_name);
    } else if (is_packed(config, row)) {
      const Linear& layer = builder.linear(i);
      // Outputs about as large as inputs; exact in bfloat16, as published scales are.
      const float scale =
          bf16_to_f32(f32_to_bf16(std::sqrt(2.0f / static_cast<float>(layer.inputs))));
      Buffer<uint8_t> levels = random_levels(layer, config.weights, own);
      if (layer.input_kind == InputKind::kInt8) {
        builder.set_packed(i, std::move(levels), scale, row.hf_name);
        continue;
      }
      Buffer<float> scales(static_cast<size_t>(layer.outputs * runs(layer.inputs)));
      std::fill(scales.begin(), scales.end(), f16_to_f32(f32_to_f16(scale)));
      builder.set_packed(i, std::move(levels), std::move(scales), row.hf_name);
    } else {
      builder.set_float(i, type, random_floats(row, type, 0.04f, own), row.hf_name);
    }
  }
  return builder.finish("synthetic weights");
}

}  // namespace trit
