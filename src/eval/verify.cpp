#include "eval/verify.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "eval/whole_text.h"
#include "model/transformer.h"

namespace trit {
namespace {

struct Distance {
  double relative_l2, max_difference;
};

Distance distance(std::span<const float> ours, std::span<const float> reference) {
  TRIT_CHECK(ours.size() == reference.size());
  double difference = 0, size = 0, largest = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const double r = static_cast<double>(reference[i]), d = static_cast<double>(ours[i]) - r;
    difference += d * d;
    size += r * r;
    // Not std::max: a NaN must not hide behind a number.
    if (!(std::fabs(d) <= largest)) largest = std::fabs(d);
  }
  return {std::sqrt(difference / std::max(size, 1e-300)), largest};
}

// KL(reference || ours) of the softmaxes of two rows of logits.
double kl_divergence(std::span<const float> ours, std::span<const float> reference) {
  const auto log_sum = [](std::span<const float> row) {
    const double top = static_cast<double>(*std::ranges::max_element(row));
    double sum = 0;
    for (const float v : row) sum += std::exp(static_cast<double>(v) - top);
    return top + std::log(sum);
  };
  const double ours_sum = log_sum(ours), reference_sum = log_sum(reference);
  double kl = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_sum;
    kl += std::exp(log_p) * (log_p - (static_cast<double>(ours[i]) - ours_sum));
  }
  return kl;
}

LogitsReport compare_logits(std::string prompt, std::span<const float> ours,
                            std::span<const float> reference, int64_t positions) {
  LogitsReport report{std::move(prompt), positions, 0, 0, 0, 0, {}};
  const Distance all = distance(ours, reference);
  report.relative_l2 = all.relative_l2;
  report.max_difference = all.max_difference;
  const size_t V = ours.size() / static_cast<size_t>(positions);
  for (size_t p = 0; p < static_cast<size_t>(positions); ++p) {
    const auto a = ours.subspan(p * V, V), b = reference.subspan(p * V, V);
    report.by_position.push_back(distance(a, b).relative_l2);
    report.mean_kl += kl_divergence(a, b) / static_cast<double>(positions);
    const bool same =
        std::ranges::max_element(a) - a.begin() == std::ranges::max_element(b) - b.begin();
    report.top1_agreement += same ? 1.0 / static_cast<double>(positions) : 0.0;
  }
  return report;
}

std::string hidden_name(size_t index, int64_t layers) {
  if (index == 0) return "embedding";
  if (index == static_cast<size_t>(layers) + 1) return "final norm";
  return fmt::format("layer {}", index - 1);
}

std::vector<int32_t> token_ids(const Safetensors& file, const std::string& name, const Path& path,
                               int64_t vocabulary) {
  const TensorView& tensor = file.get(name);
  if (tensor.type != DType::kI64 || tensor.shape.size() != 1 || tensor.count() == 0)
    bad_input("{}: {} must be I64 [tokens]", path.string(), name);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tensor.count(); ++i) {
    int64_t id = 0;
    std::memcpy(&id, tensor.data + i * 8, sizeof id);
    if (id < 0 || id >= vocabulary) {
      bad_input("{}: {} has the token {}; the model's vocabulary has {}", path.string(), name, id,
                vocabulary);
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

std::vector<float> floats(const Safetensors& file, const std::string& name, const Path& path,
                          const Shape& shape) {
  const TensorView& tensor = file.get(name);
  if (tensor.type != DType::kF32 || tensor.shape != shape) {
    bad_input("{}: {} is {} {}; this model gives F32 {}", path.string(), name,
              dtype_name(tensor.type), to_string(tensor.shape), to_string(shape));
  }
  return tensor.to_f32();
}

void check_length(const Config& config, int64_t tokens) {
  if (tokens > config.context)
    bad_input("{} tokens: the model's context has room for {}", tokens, config.context);
}

CpuBackendOptions room_for(int64_t tokens) {
  const WindowRoom room = room_for_windows(tokens, tokens);
  return {.kv_type = KvType::kF32, .positions = room.positions, .max_rows = room.max_rows};
}

// Tokens of `expected` that greedy decoding after `prompt` chooses, before the first that differs.
int64_t greedy_agreement(Backend& backend, std::span<const int32_t> prompt,
                         std::span<const int32_t> expected) {
  TokenLogit best;
  run_windows(backend, prompt, std::ssize(prompt) + std::ssize(expected),
              [&](int64_t, std::span<const int64_t> rows) {
                backend.top(rows.last(1), 1, {&best, 1});
              });
  std::vector<PageId> pages(static_cast<size_t>(backend.pages()));
  std::iota(pages.begin(), pages.end(), 0);
  const PageTable table(pages);
  const int64_t row = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (best.token != expected[i]) return static_cast<int64_t>(i);
    if (i + 1 == expected.size()) break;
    const TokenSlot slot{0, static_cast<int32_t>(prompt.size() + i)};
    backend.run({expected.subspan(i, 1), {&slot, 1}, {&table, 1}});
    backend.top({&row, 1}, 1, {&best, 1});
  }
  return std::ssize(expected);
}

// Logits where the model runs; on the CPU with hidden states where they are wanted.
std::vector<float> logits_there(const Model& model, Place& place, std::span<const int32_t> tokens,
                                std::vector<std::vector<float>>* hidden) {
  if (place.is_cpu()) return logits_of(model.weights(), tokens, hidden);
  check_length(model.config(), std::ssize(tokens));
  return logits_of(*place.backend(model.weights(), room_for(std::ssize(tokens))), tokens);
}

}  // namespace

double VerifyReport::worst_relative_l2() const {
  double worst = 0;
  for (const LogitsReport& prompt : prompts) worst = std::max(worst, prompt.relative_l2);
  return worst;
}

std::optional<std::string> VerifyReport::first_difference(double tolerance) const {
  for (const HiddenReport& h : hidden) {
    if (!(h.relative_l2 <= tolerance)) return h.name;
  }
  return std::nullopt;
}

std::vector<float> logits_of(const Weights& weights, std::span<const int32_t> tokens,
                             std::vector<std::vector<float>>* hidden) {
  const Config& c = weights.config;
  const auto T = std::ssize(tokens);
  check_length(c, T);
  // A pass that keeps every layer's activations, on inference's kernels.
  State state(c, hidden != nullptr ? Pass::kTraining : Pass::kWhole, 1, T, T);
  state.workspace.training = false;
  forward(weights, {tokens, whole_sequences(1, T)}, state);
  if (hidden != nullptr) {
    const auto keep = [&](Matrix m) { hidden->emplace_back(m.data, m.data + m.size()); };
    for (const LayerActivations& layer : state.layers) keep(layer.x);
    keep(state.output);
    keep(state.hidden);
  }
  std::vector<float> result(static_cast<size_t>(T * c.vocabulary));
  logits(weights, state, 0, {result.data(), T, c.vocabulary});
  return result;
}

std::vector<float> logits_of(Backend& backend, std::span<const int32_t> tokens) {
  const int64_t V = backend.config().vocabulary;
  std::vector<float> result(static_cast<size_t>(std::ssize(tokens) * V));
  run_windows(backend, tokens, std::ssize(tokens),
              [&](int64_t first, std::span<const int64_t> rows) {
                backend.logits(rows, {result.data() + first * V, std::ssize(rows), V});
              });
  return result;
}

VerifyReport verify(const Model& model, const Safetensors& reference, const Path& file,
                    Place& place) {
  const Config& c = model.config();
  VerifyReport report;
  for (const std::string& name : reference.names()) {
    if (!name.ends_with(".input_ids")) continue;
    const std::string prompt = name.substr(0, name.size() - std::string_view(".input_ids").size());
    const std::vector<int32_t> tokens = token_ids(reference, name, file, c.vocabulary);
    const auto T = std::ssize(tokens);
    const bool with_hidden =
        place.is_cpu() && report.hidden.empty() && reference.find(prompt + ".hidden.0") != nullptr;
    std::vector<std::vector<float>> hidden;
    const std::vector<float> ours =
        logits_there(model, place, tokens, with_hidden ? &hidden : nullptr);
    report.prompts.push_back(compare_logits(
        prompt, ours, floats(reference, prompt + ".logits", file, {T, c.vocabulary}), T));
    for (size_t i = 0; i < hidden.size(); ++i) {
      const std::string tensor = i + 1 < hidden.size() ? fmt::format("{}.hidden.{}", prompt, i)
                                                       : prompt + ".hidden.final_norm";
      const Distance d = distance(hidden[i], floats(reference, tensor, file, {T, c.hidden}));
      report.hidden.push_back({hidden_name(i, c.layers), d.relative_l2, d.max_difference});
    }
    if (reference.find(prompt + ".greedy_ids") == nullptr) continue;
    const std::vector<int32_t> expected =
        token_ids(reference, prompt + ".greedy_ids", file, c.vocabulary);
    report.greedy_tokens += std::ssize(expected);
    check_length(c, T + std::ssize(expected));
    const auto backend = place.backend(model.weights(), room_for(T + std::ssize(expected)));
    report.greedy_agreed += greedy_agreement(*backend, tokens, expected);
  }
  if (report.prompts.empty()) {
    bad_input("{}: it holds no NAME.input_ids, so there is nothing to verify against",
              file.string());
  }
  return report;
}

VerifyReport verify(const Model& model, const Model& reference, std::span<const int32_t> tokens,
                    Place& place) {
  const Config &a = model.config(), &b = reference.config();
  if (a.vocabulary != b.vocabulary || a.hidden != b.hidden || a.layers != b.layers) {
    bad_input(
        "the models have {} and {} tokens, width {} and {}, {} and {} layers; only the same "
        "shape can be compared",
        a.vocabulary, b.vocabulary, a.hidden, b.hidden, a.layers, b.layers);
  }
  std::vector<std::vector<float>> hidden, expected_hidden;
  const bool with_hidden = place.is_cpu();
  const std::vector<float> ours =
      logits_there(model, place, tokens, with_hidden ? &hidden : nullptr);
  const std::vector<float> expected =
      logits_of(reference.weights(), tokens, with_hidden ? &expected_hidden : nullptr);
  VerifyReport report;
  report.prompts.push_back(compare_logits("text", ours, expected, std::ssize(tokens)));
  for (size_t i = 0; i < hidden.size(); ++i) {
    const Distance d = distance(hidden[i], expected_hidden[i]);
    report.hidden.push_back({hidden_name(i, a.layers), d.relative_l2, d.max_difference});
  }
  return report;
}

}  // namespace trit
