#pragma once
// Does a model compute what another implementation computed, or what another file of it computes?

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "infer/place.h"
#include "model/checkpoint.h"

namespace trit {

// How far rows of logits are from the reference's.
struct LogitsReport {
  std::string prompt;
  int64_t positions = 0;
  double relative_l2 = 0;           // |ours - reference| / |reference|, all positions together
  double max_difference = 0;        // of single logits
  double mean_kl = 0;               // mean over positions of KL(reference || ours), in nats
  double top1_agreement = 0;        // share of positions with the same largest logit
  std::vector<double> by_position;  // relative L2
};

// One hidden state: the residual stream after some layer.
struct HiddenReport {
  std::string name;  // "embedding", "layer 0", ..., "final norm"
  double relative_l2 = 0, max_difference = 0;
};

struct VerifyReport {
  std::vector<LogitsReport> prompts;
  std::vector<HiddenReport> hidden;  // of the first prompt that has them
  int64_t greedy_tokens = 0;         // that the reference chose ...
  int64_t greedy_agreed = 0;  // ... and how many of them the model chose, up to the first other one
  double worst_relative_l2() const;
  // The first hidden state further than `tolerance` from the reference; nothing when none is.
  std::optional<std::string> first_difference(double tolerance) const;
};

// Logits [tokens, V] of every position and, when `hidden` is given, the layers + 2 hidden states
// [tokens, C]: embeddings, after each layer, after the final norm.
std::vector<float> logits_of(const Weights& weights, std::span<const int32_t> tokens,
                             std::vector<std::vector<float>>* hidden = nullptr);
// The logits alone, by a backend with room for that many positions.
std::vector<float> logits_of(Backend& backend, std::span<const int32_t> tokens);

// Against stored results: NAME.input_ids (I64 [N]) and NAME.logits (F32 [N, V]) for each prompt NAME,
// and where they are there NAME.hidden.0 to .L, NAME.hidden.final_norm (F32 [N, C]) and NAME.greedy_ids
// (I64: the tokens that greedy decoding adds). Throws Error naming file and tensor when they do not fit.
//
// The model, in the form for `place`, runs there, with float32 keys and values; on a device without hidden states.
VerifyReport verify(const Model& model, const Safetensors& reference, const Path& file,
                    Place& place);

// Against another model of the same vocabulary on the CPU, on `tokens`.
VerifyReport verify(const Model& model, const Model& reference, std::span<const int32_t> tokens,
                    Place& place);

}  // namespace trit
