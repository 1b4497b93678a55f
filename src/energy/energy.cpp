#include "energy/energy.h"

namespace trit {
namespace {

constexpr double kPico = 1e-12;

Joules joules(double additions, double multiplications, OpEnergy add_op, OpEnergy mul_op) {
  return {additions * add_op.add * kPico, multiplications * mul_op.mul * kPico};
}

Joules attention(const EnergyShape& shape, int64_t tokens, OpEnergy op) {
  const auto t = static_cast<double>(tokens);
  const double macs =
      2 * t * t * static_cast<double>(shape.attention_width) * static_cast<double>(shape.layers);
  return joules(macs, macs, op, op);
}

}  // namespace

EnergyShape energy_shape(const Config& c) {
  const int64_t query = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const int64_t ends = 2 * (c.hidden + query) + 2 * (c.hidden + kv) + 3 * (c.hidden + c.ffn);
  return {c.layers, c.linear_parameters(), c.layers * ends, query};
}

PassEnergy float_pass_energy(const EnergyShape& shape, int64_t tokens, OpEnergy op) {
  const double macs = static_cast<double>(shape.linear_weights) * static_cast<double>(tokens);
  return {joules(macs, macs, op, op), attention(shape, tokens, op)};
}

PassEnergy bitnet_pass_energy(const EnergyShape& shape, int64_t tokens,
                              const ProcessEnergy& process) {
  const auto t = static_cast<double>(tokens);
  const double additions = static_cast<double>(shape.linear_weights) * t;
  const double scalings = static_cast<double>(shape.linear_ends) * t;
  return {joules(additions, scalings, process.int8, process.fp16),
          attention(shape, tokens, process.fp16)};
}

TrafficEnergy traffic_energy(double bytes) {
  return {bytes * kDramLeastPerByte * kPico, bytes * kDramMostPerByte * kPico};
}

double matmul_energy_ratio(const ProcessEnergy& process) {
  return (process.fp16.add + process.fp16.mul) / process.int8.add;
}

}  // namespace trit
