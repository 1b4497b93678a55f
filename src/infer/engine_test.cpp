#include "infer/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/rng.h"
#include "infer/test_backend.h"

namespace trit {
namespace {

using Tokens = std::vector<int32_t>;

Tokens text(int64_t count, uint64_t seed, int64_t letters = 12) {
  Rng rng(seed);
  Tokens tokens(static_cast<size_t>(count));
  for (auto& t : tokens) t = static_cast<int32_t>(rng.below(static_cast<uint64_t>(letters)));
  return tokens;
}

Request request(Tokens prompt, int64_t max_tokens, uint64_t seed = 1) {
  Request r;
  r.prompt = std::move(prompt);
  r.max_tokens = max_tokens;
  r.sampler.seed = seed;
  return r;
}

// The tokens that follow, from the model alone: no pages, no engine.
Tokens expected(const TestBackend& backend, const Request& r) {
  Sampler sampler(r.sampler);
  Tokens tokens = r.prompt, made;
  for (int64_t i = 0; i < r.max_tokens; ++i) {
    std::vector<float> logits = backend.expected_logits(tokens);
    made.push_back(sampler.sample(logits, tokens));
    tokens.push_back(made.back());
  }
  return made;
}

// The last `count` positions of the prompt score tokens drawn anew.
Request scoring_request(Tokens prompt, int64_t count, uint64_t seed) {
  Request r = request(std::move(prompt), 0);
  r.targets = text(count, seed);
  r.compare_greedy = true;
  return r;
}

void expect_scores(const TestBackend& backend, const Request& r,
                   std::span<const TokenScore> scores) {
  ASSERT_EQ(scores.size(), r.targets.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    const size_t seen = r.prompt.size() - r.targets.size() + i + 1;
    const std::vector<float> logits = backend.expected_logits(std::span(r.prompt).first(seen));
    const auto best = std::ranges::max_element(logits);
    double sum = 0;
    for (const float l : logits) sum += std::exp(static_cast<double>(l - *best));
    const auto target = static_cast<size_t>(r.targets[i]);
    EXPECT_NEAR(scores[i].loss, std::log(sum) + static_cast<double>(*best - logits[target]), 1e-5);
    EXPECT_EQ(scores[i].greedy, best - logits.begin() == r.targets[i]);
  }
}

struct Result {
  Tokens tokens;
  std::optional<StopReason> end;
  int64_t reused = 0;
  std::string error;
  std::vector<TokenScore> scores;
};

void collect(std::span<const Event> events, std::map<RequestId, Result>& results) {
  for (const Event& event : events) {
    Result& result = results[event.id];
    EXPECT_FALSE(result.end) << "an event after the end";
    if (event.token >= 0) result.tokens.push_back(event.token);
    result.end = event.end;
    result.reused = event.reused;
    result.error = event.error;
    if (event.end) result.scores = event.scores;
  }
}

std::map<RequestId, Result> finish(Engine& engine, int64_t most_steps = 10000) {
  std::map<RequestId, Result> results;
  for (int64_t i = 0; !engine.idle(); ++i) {
    EXPECT_LT(i, most_steps) << "no end";
    if (i == most_steps) break;
    collect(engine.step(), results);
  }
  return results;
}

TEST(Engine, OneRequestGetsTheModelsTokens) {
  TestBackend backend(10, 4, 8);
  Engine engine(backend);
  const Request r = request(text(13, 1), 9);
  const RequestId id = engine.submit(r);
  const auto results = finish(engine);
  EXPECT_EQ(results.at(id).tokens, expected(backend, r));
  EXPECT_EQ(results.at(id).end, StopReason::kLength);
  EXPECT_EQ(backend.steps.size(), 2u + 8u);  // 13 rows in pieces of 8, then a row each
  EXPECT_EQ(engine.status().held_pages, 0);
}

// Rows of a step: those that generate, then prompts, the oldest first.
TEST(Engine, PromptsRunInPiecesBesideSequencesThatGenerate) {
  TestBackend backend(40, 4, 8);
  Engine engine(backend, {.prompt_rows_beside = 3});
  engine.submit(request({1}, 20));
  engine.submit(request({2, 2, 2, 2, 2}, 5));
  engine.submit(request({3, 3, 3}, 5));
  engine.step();
  EXPECT_EQ(backend.steps.back(), (Tokens{1, 2, 2, 2, 2, 2, 3, 3}));
  EXPECT_EQ(engine.step().size(), 3u);
  EXPECT_EQ(backend.steps.back().size(), 3u);  // the last of 3, and one each of the others
  engine.submit(request(Tokens(8, 4), 5));
  EXPECT_EQ(engine.step().size(), 3u);
  EXPECT_EQ(backend.steps.back().size(), 6u);
  EXPECT_EQ(engine.step().size(), 3u);
  EXPECT_EQ(engine.step().size(), 4u);
  EXPECT_EQ(backend.steps.back().size(), 5u);
}

TEST(Engine, SaysWhyARequestEnded) {
  TestBackend backend(10, 4, 8);
  Engine engine(backend, {.context = 16});
  Request r = request(text(5, 3), 8);
  const Tokens tokens = expected(backend, r);
  r.end_tokens = {49, tokens[2]};
  ASSERT_TRUE(tokens[0] != tokens[2] && tokens[1] != tokens[2]);
  const RequestId ended = engine.submit(r), full = engine.submit(request(text(9, 4), 100)),
                  none = engine.submit(request(text(9, 5), 0));
  const auto results = finish(engine);
  EXPECT_EQ(results.at(ended).end, StopReason::kEndOfText);
  EXPECT_EQ(results.at(ended).tokens, Tokens(tokens.begin(), tokens.begin() + 3));
  EXPECT_EQ(results.at(full).end, StopReason::kContextFull);
  EXPECT_EQ(results.at(full).tokens.size(), 16u - 9u + 1u);  // the last is sampled, not run
  EXPECT_EQ(results.at(none).end, StopReason::kLength);
  EXPECT_TRUE(results.at(none).tokens.empty());
}

// Four continuations of one context: the three that come later run only what they do not share, up to the first position
// that is scored.
TEST(Engine, ScoresTargetsAndSharesWhatIsBeforeThem) {
  TestBackend backend(64, 4, 64);
  Engine engine(backend);
  const Tokens context = text(21, 8);
  std::vector<Request> requests;
  for (int32_t i = 0; i < 4; ++i) {
    Tokens prompt = context;
    prompt.insert(prompt.end(), {i, 5});
    requests.push_back(scoring_request(prompt, 3, static_cast<uint64_t>(i)));
  }
  requests[2].targets = {0, 1, 2};  // some are hardly the best
  const RequestId first = engine.submit(requests[0]);
  expect_scores(backend, requests[0], finish(engine).at(first).scores);
  const int64_t rows = engine.status().rows;
  for (size_t i = 1; i < 4; ++i) engine.submit(requests[i]);
  const auto results = finish(engine);
  for (int64_t i = 1; i < 4; ++i) {
    expect_scores(backend, requests[static_cast<size_t>(i)], results.at(first + i).scores);
    EXPECT_EQ(results.at(first + i).reused, 20);  // the context less its last token
  }
  EXPECT_EQ(engine.status().rows - rows, 3 * 3);
}

TEST(Engine, FindsGreedyTargets) {
  TestBackend backend(64, 4, 64);
  Engine engine(backend);
  Request r = request(text(6, 9), 0);
  const std::vector<float> logits = backend.expected_logits(r.prompt);
  r.targets = {static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin())};
  const RequestId unasked = engine.submit(r);
  r.compare_greedy = true;
  const RequestId asked = engine.submit(r);
  const auto results = finish(engine);
  EXPECT_FALSE(results.at(unasked).scores[0].greedy);
  EXPECT_TRUE(results.at(asked).scores[0].greedy);
}

TEST(Engine, RefusesTargetsThatCannotBeScored) {
  TestBackend backend(64, 4, 64);
  Engine engine(backend);
  for (const Tokens& targets : {Tokens{50}, Tokens{-1}, Tokens{1, 2, 3, 4}}) {
    Request r = request(text(3, 9), 0);
    r.targets = targets;
    EXPECT_THROW(engine.submit(r), Error);
  }
  Request both = request(text(3, 9), 1);
  both.targets = {1};
  EXPECT_THROW(engine.submit(both), Error);
}

TEST(Engine, ACommonPrefixIsKeptOnceAndForksDiverge) {
  TestBackend backend(64, 4, 64);
  Engine engine(backend);
  const Tokens prompt = text(42, 6);
  std::map<RequestId, Request> requests;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const Request r = request(prompt, 10, seed);
    requests.emplace(engine.submit(r), r);
  }
  // The first computes the prompt; the others wait for its ten full pages and then run two rows each.
  std::map<RequestId, Result> results;
  collect(engine.step(), results);
  EXPECT_EQ(engine.status().running, 1);
  collect(engine.step(), results);
  EXPECT_EQ(backend.steps.back().size(), 1u + 7u * 2u);
  EXPECT_EQ(engine.status().held_pages, 10 + 8);
  while (!engine.idle()) collect(engine.step(), results);
  std::set<Tokens> different;
  for (const auto& [id, r] : requests) {
    EXPECT_EQ(results.at(id).tokens, expected(backend, r));
    EXPECT_EQ(results.at(id).reused, id == 0 ? 0 : 40);
    different.insert(results.at(id).tokens);
  }
  EXPECT_EQ(different.size(), 8u);
}

TEST(Engine, LaterRequestsGoOnFromTheLastCommonToken) {
  TestBackend backend(64, 4, 64);
  Engine engine(backend);
  const Request first = request(text(10, 7), 7);
  engine.submit(first);
  finish(engine);
  // What a conversation does: the text so far and something more. 16 tokens of the first were run.
  Tokens more = first.prompt;
  const Tokens made = expected(backend, first);
  more.insert(more.end(), made.begin(), made.end());
  more.insert(more.end(), {5, 5, 5});
  const Request second = request(more, 4);
  EXPECT_EQ(engine.submit(second), 1);
  auto results = finish(engine);
  EXPECT_EQ(results.at(1).reused, 16);
  EXPECT_EQ(results.at(1).tokens, expected(backend, second));
  // Another text from the eleventh token on: the page it stands in is copied.
  Tokens other(more.begin(), more.begin() + 10);
  other.push_back(more[10] == 3 ? 4 : 3);
  engine.submit(request(other, 4));
  results = finish(engine);
  EXPECT_EQ(results.at(2).reused, 10);
  EXPECT_EQ(results.at(2).tokens, expected(backend, request(other, 4)));
  EXPECT_EQ(backend.copies, 1);
  // The same prompt once more: all but its last token.
  engine.submit(request(other, 4));
  EXPECT_EQ(finish(engine).at(3).reused, 10);
  engine.forget_prefixes();
  engine.submit(request(other, 4));
  EXPECT_EQ(finish(engine).at(4).reused, 0);
}

TEST(Engine, ObserverGetsTheLogitsOfEveryPositionOnce) {
  TestBackend backend(20, 4, 8);
  Engine engine(backend);
  const Tokens tokens = text(21, 8);
  engine.submit(request(tokens, 0));
  finish(engine);
  Request r = request(tokens, 3);
  r.observe_from = 9;
  int64_t next = 9;
  const Tokens made = expected(backend, r);
  Tokens whole = tokens;
  whole.insert(whole.end(), made.begin(), made.end());
  r.observe = [&](int64_t position, std::span<const float> logits) {
    ASSERT_EQ(position, next++);
    EXPECT_TRUE(std::ranges::equal(logits, backend.expected_logits(std::span(whole).first(
                                               static_cast<size_t>(position) + 1))));
  };
  engine.submit(r);
  const auto results = finish(engine);
  EXPECT_EQ(results.at(1).reused, 9);  // positions before the first observed one
  EXPECT_EQ(results.at(1).tokens, made);
  EXPECT_EQ(next, 21 + 2);
}

TEST(Engine, SamplersThatNeedFewLogitsGetNoMore) {
  TestBackend backend(64, 4, 16);
  Engine engine(backend);
  std::vector<Request> requests(5, request(text(6, 9), 12));
  requests[0].sampler.temperature = 0;
  requests[1].sampler.top_k = 7;
  requests[2].sampler.top_k = 30;
  requests[2].sampler.repetition_penalty = 1.5;
  requests[2].sampler.repetition_window = 300;  // more than there are
  requests[3].sampler.top_k = 0;
  requests[4].sampler.repetition_penalty = 0.5;
  const std::vector<std::vector<int64_t>> asked = {{1}, {7}, {50}, {}, {}};
  for (size_t i = 0; i < requests.size(); ++i) {
    backend.asked.clear();
    backend.full_heads = 0;
    const RequestId id = engine.submit(requests[i]);
    EXPECT_EQ(finish(engine).at(id).tokens, expected(backend, requests[i]));
    EXPECT_EQ(std::set(backend.asked.begin(), backend.asked.end()),
              std::set(asked[i].begin(), asked[i].end()));
    EXPECT_EQ(backend.full_heads, asked[i].empty() ? 12 : 0);
  }
  // All in one step, one of them observed: a call for each way, with what the neediest wants.
  requests.push_back(requests[0]);
  requests.back().observe = [](int64_t, std::span<const float> all) { EXPECT_EQ(all.size(), 50u); };
  requests.back().observe_from = 6;
  std::map<RequestId, Request> sent;
  for (const Request& r : requests) sent.emplace(engine.submit(r), r);
  backend.asked.clear();
  backend.full_heads = 0;
  const auto results = finish(engine);
  for (const auto& [id, r] : sent) EXPECT_EQ(results.at(id).tokens, expected(backend, r));
  EXPECT_EQ(backend.asked, std::vector<int64_t>(12, 50));
  EXPECT_EQ(backend.full_heads, 12);
}

TEST(Engine, RefusesWhatCannotRun) {
  TestBackend backend(4, 4, 8);
  Engine engine(backend);
  EXPECT_EQ(engine.context(), 16);  // the whole cache
  EXPECT_THROW(engine.submit(request({}, 1)), Error);
  EXPECT_THROW(engine.submit(request({1, -1}, 1)), Error);
  EXPECT_THROW(engine.submit(request({50}, 1)), Error);
  EXPECT_THROW(engine.submit(request(text(17, 1), 1)), Error);
  EXPECT_THROW(engine.submit(request({1}, -1)), Error);
  Request r = request({1}, 1);
  r.sampler.top_p = 2;
  EXPECT_THROW(engine.submit(r), Error);
  EXPECT_TRUE(engine.idle());
  EXPECT_TRUE(engine.step().empty());
  engine.submit(request(text(16, 1), 9));  // just fits
  EXPECT_EQ(finish(engine).at(0).end, StopReason::kContextFull);
}

TEST(Engine, OnlyTheSequenceThatFailsEnds) {
  TestBackend backend(20, 4, 32);
  Engine engine(backend);
  const Request good = request(text(9, 1), 6), other = request(text(7, 2), 6);
  Tokens poisoned = text(6, 3);
  poisoned.push_back(TestBackend::kPoison);
  engine.submit(good);
  engine.submit(request(poisoned, 6));
  engine.submit(other);
  const auto results = finish(engine);
  EXPECT_EQ(results.at(1).end, StopReason::kFailed);
  EXPECT_NE(results.at(1).error, "");
  EXPECT_EQ(results.at(0).tokens, expected(backend, good));
  EXPECT_EQ(results.at(2).tokens, expected(backend, other));
  EXPECT_EQ(engine.status().held_pages, 0);
}

TEST(Engine, CancelInEveryState) {
  TestBackend backend(20, 4, 8);
  Engine engine(backend, {.max_sequences = 2});
  const Request kept = request(text(9, 1), 12);
  const RequestId stays = engine.submit(kept), prompt = engine.submit(request(text(30, 2), 5)),
                  waits = engine.submit(request(text(9, 3), 5));
  EXPECT_TRUE(engine.cancel(waits));
  EXPECT_FALSE(engine.cancel(waits));
  engine.step();
  engine.step();
  EXPECT_EQ(engine.status().running, 2);
  EXPECT_TRUE(engine.cancel(prompt));  // amid its prompt
  const RequestId generates = engine.submit(request(text(5, 4), 50));
  engine.step();
  engine.step();
  EXPECT_TRUE(engine.cancel(generates));
  const auto results = finish(engine);
  EXPECT_EQ(results.size(), 1u);
  EXPECT_EQ(results.at(stays).end, StopReason::kLength);
  EXPECT_FALSE(engine.cancel(stays));
  EXPECT_FALSE(engine.cancel(999));
  EXPECT_EQ(engine.status().held_pages, 0);
}

TEST(Engine, MoreRequestsThanMemoryAllFinish) {
  for (const bool prefix_cache : {true, false}) {
    TestBackend backend(10, 4, 16);
    Engine engine(backend, {.prefix_cache = prefix_cache});
    std::map<RequestId, Request> requests;
    for (uint64_t i = 0; i < 12; ++i) {
      const Request r = request(text(4 + static_cast<int64_t>(i) % 5, i), 25, i);
      requests.emplace(engine.submit(r), r);
    }
    const auto results = finish(engine);
    for (const auto& [id, r] : requests) EXPECT_EQ(results.at(id).tokens, expected(backend, r));
    EXPECT_GT(engine.status().preemptions, 0);
    EXPECT_EQ(engine.status().held_pages, 0);
  }
}

// Requests with common beginnings come and are cancelled at random while others run, in a cache that is too small for
// them: whatever the pieces, the mix, the hits and the preemptions, each gets the model's tokens.
class RandomTraffic : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomTraffic, EveryRequestGetsTheModelsTokens) {
  Rng rng(GetParam());
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(rng.below(static_cast<uint64_t>(n)));
  };
  TestBackend backend(12 + below(30), 1 + below(6), 2 + below(30));
  Engine engine(backend, {.max_sequences = 1 + below(10),
                          .prompt_rows_beside = 1 + below(12),
                          .prefix_cache = below(5) != 0});
  std::map<RequestId, Request> requests;
  std::map<RequestId, Result> results;
  std::set<RequestId> cancelled;
  while (requests.size() < 120 || !engine.idle()) {
    if (requests.size() < 120 && below(2) == 0) {
      Tokens prompt =
          text(below(std::min<int64_t>(engine.context(), 30)), static_cast<uint64_t>(below(3)), 9);
      const Tokens tail = text(1 + below(3), static_cast<uint64_t>(below(50)), 3);
      prompt.insert(prompt.end(), tail.begin(), tail.end());
      const Request r = below(4) == 0
                            ? scoring_request(prompt, 1 + below(std::ssize(prompt)), rng.next())
                            : request(prompt, below(20), static_cast<uint64_t>(below(3)));
      if (std::ssize(prompt) > engine.context()) {
        EXPECT_THROW(engine.submit(r), Error);
      } else {
        requests.emplace(engine.submit(r), r);
      }
    }
    collect(engine.step(), results);
    if (below(20) == 0 && !requests.empty()) {
      const auto id = static_cast<RequestId>(below(std::ssize(requests)));
      if (engine.cancel(id)) cancelled.insert(id);
    }
    ASSERT_LE(backend.most_rows, backend.max_rows());
    ASSERT_LT(backend.steps.size(), 20000u) << "no end";
  }
  for (const auto& [id, r] : requests) {
    Tokens tokens = expected(backend, r);
    const Result& result = results[id];
    if (cancelled.contains(id)) {
      ASSERT_FALSE(result.end);
      tokens.resize(std::min(tokens.size(), result.tokens.size()));
    } else if (result.end == StopReason::kContextFull) {
      tokens.resize(static_cast<size_t>(engine.context() + 1 - std::ssize(r.prompt)));
    } else {
      ASSERT_EQ(result.end, StopReason::kLength);
      expect_scores(backend, r, result.scores);
    }
    ASSERT_EQ(result.tokens, tokens);
  }
  EXPECT_EQ(engine.status().held_pages, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTraffic, testing::Range(uint64_t{1}, uint64_t{41}));

}  // namespace
}  // namespace trit
