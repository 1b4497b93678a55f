#pragma once
// One sequence running through a model: its cache, its position, its logits.

#include <cstdint>
#include <span>
#include <vector>

#include "model/transformer.h"

namespace trit {

class Session {
 public:
  // Room for `context` positions (at most the model's). The weights must outlive the session.
  Session(const Weights& weights, int64_t context);

  // Runs tokens at the next positions and returns the logits [V] after the last one, valid until the
  // next call. Throws Error when they do not fit in the context. Long prompts run in pieces; the
  // result does not depend on how tokens are divided between calls.
  std::span<float> feed(std::span<const int32_t> tokens);

  // Forgets all positions from `position` on.
  void rewind(int64_t position);

  int64_t position() const { return position_; }
  int64_t context() const { return context_; }
  // Bytes of cached keys and values per position.
  int64_t cache_bytes_per_position() const;

 private:
  const Weights& weights_;
  int64_t context_, position_ = 0;
  State state_;
  std::vector<float> logits_;
};

}  // namespace trit
