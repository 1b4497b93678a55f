#pragma once
// What the commands that generate text run on: options of the engine and its cache.

#include <array>
#include <optional>

#include "base/error.h"
#include "infer/engine.h"
#include "infer/place.h"
#include "infer/rank_backend.h"

namespace trit {

struct EngineFlags {
  int64_t context = 0;
  std::string kv_type = "f16";
  int64_t batch = 512;
  std::string device = "cpu";
  int pipeline = 1;
};

// `context_help` says what a context of 0 means.
template <class Visitor>
void visit_options(EngineFlags& flags, const std::string& context_help, Visitor&& v) {
  v("context,-c,--ctx-size", flags.context, context_help);
  v("kv-type", flags.kv_type,
    "how keys and values are cached: f16, f32 (slow, to the last bit), int8 or int4");
  v("batch,-b,--batch-size", flags.batch,
    "rows of a step: prompts run in pieces of so many tokens");
  v("device", flags.device, "what runs the model: cpu, cuda or cuda:N");
  v("pipeline", flags.pipeline,
    "under mpirun: stages that the layers are divided among; the ranks of a stage divide its "
    "matrices");
}

inline void validate(const EngineFlags& flags) {
  kv_type_from(flags.kv_type);
  if (flags.context < 0)
    bad_input("--context: {} is negative; it must be 0 or more", flags.context);
  if (flags.batch < 1 || flags.batch > 65536)
    bad_input("--batch: {} is out of range; it must be between 1 and 65536", flags.batch);
}

inline Ranks ranks_of(const EngineFlags& flags) { return ranks_of_job(flags.pipeline); }

// An engine for `sequences` of `context` positions each, as rank 0 says. What they have in common is kept once, and
// memory is taken as they grow. The weights are this rank's part of the model.
class LocalEngine {
 public:
  LocalEngine(const Weights& weights, const EngineFlags& flags, const Ranks& ranks, Place& place,
              int64_t context, int64_t sequences = 1)
      : ranks_(ranks),
        sizes_(agreed(ranks, flags, context, sequences)),
        backend_(place.backend(weights, {.kv_type = kv_type_from(flags.kv_type),
                                         .positions = sizes_.positions,
                                         .max_rows = sizes_.max_rows})) {
    if (ranks.job() == nullptr) {
      engine_.emplace(*backend_, options());
    } else if (leads(ranks)) {
      together_.emplace(ranks, *backend_);
      engine_.emplace(*together_, options());
    }
  }
  Engine& engine() { return *engine_; }               // on rank 0
  void follow() { trit::follow(ranks_, *backend_); }  // on the others

 private:
  struct Sizes {
    int64_t context, sequences, positions, max_rows;
  };
  static Sizes agreed(const Ranks& ranks, const EngineFlags& flags, int64_t context,
                      int64_t sequences) {
    Sizes sizes{context, sequences, sequences * (context + kernels::kPagePositions),
                std::min(flags.batch, std::max(context, sequences))};
    if (ranks.job() != nullptr)
      ranks.job()->broadcast(std::as_writable_bytes(std::span(&sizes, 1)), 0);
    return sizes;
  }
  EngineOptions options() const {
    return {.context = sizes_.context, .max_sequences = sizes_.sequences};
  }

  const Ranks& ranks_;
  Sizes sizes_;
  std::unique_ptr<Backend> backend_;
  std::optional<RankBackend> together_;
  std::optional<Engine> engine_;
};

inline void follow_rank_0(const Weights& weights, const EngineFlags& flags, const Ranks& ranks,
                          Place& place) {
  LocalEngine(weights, flags, ranks, place, 1).follow();
}

}  // namespace trit
