#include "infer/session.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "model/checkpoint.h"

namespace trit {
namespace {

class SessionTest : public testing::Test {
 protected:
  static Config config() {
    Config c = preset("nano");
    c.vocabulary = 300;
    c.layers = 2;
    return c;
  }
  Model model = Model::random(config(), 5);
};

TEST_F(SessionTest, FeedingInAnyPiecesGivesTheSameBits) {
  const std::vector<int32_t> tokens = {1, 9, 30, 4, 4, 200, 17, 8};
  const auto last_logits = [&](std::vector<size_t> pieces) {
    Session session(model.weights(), 32);
    std::span<float> logits;
    size_t begin = 0;
    for (const size_t piece : pieces) {
      logits = session.feed(std::span(tokens).subspan(begin, piece));
      begin += piece;
    }
    return std::vector<float>(logits.begin(), logits.end());
  };
  EXPECT_EQ(last_logits({8}), last_logits({1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(last_logits({8}), last_logits({3, 5}));
}

TEST_F(SessionTest, RewindForgets) {
  Session session(model.weights(), 32);
  const std::vector<int32_t> start = {1, 2, 3}, other = {9, 9}, rest = {4, 5};
  session.feed(start);
  session.feed(other);
  session.rewind(3);
  const std::span<float> logits = session.feed(rest);
  Session fresh(model.weights(), 32);
  const std::vector<int32_t> whole = {1, 2, 3, 4, 5};
  const std::span<float> expected = fresh.feed(whole);
  EXPECT_TRUE(std::equal(logits.begin(), logits.end(), expected.begin()));
}

// Within a page and to an earlier one, and then further than before.
TEST_F(SessionTest, RewindAcrossPages) {
  std::vector<int32_t> tokens(150);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * i % 300);
  Session fresh(model.weights(), 150), session(model.weights(), 150);
  const std::span<const float> expected = fresh.feed(tokens);
  for (const int64_t back : {129, 128, 64, 63, 0}) {
    session.feed(std::vector<int32_t>(static_cast<size_t>(150 - session.position()), 7));
    session.rewind(back);
    session.rewind(0);
    session.feed(std::span(tokens).first(static_cast<size_t>(back) + 1));
    session.feed(std::vector<int32_t>(3, 9));
    session.rewind(back);
    const auto logits = session.feed(std::span(tokens).subspan(static_cast<size_t>(back)));
    EXPECT_TRUE(std::ranges::equal(logits, expected)) << back;
    session.rewind(back);
  }
}

TEST_F(SessionTest, RefusesWhatDoesNotFit) {
  Session session(model.weights(), 20);
  session.feed(std::vector<int32_t>(20, 1));
  EXPECT_THROW(session.feed(std::vector<int32_t>(1, 1)), Error);
  session.rewind(19);
  EXPECT_NO_THROW(session.feed(std::vector<int32_t>(1, 1)));
}

}  // namespace
}  // namespace trit
