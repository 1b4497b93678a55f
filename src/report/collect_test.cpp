#include <gtest/gtest.h>

#include <algorithm>

#include "base/test_folder.h"
#include "report/parts.h"

namespace trit::report {
namespace {

// Stands for the program: gives an empty object, or fails at chosen commands.
class Collect : public testing::Test {
 protected:
  void SetUp() override {
    options.quick = true;
    options.out = test_folder() / "report";
    options.model = "model.gguf";
    options.sizes = {"700M"};
    std::filesystem::remove_all(options.out);
  }
  std::vector<PartResult> go() {
    ran.clear();
    return collect(options, [this](const Arguments& command) {
      ran.push_back(command);
      for (const Path& file : made) write_text(file, "weights");
      if (std::ranges::find(command, failing) != command.end())
        return Outcome{2, "", "progress\rtrit: no room\n"};
      return Outcome{0, answer, ""};
    });
  }
  static const PartResult& part(const std::vector<PartResult>& parts, const std::string& name) {
    const auto at = std::ranges::find(parts, name, &PartResult::name);
    EXPECT_NE(at, parts.end()) << name;
    return *at;
  }
  ReportOptions options;
  std::vector<Arguments> ran;
  std::vector<Path> made;
  std::string failing, answer = R"({"x": 1})";
};

TEST_F(Collect, RunsEachPartOnce) {
  const auto first = go();
  EXPECT_EQ(ran.size(), 6u);  // machine, model, speed twice, and two commands for the memory
  EXPECT_EQ(part(first, "machine").commands,
            std::vector<std::string>{"trit bench roofline --quick -o json"});
  EXPECT_EQ(part(first, "model-speed").result["x"], 1);
  const auto second = go();
  EXPECT_TRUE(ran.empty());
  EXPECT_EQ(part(second, "speed-700M-ternary").result["x"], 1);
  EXPECT_EQ(part(second, "speed-700M-ternary").date, part(first, "speed-700M-ternary").date);
}

// What was killed, damaged, asked for otherwise or has failed runs again, and nothing else.
TEST_F(Collect, GoesOnWhereItWas) {
  failing = "float16";
  const auto failed = part(go(), "speed-700M-float16");
  EXPECT_TRUE(failed.result.is_null());
  EXPECT_EQ(failed.why, "no room");
  failing = "";
  go();
  ASSERT_EQ(ran.size(), 1u);
  EXPECT_NE(std::ranges::find(ran[0], "float16"), ran[0].end());
  write_text(options.out / "parts/machine.json", "{\"form\": \"trit rep");
  std::filesystem::remove(options.out / "parts/speed-700M-ternary.json");
  options.model = "other.gguf";
  go();
  EXPECT_EQ(ran.size(), 3u);
}

TEST_F(Collect, LeavesNoModelsBehind) {
  made = {options.out / "work/700M.gguf"};
  go();
  EXPECT_FALSE(std::filesystem::exists(options.out / "work"));
}

TEST_F(Collect, SaysWhenACommandPrintsNoJson) {
  answer = "tok/s 12";
  const PartResult result = part(go(), "machine");
  EXPECT_TRUE(result.result.is_null());
  EXPECT_NE(result.why.find("machine"), std::string::npos) << result.why;
}

// A path with a space and a quote, as a shell would read it.
TEST_F(Collect, ShowsCommandsAsTheyAreTyped) {
  options.model = "my model's.gguf";
  EXPECT_EQ(part(go(), "model-speed").commands.at(0),
            "trit bench model 'my model'\\''s.gguf' -p 128 -n 64 -r 3 --no-limits -o json");
}

TEST(Parts, AreThoseThatThereIsSomethingFor) {
  ReportOptions options;
  options.sizes = {"3B"};
  const auto names = [&] {
    std::vector<std::string> all;
    for (const Part& p : parts_of(options, "work")) all.push_back(p.name);
    return all;
  };
  EXPECT_EQ(names(), (std::vector<std::string>{"machine", "speed-3B-ternary", "memory-3B-ternary",
                                               "speed-3B-float16"}));
  options.sizes.clear();
  options.twin = "llama.gguf";
  options.dataset = "data";
  EXPECT_EQ(names(), (std::vector<std::string>{"machine", "twin-speed", "twin-perplexity-f32",
                                               "twin-perplexity-f16", "twin-perplexity-int8",
                                               "twin-perplexity-int4", "twin-rounded-ternary",
                                               "twin-rounded-binary"}));
}

}  // namespace
}  // namespace trit::report
