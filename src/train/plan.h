#pragma once
// What a run will take, before it starts: memory of each rank, operations, hours, joules. Formulas:
//
//   multiplied weights    M = linear weights + V C (the head)
//   operations a token    6 M + 6 L T H D: two for a multiply-add, forward once and backward twice; half of the attention's
//                         T x T products, which is all that a causal model needs
//   with --recompute     2 M + 2 L T H D more: every layer's forward pass once again
//   hours                 operations of all tokens / (ranks x peak x reached share of it)
//   joules                seconds x ranks x watts
//
//   memory of a rank      masters 4 P, levels (2 bits a ternary or binary weight), moments 8 P / ranks, gradients
//                         4 P (1 + ceil(log2(parts of a rank))), activations and what the backward pass and the logits of
//                         512 rows need beside them, for the N tokens of a micro-batch
//
// P counts all parameters. Counted activations are those of model/model.h, a float each (2 bytes on devices). With
// --recompute a layer keeps its input alone, and one layer at a time the rest.

#include <cstdint>
#include <string>

#include "base/json.h"
#include "train/run.h"

namespace trit {

// One rank's part of a machine.
struct Hardware {
  std::string name;
  double peak = 0;         // operations a second, dense bfloat16 on a device, float32 on a CPU
  double reached = 0;      // share of it that a training step reaches
  double watts = 0;        // 0: not known
  double memory = 0;       // bytes; 0: not known
  int float_bytes = 4;     // of an activation
  std::string where_from;  // the figures above
};
// "cpu" (for this program's threads), "h100", "h200", or a JSON file with the members name, peak, reached, watts, memory and
// float_bytes. Throws Error naming the file and the member.
Hardware hardware(const std::string& name_or_file);

struct PlanOptions {
  int ranks = 1;
  int64_t vocabulary = 0;
  bool recompute = false;
};

struct Plan {
  Hardware hardware;
  Config config;
  int ranks = 1;
  bool recompute = false;
  int64_t parameters = 0, linear_parameters = 0;
  int64_t steps = 0, tokens_per_step = 0, micro_tokens = 0;  // a micro-batch's
  double tokens = 0;
  // Bytes of one rank.
  double masters = 0, levels = 0, gradients = 0, moments = 0, activations = 0, backward = 0;
  double memory() const { return masters + levels + gradients + moments + activations + backward; }
  double token_operations = 0,
         operations = 0;         // without what --recompute repeats; of a token, of the run
  double hours = 0, joules = 0;  // joules 0: not known
  double tokens_per_second = 0;
};
// Throws Error when the options are no run (see train()).
Plan make_plan(const RunOptions& options, const Hardware& hardware, const PlanOptions& plan);

double token_operations(const Config& config, int64_t sequence_length);
OrderedJson to_json(const Plan& plan);
std::string to_text(const Plan& plan);

}  // namespace trit
