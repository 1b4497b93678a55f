// The engine on real models: the bits of a sequence's logits are its own, for every type of cache.

#include <gtest/gtest.h>

#include <map>

#include "infer/cpu_backend.h"
#include "infer/engine.h"
#include "infer/session.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

Config config() {
  Config c = preset("nano");
  c.vocabulary = 300;
  c.layers = 2;
  c.context = 512;
  return c;
}

// All logits from the prompt's last position on, and the tokens.
struct Trace {
  std::vector<float> logits;
  std::vector<int32_t> tokens;
  bool operator==(const Trace&) const = default;
};

class EngineOnModel : public testing::TestWithParam<KvType> {
 protected:
  using Traces = std::map<RequestId, Trace>;

  static Request request(int64_t length, uint64_t seed, int64_t max_tokens) {
    Rng rng(seed);
    Request r;
    for (int64_t i = 0; i < length; ++i) {
      // Two texts that all begin with, so that pages are shared, and an end of their own.
      const uint64_t common = splitmix64(static_cast<uint64_t>(i) + seed % 2 * 1000);
      r.prompt.push_back(static_cast<int32_t>((i < length - 20 ? common : rng.next()) % 300));
    }
    r.max_tokens = max_tokens;
    r.sampler.seed = seed;
    return r;
  }
  static std::vector<Request> requests() {
    return {request(1, 1, 140),   request(60, 2, 140), request(60, 3, 140), request(300, 4, 20),
            request(290, 5, 20),  request(64, 6, 70),  request(128, 7, 1),  request(150, 8, 30),
            request(300, 10, 20), request(60, 2, 30)};
  }
  // Submits the requests, one more with every `stagger` steps (0: all before the first).
  static Traces run(Engine& engine, std::vector<Request> requests, int stagger) {
    Traces traces;
    std::map<RequestId, RequestId> places;  // in `requests`, by number
    for (int step = 0; std::ssize(places) < std::ssize(requests) || !engine.idle(); ++step) {
      while (std::ssize(places) < std::ssize(requests) && (stagger == 0 || step % stagger == 0)) {
        const RequestId place = std::ssize(places);
        Request& r = requests[static_cast<size_t>(place)];
        r.observe_from = std::ssize(r.prompt) - 1;
        r.observe = [&kept = traces[place].logits](int64_t, std::span<const float> logits) {
          kept.insert(kept.end(), logits.begin(), logits.end());
        };
        places[engine.submit(r)] = place;
        if (stagger != 0) break;
      }
      for (const Event& event : engine.step())
        if (event.token >= 0) traces[places.at(event.id)].tokens.push_back(event.token);
    }
    return traces;
  }
  Traces alone() const {
    Traces traces;
    const std::vector<Request> all = requests();
    for (size_t i = 0; i < all.size(); ++i) {
      CpuBackend backend(model.weights(), {.kv_type = GetParam()});
      Engine engine(backend, {.prefix_cache = false});
      traces[static_cast<RequestId>(i)] = run(engine, {all[i]}, 0)[0];
    }
    return traces;
  }
  static void expect_equal(const Traces& traces, const Traces& expected) {
    ASSERT_EQ(traces.size(), expected.size());
    for (const auto& [id, trace] : expected) {
      EXPECT_EQ(traces.at(id).tokens, trace.tokens) << id;
      EXPECT_TRUE(traces.at(id).logits == trace.logits) << id;
    }
  }

  Model model = Model::random(config(), 5);
};

TEST_P(EngineOnModel, TheBitsOfASequenceAreItsOwn) {
  const Traces expected = alone();
  struct Case {
    int64_t positions, max_rows, beside, sequences;
    bool cache;
    int stagger;
  };
  for (const Case& c : {Case{4096, 256, 64, 64, false, 0},  // all at once
                        Case{4096, 256, 64, 64, true, 0},   // with what they share
                        Case{4096, 7, 3, 5, true, 2},       // in small pieces, few at once
                        Case{4096, 100, 50, 64, true, 25},  // one after the other
                        Case{512, 64, 64, 64, true, 0},     // in a cache that is too small
                        Case{512, 33, 9, 64, false, 1}}) {
    CpuBackend backend(model.weights(),
                       {.kv_type = GetParam(), .positions = c.positions, .max_rows = c.max_rows});
    Engine engine(
        backend,
        {.max_sequences = c.sequences, .prompt_rows_beside = c.beside, .prefix_cache = c.cache});
    expect_equal(run(engine, requests(), c.stagger), expected);
    const EngineStatus status = engine.status();
    EXPECT_EQ(status.held_pages, 0);
    EXPECT_EQ(status.preemptions > 0, c.positions == 512);
    EXPECT_EQ(status.reused > 0, c.cache);
    if (!c.cache) continue;
    // Once more, one after the other, from the cache: all but the last token is there, room permitting.
    expect_equal(run(engine, requests(), 200), expected);
    int64_t prompts = 0;
    for (const Request& r : requests()) prompts += std::ssize(r.prompt) - 1;
    if (c.positions == 4096) {
      EXPECT_EQ(engine.status().reused - status.reused, prompts);
    }
  }
}

TEST_P(EngineOnModel, EqualsASession) {
  const Request r = request(300, 4, 20);
  Session session(model.weights(), 400, GetParam());
  Sampler sampler(r.sampler);
  Trace expected;
  std::vector<int32_t> history = r.prompt;
  std::span<float> logits = session.feed(r.prompt);
  for (int i = 0; i < 20; ++i) {
    expected.logits.insert(expected.logits.end(), logits.begin(), logits.end());
    history.push_back(sampler.sample(logits, history));
    expected.tokens.push_back(history.back());
    logits = session.feed({&history.back(), 1});
  }
  CpuBackend backend(model.weights(), {.kv_type = GetParam()});
  Engine engine(backend);
  EXPECT_TRUE(run(engine, {r}, 0)[0] == expected);
}

std::vector<KvType> types() {
  std::vector<KvType> all;
  for (int i = 0; i < kernels::kKvTypes; ++i) all.push_back(static_cast<KvType>(i));
  return all;
}
INSTANTIATE_TEST_SUITE_P(Types, EngineOnModel, testing::ValuesIn(types()));

}  // namespace
}  // namespace trit
