#include "base/progress.h"

#include <gtest/gtest.h>

namespace trit {
namespace {

TEST(Human, Counts) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(12), "12");
  EXPECT_EQ(human_count(3.25), "3.2");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1500), "1.5k");
  EXPECT_EQ(human_count(999999), "1.0M");
  EXPECT_EQ(human_count(23.4e6), "23.4M");
  EXPECT_EQ(human_count(1.2e9), "1.2G");
  EXPECT_EQ(human_count(123.4e12), "123T");
}

TEST(Human, Bytes) {
  EXPECT_EQ(human_bytes(812), "812 B");
  EXPECT_EQ(human_bytes(1.5e6), "1.5 MB");
  EXPECT_EQ(human_bytes(2.2e9), "2.2 GB");
}

TEST(Human, Times) {
  EXPECT_EQ(human_time(0.2), "0s");
  EXPECT_EQ(human_time(43), "43s");
  EXPECT_EQ(human_time(59.7), "1m00s");
  EXPECT_EQ(human_time(725), "12m05s");
  EXPECT_EQ(human_time(12000), "3h20m");
  EXPECT_EQ(human_time(-1), "?");
  EXPECT_EQ(human_time(1.0 / 0.0), "?");
}

TEST(Progress, WritesPlainLinesIntoALog) {
  testing::internal::CaptureStderr();
  {
    Progress progress("train", 2000);
    progress.update(500, "loss 3.21");
    progress.update(501, "loss 3.20");  // sooner than ten seconds
    progress.finish("loss 3.19");
    progress.update(502);
    progress.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "train  25% 500/2.0k 0s left  loss 3.21\ntrain  25% 501/2.0k 0s  loss 3.19\n");
}

TEST(Progress, EndsTheLineOfAnUnknownTotal) {
  testing::internal::CaptureStderr();
  { Progress progress("read", 0); }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "read 0 0s\n");
}

}  // namespace
}  // namespace trit
