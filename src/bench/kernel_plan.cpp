// Which kernels are measured at which sizes.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/thread_pool.h"
#include "bench/kernel_bench.h"
#include "model/config.h"

namespace trit::bench {
namespace {

constexpr int64_t kMostSide = 1 << 17;

// Sizes that shapes ask for, each once.
struct Sizes {
  struct Matrix {
    int64_t outputs, inputs;
    bool operator==(const Matrix&) const = default;
  };
  struct Heads {
    int64_t kv_heads, group, head_dim;
    bool operator==(const Heads&) const = default;
  };
  std::vector<Matrix> layers, output_heads;
  std::vector<Heads> attention;
  std::vector<int64_t> widths, head_dims, vocabularies;
};

template <class T>
void add(std::vector<T>& list, T value) {
  if (std::ranges::find(list, value) == list.end()) list.push_back(value);
}

void add_model(const Config& c, Sizes& sizes) {
  const int64_t queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim;
  for (const Sizes::Matrix matrix : {Sizes::Matrix{queries, c.hidden},
                                     {keys, c.hidden},
                                     {c.hidden, queries},
                                     {c.ffn, c.hidden},
                                     {c.hidden, c.ffn}})
    add(sizes.layers, matrix);
  add(sizes.output_heads, {c.vocabulary, c.hidden});
  add(sizes.attention, {c.kv_heads, c.heads / c.kv_heads, c.head_dim});
  for (const int64_t width : {c.hidden, c.ffn}) add(sizes.widths, width);
  add(sizes.head_dims, c.head_dim);
  add(sizes.vocabularies, c.vocabulary);
}

int64_t side(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && value >= 1 && value <= kMostSide ? value : 0;
}

void add_shape(const std::string& shape, Sizes& sizes) {
  std::string names;
  for (const Preset& preset : presets()) {
    if (preset.name == shape) return add_model(preset.config, sizes);
    names += fmt::format("{}{}", names.empty() ? "" : ", ", preset.name);
  }
  const size_t cross = shape.find('x');
  const int64_t outputs = side(std::string_view(shape).substr(0, cross));
  const int64_t inputs =
      cross == std::string::npos ? 0 : side(std::string_view(shape).substr(cross + 1));
  if (outputs == 0 || inputs == 0) {
    bad_input("--shape: '{}' is neither OUTPUTSxINPUTS, each 1 to {}, nor one of {}",
              printable(shape), kMostSide, names);
  }
  add(sizes.layers, {outputs, inputs});
  add(sizes.output_heads, {outputs, inputs});
  for (const int64_t width : {inputs, outputs}) {
    add(sizes.widths, width);
    add(sizes.vocabularies, width);
  }
}

Sizes sizes_of(const KernelBenchOptions& options) {
  std::vector<std::string> shapes = options.shapes;
  if (shapes.empty())
    shapes = options.quick ? std::vector<std::string>{"2B4T"}
                           : std::vector<std::string>{"700M", "3B", "2B4T"};
  Sizes sizes;
  for (const std::string& shape : shapes) add_shape(shape, sizes);
  return sizes;
}

std::vector<KernelInfo> kernels_of(const KernelBenchOptions& options) {
  if (options.only.empty()) return {kernel_list().begin(), kernel_list().end()};
  std::string names;
  for (const KernelInfo& row : kernel_list())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  std::vector<KernelInfo> found;
  for (const std::string& beginning : options.only) {
    const auto begins = [&](const KernelInfo& row) { return row.name.starts_with(beginning); };
    if (beginning.empty() || std::ranges::none_of(kernel_list(), begins)) {
      bad_input("--only: no kernel begins with '{}'; there are {}", printable(beginning), names);
    }
  }
  for (const KernelInfo& row : kernel_list()) {
    const auto begun = [&](const std::string& text) { return row.name.starts_with(text); };
    if (std::ranges::any_of(options.only, begun)) found.push_back(row);
  }
  return found;
}

std::vector<kernels::Isa> isas_of(const KernelBenchOptions& options) {
  if (options.isas.empty()) return {kernels::active_isa()};
  std::string names = "all";
  for (const kernels::Isa isa : kernels::available())
    names += fmt::format(", {}", kernels::to_string(isa));
  std::vector<kernels::Isa> found;
  for (const std::string& name : options.isas) {
    bool known = false;
    for (const kernels::Isa isa : kernels::available()) {
      if (name != "all" && name != kernels::to_string(isa)) continue;
      add(found, isa);
      known = true;
    }
    if (!known) bad_input("--isa: '{}': this machine runs {}", printable(name), names);
  }
  return found;
}

std::vector<int64_t> batches_of(KernelKind kind, const KernelBenchOptions& options) {
  if (!options.batches.empty()) return options.batches;
  if (kind == KernelKind::kTiles) return {1, 2, 4, 8, 16, 17, 32, 64, 128, 256, 512};
  return kind == KernelKind::kTernary ? std::vector<int64_t>{1, 16, 512}
                                      : std::vector<int64_t>{1, 4, 16};
}

// Of one kernel, all sizes.
std::vector<KernelTest> tests_of(const KernelInfo& kernel, const Sizes& sizes,
                                 const KernelBenchOptions& options) {
  std::vector<KernelTest> tests;
  KernelTest test;
  test.kernel = kernel;
  const auto of_lengths = [&](const std::vector<int64_t>& lengths) {
    for (const int64_t length : lengths) {
      test.length = length;
      tests.push_back(test);
    }
  };
  switch (kernel.kind) {
    case KernelKind::kTiles:
    case KernelKind::kTernary:
    case KernelKind::kDense:
      for (const auto& [outputs, inputs] :
           kernel.kind == KernelKind::kDense ? sizes.output_heads : sizes.layers) {
        for (const int64_t batch : batches_of(kernel.kind, options)) {
          test.outputs = outputs;
          test.inputs = inputs;
          test.batch = batch;
          tests.push_back(test);
        }
      }
      return tests;
    case KernelKind::kAttention:
      for (const auto& [kv_heads, group, head_dim] : sizes.attention) {
        for (const int64_t depth : options.depths) {
          test.kv_heads = kv_heads;
          test.group = group;
          test.length = head_dim;
          test.depth = depth;
          tests.push_back(test);
        }
      }
      return tests;
    case KernelKind::kRow:
      of_lengths(sizes.widths);
      return tests;
    case KernelKind::kHeadRow:
      of_lengths(sizes.head_dims);
      return tests;
    case KernelKind::kLogits:
      of_lengths(sizes.vocabularies);
  }
  return tests;
}

}  // namespace

std::vector<KernelTest> plan_kernels(const KernelBenchOptions& options) {
  const Sizes sizes = sizes_of(options);
  const std::vector<kernels::Isa> isas = isas_of(options);
  std::vector<int64_t> threads = options.threads;
  if (threads.empty()) threads = {thread_count()};
  std::vector<KernelTest> tests;
  for (const int64_t count : threads) {
    for (const KernelInfo& kernel : kernels_of(options)) {
      for (KernelTest test : tests_of(kernel, sizes, options)) {
        test.threads = static_cast<int>(count);
        for (const kernels::Isa isa : isas) {
          test.isa = isa;
          for (const Source source : options.sources) {
            // Rows are short, and stay in a core.
            if (kernel.kind >= KernelKind::kRow && source != Source::kCache) continue;
            test.source = source;
            tests.push_back(test);
          }
        }
      }
    }
  }
  if (tests.empty())
    bad_input(
        "nothing to measure: attention and rows of heads need the --shape of a model, and rows "
        "--from cache");
  return tests;
}

}  // namespace trit::bench
