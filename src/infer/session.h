#pragma once
// One sequence running through a model: its cache, its position, its logits. For what feeds tokens by hand
// (verification, timing); what generates text for people is the engine.

#include <cstdint>
#include <span>
#include <vector>

#include "infer/cpu_backend.h"
#include "infer/sequence_pages.h"

namespace trit {

class Session {
 public:
  // Room for `context` positions (at most the model's). The weights must outlive the session.
  Session(const Weights& weights, int64_t context, KvType kv_type = KvType::kF32);
  Session(const Session&) = delete;

  // Runs tokens at the next positions and returns the logits [V] after the last one, valid until the
  // next call. Throws Error when they do not fit in the context. Long prompts run in pieces; the
  // result does not depend on how tokens are divided between calls.
  std::span<float> feed(std::span<const int32_t> tokens);

  // Forgets all positions from `position` on.
  void rewind(int64_t position);

  int64_t position() const { return position_; }
  int64_t context() const { return context_; }
  // Bytes of cached keys and values per position.
  int64_t cache_bytes_per_position() const {
    return backend_.page_bytes() / backend_.page_positions();
  }

 private:
  int64_t context_, position_ = 0;
  CpuBackend backend_;
  PagePool pool_;
  SequencePages pages_;
  std::vector<float> logits_;
};

}  // namespace trit
