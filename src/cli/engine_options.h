#pragma once
// What the commands that generate text run on: options of the engine and its cache.

#include "base/error.h"
#include "infer/cpu_backend.h"
#include "infer/engine.h"

namespace trit {

struct EngineFlags {
  int64_t context = 0;
  std::string kv_type = "f16";
  int64_t batch = 512;
};

// `context_help` says what a context of 0 means.
template <class Visitor>
void visit_options(EngineFlags& flags, const std::string& context_help, Visitor&& v) {
  v("context,-c,--ctx-size", flags.context, context_help);
  v("kv-type", flags.kv_type,
    "how keys and values are cached: f16, f32 (slow, to the last bit), int8 or int4");
  v("batch,-b,--batch-size", flags.batch,
    "rows of a step: prompts run in pieces of so many tokens");
}

inline void validate(const EngineFlags& flags) {
  kv_type_from(flags.kv_type);
  if (flags.context < 0)
    bad_input("--context: {} is negative; it must be 0 or more", flags.context);
  if (flags.batch < 1 || flags.batch > 65536)
    bad_input("--batch: {} is out of range; it must be between 1 and 65536", flags.batch);
}

// An engine for `sequences` of `context` positions each. What they have in common is kept once, and memory is
// taken as they grow.
struct LocalEngine {
  LocalEngine(const Weights& weights, const EngineFlags& flags, int64_t context,
              int64_t sequences = 1)
      : backend(weights, {.kv_type = kv_type_from(flags.kv_type),
                          .positions = sequences * (context + kernels::kPagePositions),
                          .max_rows = std::min(flags.batch, std::max(context, sequences))}),
        engine(backend, {.context = context, .max_sequences = sequences}) {}
  CpuBackend backend;
  Engine engine;
};

}  // namespace trit
