// trit bench as a user runs it, at the smallest size: what it prints, not how fast it is.

#include <sstream>

#include "base/json.h"
#include "tests/story.h"

namespace trit {
namespace {

class Bench : public Story {
 protected:
  static Json json_of(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "bench");
    arguments.insert(arguments.end(), {"-o", "json"});
    const Outcome outcome = trit(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parse_json(outcome.out, "trit bench");
  }
  static Path at(const std::string& name) { return directory() / name; }
};

TEST_F(Bench, RooflinePrintsEveryFormatAndDraws) {
  const std::vector<std::string> arguments = {"bench", "roofline",   "--quick", "-t",
                                              "1",     "--dram-mib", "16"};
  std::vector<std::string> drawing = arguments;
  drawing.insert(drawing.end(), {"--plot", "roof.html", "--save", "roof.json"});
  const Outcome table = trit(drawing);
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("| read DRAM "), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("GB/s"), std::string::npos);
  const Json saved = parse_json(text_of(at("roof.json")), "roof.json");
  ASSERT_FALSE(saved["rates"].empty());
  for (const Json& row : saved["rates"]) EXPECT_GT(row["median"].get<double>(), 0) << row;
  const std::string page = text_of(at("roof.html"));
  EXPECT_NE(page.find("<svg"), std::string::npos);

  std::vector<std::string> csv = arguments;
  csv.insert(csv.end(), {"-o", "csv"});
  EXPECT_TRUE(trit(csv).out.starts_with("test,detail,threads,median,"));
  csv.back() = "jsonl";
  std::istringstream lines(trit(csv).out);
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(parse_json(line, "line")["unit"].is_string());
}

TEST_F(Bench, BadOptionsGetOneLine) {
  const std::vector<std::vector<std::string>> rows = {
      {"roofline", "-t", "0"},
      {"roofline", "-t", "many"},
      {"roofline", "-o", "sql"},
      {"roofline", "--plot", "roof.png"},
      {"roofline", "--dram-mib", "0"},
      {"roofline", "--loud"},
      {"sing"},
  };
  for (std::vector<std::string> arguments : rows) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    arguments.insert(arguments.begin(), "bench");
    const Outcome outcome = trit(arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.err.starts_with("trit: ")) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  }
}

}  // namespace
}  // namespace trit
