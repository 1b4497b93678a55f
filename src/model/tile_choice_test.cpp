#include "model/tile_choice.h"

#include <gtest/gtest.h>

#include "base/test_folder.h"

namespace trit {
namespace {

TEST(TileChoices, TakesTheFasterFormAndKeepsWhatWasMeasured) {
  const Path file = test_folder() / "choices" / "tiles.json";
  std::filesystem::remove(file);
  int measured = 0;
  const auto measure = [&](int64_t inputs) {
    ++measured;
    return inputs == 2560 ? TileTimes{3e-3, 2e-3} : TileTimes{2e-3, 3e-3};
  };
  for (int process = 0; process < 2; ++process) {
    TileChoices choices(file, "a machine, 2 threads", measure);
    EXPECT_EQ(choices.choose(2560), TileForm::kBase3);
    EXPECT_EQ(choices.choose(6912), TileForm::kTwoBit);
    EXPECT_EQ(choices.choose(2560), TileForm::kBase3);
  }
  EXPECT_EQ(measured, 2);
  TileChoices other(file, "another machine", measure);
  other.choose(2560);
  EXPECT_EQ(measured, 3);
  TileChoices again(file, "a machine, 2 threads",
                    measure);  // the other's entry left this one's alone
  again.choose(6912);
  EXPECT_EQ(measured, 3);
}

TEST(TileChoices, AFileOfRubbishOrNoneIsMeasuredAnew) {
  const Path file = test_folder() / "rubbish.json";
  for (const char* text :
       {"", "{", "[1]", R"({"m": {"x": 1}})", R"({"m": {"64": {"two_bit": "a"}}})"}) {
    write_text(file, text);
    TileChoices choices(file, "m", [](int64_t) { return TileTimes{1.0, 2.0}; });
    EXPECT_EQ(choices.choose(64), TileForm::kTwoBit) << text;
  }
  TileChoices nowhere({}, "m", [](int64_t) { return TileTimes{2.0, 2.0}; });
  EXPECT_EQ(nowhere.choose(64), TileForm::kBase3);
}

TEST(TileChoices, MeasuresSomething) {
  const TileTimes times = measure_tile_forms(320);
  EXPECT_GT(times.two_bit, 0.0);
  EXPECT_GT(times.base3, 0.0);
}

}  // namespace
}  // namespace trit
