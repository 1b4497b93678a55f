// The recipes of configs/, as a user plans them.

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/test_folder.h"
#include "tests/process.h"

namespace trit {
namespace {

Outcome plan(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"train", "--plan"});
  return Process(test_folder(), arguments).wait();
}
Json planned(const std::string& recipe) {
  const Outcome outcome =
      plan({"--config", std::string(TRIT_SOURCE_DIR) + "/configs/" + recipe + ".toml", "--hardware",
            "h200", "--json"});
  EXPECT_EQ(outcome.code, 0) << recipe << ": " << outcome.err;
  return outcome.code == 0 ? parse_json(outcome.out, recipe) : Json::object();
}

TEST(Recipes, AllPlan) {
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator(Path(TRIT_SOURCE_DIR) / "configs")) {
    EXPECT_GT(planned(file.path().stem().string())["hours"], 0);
    ++count;
  }
  EXPECT_GE(count, 16);
}

// Training Tips, Table 1: 100B tokens in steps of 1M; 0.679B, 1.208B, 3.222B and 4.260B linear weights.
TEST(Recipes, OfThePaperHaveItsSizes) {
  const std::pair<std::string, double> sizes[] = {
      {"700M", 0.679e9}, {"1.3B", 1.208e9}, {"3B", 3.222e9}, {"3.9B", 4.260e9}};
  for (const auto& [name, linear] : sizes) {
    for (const std::string& recipe : {name, name + "-llama"}) {
      const Json p = planned(recipe);
      EXPECT_NEAR(p["linear_parameters"].get<double>(), linear, 0.001e9) << recipe;
      EXPECT_NEAR(p["tokens"].get<double>(), 100e9, 5e9) << recipe;
    }
  }
}

TEST(Recipes, GiveWayToTheCommandLineAndRefuseWhatTheyDoNotKnow) {
  const Path file = test_folder() / "recipe.toml";
  const auto with = [&](const std::string& text, std::vector<std::string> more = {}) {
    write_text(file, text);
    more.insert(more.end(), {"--config", file.string(), "--json"});
    return plan(more);
  };
  const Outcome given = with("preset = \"micro\"\nbatch = 8\nsteps = 7\n", {"--steps", "9"});
  ASSERT_EQ(given.code, 0) << given.err;
  EXPECT_EQ(parse_json(given.out, "plan")["steps"], 9);
  EXPECT_EQ(parse_json(given.out, "plan")["tokens"], 9 * 8 * 256);
  for (const auto& [text, message] : {std::pair{"bach = 8\n", "'bach' is no option"},
                                      {"batch = many\n", "batch: Could not convert"},
                                      {"[train]\nbatch = 8\n", "'train.batch' is no option"},
                                      {"resume = \"run\"\n", "'resume' is no option"},
                                      {"batch = 0\n", "--batch: 0 is out of range"}}) {
    const Outcome refused = with(text);
    EXPECT_EQ(refused.code, 2) << text;
    EXPECT_NE(refused.err.find(message), std::string::npos) << refused.err;
  }
  EXPECT_EQ(plan({"--config", "nowhere.toml"}).code, 2);
}

}  // namespace
}  // namespace trit
