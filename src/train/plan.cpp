#include "train/plan.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/progress.h"
#include "base/thread_pool.h"

namespace trit {
namespace {

constexpr int64_t kLogitRows = 512;  // ops/loss.h

// One thread with AVX-512: 116 G multiply-adds a second; trit's step of the shape mini reaches 29 % of two of them.
constexpr double kThreadPeak = 232e9, kThreadReached = 0.29;

Hardware of_cpu() {
  return {
      "cpu",
      kThreadPeak * thread_count(),
      kThreadReached,
      0,
      0,
      4,
      fmt::format("{} threads of a Xeon with AVX-512, as measured on two of them", thread_count())};
}
// A training step of the LLaMA of 1.3B parameters in PyTorch 2.11 reaches half of the peak.
Hardware of_device(const char* name, double memory) {
  return {name,
          989.4e12,
          0.5,
          700,
          memory,
          2,
          "data sheet; half of the peak, as PyTorch reaches at 1.3B"};
}

Hardware read_hardware(const Path& file) {
  const std::string where = file.string();
  const Json json = parse_json(read_text(file, 1 << 20), where);
  if (!json.is_object()) bad_input("{}: it is no JSON object", where);
  Hardware hardware;
  hardware.name = json_string(json, "name", where);
  hardware.where_from = where;
  const auto number = [&](const char* member, double least, double most) {
    const auto found = json.find(member);
    const double value = found != json.end() && found->is_number() ? found->get<double>() : -1;
    if (!(value >= least && value <= most))
      bad_input("{}: {} is {}; it must be a number from {} to {}", where, member,
                found == json.end() ? "missing" : printable(found->dump()), least, most);
    return value;
  };
  hardware.peak = number("peak", 1, 1e30);
  hardware.reached = number("reached", 1e-6, 1);
  hardware.watts = number("watts", 0, 1e9);
  hardware.memory = number("memory", 0, 1e18);
  hardware.float_bytes = static_cast<int>(number("float_bytes", 1, 8));
  return hardware;
}

struct Activations {
  int64_t kept, input;  // elements of a token in a layer: all, and what --recompute keeps
};
Activations of_layer(const Config& c) {
  const int64_t query = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  int64_t kept = 2 * c.hidden + 2 * query + 2 * kv + c.heads + 3 * c.ffn;
  if (c.block_norms()) kept += 2 * c.hidden;
  if (c.qk_norms) kept += query + kv;
  if (c.sub_norms()) kept += query + c.ffn;
  return {kept, c.hidden};
}

// Gradients of a layer's activations, shared by all layers.
int64_t backward_elements(const Config& c) {
  const int64_t query = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  return 3 * c.hidden + 3 * query + 2 * kv + 3 * c.ffn;
}

}  // namespace

Hardware hardware(const std::string& name) {
  if (name == "cpu") return of_cpu();
  if (name == "h100") return of_device("h100", 80e9);
  if (name == "h200") return of_device("h200", 141e9);
  if (!std::filesystem::exists(name))
    bad_input("--hardware: '{}' is neither cpu, h100 or h200 nor a file", printable(name));
  return read_hardware(name);
}

Plan make_plan(const RunOptions& given, const Hardware& hardware, const PlanOptions& asked) {
  const RunOptions o = settle_run(given, asked.ranks, hardware.float_bytes < 4);
  Plan p;
  p.hardware = hardware;
  p.config = run_config(o, asked.vocabulary > 0 ? asked.vocabulary : preset(o.preset).vocabulary);
  p.ranks = asked.ranks;
  p.recompute = asked.recompute;
  const Config& c = p.config;
  p.parameters = c.parameters();
  p.linear_parameters = c.linear_parameters();
  p.steps = o.steps;
  p.tokens_per_step = o.batch * o.sequence_length;
  p.micro_tokens = o.micro_batch * o.sequence_length;
  p.tokens = static_cast<double>(o.steps) * static_cast<double>(p.tokens_per_step);

  const auto P = static_cast<double>(p.parameters);
  const int64_t parts = o.gradient_parts / p.ranks;
  p.masters = 4 * P;
  if (c.weights != WeightKind::kFloat) p.levels = static_cast<double>(p.linear_parameters) / 4;
  p.gradients = 4 * P * (1 + std::bit_width(static_cast<uint64_t>(parts - 1)));
  p.moments = 8 * P / p.ranks;
  const auto [kept, input] = of_layer(c);
  const int64_t elements = p.recompute ? c.layers * input + kept : c.layers * kept;
  p.activations = static_cast<double>(p.micro_tokens * elements) * hardware.float_bytes;
  p.backward = static_cast<double>(p.micro_tokens * backward_elements(c)) * hardware.float_bytes +
               4.0 * static_cast<double>(std::min(kLogitRows, p.micro_tokens) * c.vocabulary);

  p.token_operations = token_operations(c, o.sequence_length);
  p.operations = p.token_operations * p.tokens;
  const double repeated = p.recompute ? 4.0 / 3.0 : 1.0;
  const double seconds = p.operations * repeated / (p.ranks * hardware.peak * hardware.reached);
  p.hours = seconds / 3600;
  p.joules = seconds * p.ranks * hardware.watts;
  p.tokens_per_second = p.tokens / seconds;
  return p;
}

double token_operations(const Config& c, int64_t sequence_length) {
  const auto multiplied = static_cast<double>(c.linear_parameters() + c.vocabulary * c.hidden);
  const auto attention = static_cast<double>(c.layers * sequence_length * c.heads * c.head_dim);
  return 6 * (multiplied + attention);
}

OrderedJson to_json(const Plan& p) {
  const Hardware& h = p.hardware;
  return {{"hardware",
           {{"name", h.name},
            {"peak", h.peak},
            {"reached", h.reached},
            {"watts", h.watts},
            {"memory", h.memory},
            {"float_bytes", h.float_bytes}}},
          {"ranks", p.ranks},
          {"recompute", p.recompute},
          {"parameters", p.parameters},
          {"linear_parameters", p.linear_parameters},
          {"steps", p.steps},
          {"tokens", p.tokens},
          {"micro_tokens", p.micro_tokens},
          {"rank_bytes",
           {{"masters", p.masters},
            {"levels", p.levels},
            {"gradients", p.gradients},
            {"moments", p.moments},
            {"activations", p.activations},
            {"backward", p.backward},
            {"total", p.memory()}}},
          {"token_operations", p.token_operations},
          {"operations", p.operations},
          {"tokens_per_second", p.tokens_per_second},
          {"hours", p.hours},
          {"joules", p.joules > 0 ? Json(p.joules) : Json()}};
}

std::string to_text(const Plan& p) {
  const Hardware& h = p.hardware;
  const auto count = [](auto value) { return human_count(static_cast<double>(value)); };
  std::string text = fmt::format(
      "{} parameters, {} of them in linear layers ({})\n"
      "{} steps of {} tokens: {} tokens\n"
      "{} x {}: {:.3g} operations a second at best, {:.0f} % reached ({})\n\n",
      count(p.parameters), count(p.linear_parameters), to_string(p.config.weights), p.steps,
      count(p.tokens_per_step), count(p.tokens), p.ranks, h.name, h.peak, 100 * h.reached,
      h.where_from);
  const auto row = [&](const char* name, double bytes) {
    text += fmt::format("{:<28}{:>12}\n", name, human_bytes(bytes));
  };
  row("masters", p.masters);
  row("levels", p.levels);
  row("gradients", p.gradients);
  row("moments", p.moments);
  row(p.recompute ? "activations, inputs alone" : "activations", p.activations);
  row("backward pass and logits", p.backward);
  row("memory of a rank", p.memory());
  if (h.memory > 0 && p.memory() > h.memory)
    text += fmt::format("  more than the {} that it has: --micro-batch below {} or --recompute\n",
                        human_bytes(h.memory), p.micro_tokens);
  text += fmt::format("\n{:.3g} operations a token, {:.3g} in all\n{:.0f} tokens a second, {}",
                      p.token_operations, p.operations, p.tokens_per_second,
                      human_time(p.hours * 3600));
  text += p.joules > 0 ? fmt::format(", {:.3g} kWh ({:.3g} J at {:.0f} W a rank)\n",
                                     p.joules / 3.6e6, p.joules, h.watts)
                       : std::string("; watts not known\n");
  return text;
}

}  // namespace trit
