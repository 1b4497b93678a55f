#pragma once
// The energy model of the BitNet papers: joules of the matrix products of one pass over T tokens,
// from the number of additions and multiplications and the energy of one. It is a model of the
// arithmetic alone: no memory traffic (which stands apart, below), embedding, head, norms or softmax.
//
// BitNet (arXiv 2310.11453, section 2 and Tables 1 and 2) gives the form, BitNet b1.58 (arXiv
// 2402.17764, Figure 3) and the 2B4T report (arXiv 2504.12285, Table 1) the figures it reproduces.

#include <cstdint>

#include "model/config.h"

namespace trit {

// Picojoules of one operation.
struct OpEnergy {
  double add = 0, mul = 0;
};
struct ProcessEnergy {
  OpEnergy fp32, fp16, int8;
};
// BitNet, Table 2.
inline constexpr ProcessEnergy kEnergy45nm{{0.9, 3.7}, {0.4, 1.1}, {0.03, 0.2}};
inline constexpr ProcessEnergy kEnergy7nm{{0.38, 1.31}, {0.16, 0.34}, {0.007, 0.07}};

// What the model needs to know of a network.
struct EnergyShape {
  int64_t layers = 0;
  int64_t linear_weights = 0;   // N: inputs * outputs, summed over the linear layers of all blocks
  int64_t linear_ends = 0;      // inputs + outputs, summed over the same layers
  int64_t attention_width = 0;  // H: heads * head size
};

EnergyShape energy_shape(const Config& config);

struct Joules {
  double add = 0, mul = 0;
  double total() const { return add + mul; }
};
struct PassEnergy {
  Joules linear, attention;
  double add() const { return linear.add + attention.add; }
  double mul() const { return linear.mul + attention.mul; }
  double total() const { return add() + mul(); }
};

// One pass over T tokens. Every multiply-accumulate is one addition and one multiplication:
//   linear     N T
//   attention  2 T^2 H layers    (query-key and weight-value products, not halved for causality)
// `op` is fp16 for the LLaMA baseline.
PassEnergy float_pass_energy(const EnergyShape& shape, int64_t tokens, OpEnergy op);

// The same for ternary or binary weights: the linear layers' N T additions are int8, and their only
// multiplications are the fp16 ones that scale inputs and outputs, linear_ends T (BitNet,
// equation 18). Attention is that of the fp16 model.
PassEnergy bitnet_pass_energy(const EnergyShape& shape, int64_t tokens,
                              const ProcessEnergy& process);

// Picojoules of a byte that comes from memory outside the chip: 1.3 to 2.6 nJ for 64 bits (Horowitz, "Computing's energy
// problem", ISSCC 2014, Figure 1.1.9). It is the memory's and the wires', so it does not shrink with the process.
inline constexpr double kDramLeastPerByte = 1300.0 / 8, kDramMostPerByte = 2600.0 / 8;

// What reading so many bytes takes at the least and at the most. The papers leave it out; in generation, where each
// token reads every weight, it is many times the arithmetic.
struct TrafficEnergy {
  double least = 0, most = 0;  // joules
};
TrafficEnergy traffic_energy(double bytes);

// Energy of an fp16 multiply-accumulate over that of an int8 addition: 71.4 at 7 nm (BitNet b1.58,
// Figure 3, left).
double matmul_energy_ratio(const ProcessEnergy& process);

}  // namespace trit
