#pragma once
// For tests of ranks: what an engine writes with a backend, with all logits behind it.

#include <gtest/gtest.h>

#include <vector>

#include "infer/engine.h"

namespace trit {

// Sizes that three ranks cannot share evenly, but for the heads.
inline Config uneven_shape(Family family) {
  Config c = preset("nano");
  c.vocabulary = 301;
  c.layers = 3;
  c.heads = 6;
  c.kv_heads = 6;
  c.head_dim = 16;
  c.hidden = 100;
  c.ffn = 203;
  c.context = 256;
  return as_family(c, family);
}

struct Trace {
  std::vector<int32_t> tokens;
  std::vector<float> logits;
  bool operator==(const Trace&) const = default;
};

// Three prompts at once, the first two beginning alike; in a cache of 320 positions (256 where a step has
// eight rows) one has to stand back.
inline std::vector<Trace> traces_of(Backend& backend) {
  Engine engine(backend, {.prompt_rows_beside = 16});
  std::vector<Trace> traces(3);
  for (size_t i = 0; i < traces.size(); ++i) {
    Request r;
    for (int32_t t = 0; t < 70; ++t)
      r.prompt.push_back((t * 7 + (i == 2 ? 5 : t > 66 ? int(i) : 0)) % 301);
    r.max_tokens = 100;
    r.sampler.seed = i;
    r.observe = [&logits = traces[i].logits](int64_t, std::span<const float> row) {
      logits.insert(logits.end(), row.begin(), row.end());
    };
    r.observe_from = 69;
    engine.submit(std::move(r));
  }
  while (!engine.idle()) {
    for (const Event& event : engine.step())
      if (event.token >= 0) traces[static_cast<size_t>(event.id)].tokens.push_back(event.token);
  }
  EXPECT_GT(engine.status().preemptions, 0);
  return traces;
}

}  // namespace trit
