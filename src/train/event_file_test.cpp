#include "train/event_file.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

std::string contents(const Path& path) { return read_text(path); }

// RFC 3720, B.4, and the usual check value.
TEST(EventFile, SumsAsCastagnoliDoes) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

// tools/make_event_fixtures.py: tensorboard's own bytes.
TEST(EventFile, WritesWhatTensorBoardWrites) {
  const Scalar scalars[] = {{"train/loss", 3.25f}, {"train/zeros", 0.0f}};
  EXPECT_EQ(tf_record(version_event(1700000000.25)) + tf_record(start_event(1700000000.5, 7)) +
                tf_record(scalar_event(1700000001.125, 300, scalars)),
            contents(Path(TRIT_SOURCE_DIR) / "src/train/testdata/events.tfevents"));
}

TEST(EventFile, HasARecordForEachStep) {
  const Path directory = test_folder() / "events";
  std::filesystem::remove_all(directory);
  {
    EventFile file(directory, 1);
    for (int64_t step = 1; step <= 3; ++step) {
      const Scalar loss[] = {{"train/loss", 1.0f}};
      file.write(step, loss);
    }
  }
  const auto entry = *std::filesystem::directory_iterator(directory);
  EXPECT_TRUE(entry.path().filename().string().starts_with("events.out.tfevents."));
  const Scalar loss[] = {{"train/loss", 1.0f}};
  EXPECT_EQ(contents(entry.path()).size(), tf_record(version_event(1)).size() +
                                               tf_record(start_event(1, 1)).size() +
                                               3 * tf_record(scalar_event(1, 1, loss)).size());
  write_text(test_folder() / "a_file", "");
  EXPECT_THROW(EventFile(test_folder() / "a_file", 1), Error);
}

}  // namespace
}  // namespace trit
