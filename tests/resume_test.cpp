// Training that is killed at any moment goes on as if nothing had happened.

#include <algorithm>
#include <regex>
#include <thread>

#include "tests/story.h"

namespace trit {
namespace {

constexpr int kSteps = 150;

class Resume : public Story {
 protected:
  static void SetUpTestSuite() {
    Story::SetUpTestSuite();
    expect_success(trit(train_arguments("straight", kSteps)));
  }
  static long lines(const Path& file) {
    const std::string text = text_of(directory() / file);
    return std::count(text.begin(), text.end(), '\n');
  }
  static std::string log_without_times(const std::string& run) {
    return std::regex_replace(text_of(directory() / run / "log.jsonl"),
                              std::regex("\"seconds\":[^,}]*"), "");
  }
  static void expect_same_as_straight(const std::string& run) {
    for (const char* file :
         {"model.safetensors", "trit_state.safetensors", "config.json", "tokenizer.json"}) {
      EXPECT_TRUE(text_of(directory() / "straight/checkpoint" / file) ==
                  text_of(directory() / run / "checkpoint" / file))
          << file;
    }
    EXPECT_EQ(log_without_times(run), log_without_times("straight"));
  }
  // Waits until the run's log has `count` lines, then sends the signal. False when the run ended before.
  static bool signal_at(Process& process, const std::string& run, long count, int number) {
    while (lines(run + "/log.jsonl") < count) {
      if (!process.running()) return false;
      std::this_thread::yield();
    }
    process.signal(number);
    return true;
  }
};

TEST_F(Resume, AfterKillAtThreeMomentsEndsWithTheSameBytes) {
  Process first(directory(), train_arguments("killed", kSteps));
  EXPECT_TRUE(signal_at(first, "killed", 20, SIGKILL));
  EXPECT_EQ(first.wait().code, 128 + SIGKILL);
  for (const long moment : {45, 90}) {
    Process again(directory(), {"train", "--resume", "killed"});
    EXPECT_TRUE(signal_at(again, "killed", moment, SIGKILL));
    again.wait();
  }
  EXPECT_EQ(trit({"train", "--resume", "killed"}).code, 0);
  expect_same_as_straight("killed");
}

TEST_F(Resume, AfterCtrlCWhichSavesFirst) {
  Process process(directory(), train_arguments("interrupted", kSteps));
  EXPECT_TRUE(signal_at(process, "interrupted", 10, SIGINT));
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("--resume interrupted"), std::string::npos);
  EXPECT_GE(lines("interrupted/log.jsonl"), 10);
  EXPECT_LT(lines("interrupted/log.jsonl"), kSteps);
  EXPECT_EQ(trit({"train", "--resume", "interrupted"}, {{"TRIT_THREADS", "1"}}).code,
            0);  // another thread count
  expect_same_as_straight("interrupted");
}

TEST_F(Resume, RefusesWhatIsNotTheSameRun) {
  EXPECT_EQ(trit({"train", "--resume", "nowhere"}).code, 2);
  const Outcome twice = trit(train_arguments("straight", kSteps));
  EXPECT_EQ(twice.code, 2);
  EXPECT_NE(twice.err.find("--resume"), std::string::npos);
}

}  // namespace
}  // namespace trit
