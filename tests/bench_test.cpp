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

TEST_F(Bench, KernelsPrintFiguresAndDraw) {
  const std::vector<std::string> arguments = {
      "kernels",    "--only", "two_bit,attention_f16,rmsnorm",
      "--shape",    "nano",   "-b",
      "1,17",       "-d",     "100",
      "-t",         "1",      "--quick",
      "--dram-mib", "16"};
  std::vector<std::string> drawing = arguments;
  drawing.insert(drawing.end(), {"--plot", "kernels.html"});
  const Json json = json_of(drawing);
  ASSERT_FALSE(json["results"].empty());
  for (const Json& row : json["results"]) {
    for (const char* key : {"median_us", "gb_per_s", "limit_share"})
      EXPECT_GT(row[key].get<double>(), 0) << row;
    EXPECT_EQ(row["n_threads"], 1);
  }
  EXPECT_FALSE(json["limits"]["rates"].empty());
  const std::string page = text_of(at("kernels.html"));
  EXPECT_NE(page.find("two_bit_gemm_i8 96x96 x 17, "), std::string::npos);

  std::vector<std::string> table = arguments;
  table.insert(table.begin(), "bench");
  table.insert(table.end(), {"--no-limits", "--isa", "scalar", "--from", "cache"});
  const Outcome outcome = trit(table);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("| kernel ")) << outcome.out;
  EXPECT_EQ(outcome.out.find("memory"), std::string::npos) << outcome.out;
  EXPECT_NE(trit({"man"}).out.find("bench kernels"), std::string::npos);
}

TEST_F(Bench, ModelMeasuresPromptsAndGeneration) {
  const Json json = json_of({"model", "model.gguf", "-p", "8,0", "-n", "4", "-d", "0,16", "-t", "1",
                             "--batch", "1,3", "-r", "2", "--no-limits"});
  EXPECT_EQ(json["model"]["name"], "model.gguf");
  for (const char* key : {"parameters", "stored_bytes", "cache_bytes_per_position", "load_seconds",
                          "first_token_seconds", "peak_memory_bytes"})
    EXPECT_GT(json["model"][key].get<double>(), 0) << key;
  std::vector<std::string> tests;
  for (const Json& row : json["results"]) {
    tests.push_back(row["test"]);
    for (const char* key :
         {"median_ts", "avg_ts", "ms_per_token", "bytes_per_token", "gb_per_s", "gmac_per_s"})
      EXPECT_GT(row[key].get<double>(), 0) << row;
    EXPECT_TRUE(row["read_share"].is_null());
    EXPECT_EQ(row["samples_s"].size(), 2u);
    EXPECT_EQ(row["n_threads"], 1);
  }
  EXPECT_EQ(tests, (std::vector<std::string>{"pp8", "tg4", "pp8 @ d16", "tg4 @ d16", "tg4 x 3",
                                             "tg4 @ d16 x 3"}));
}

TEST_F(Bench, ModelSaysWhatDoesNotFit) {
  const Json json = json_of(
      {"model", "model.gguf", "-p", "8", "-n", "0", "-d", "0,1000000", "-r", "1", "--no-limits"});
  EXPECT_EQ(json["results"].size(), 1u);
  EXPECT_EQ(json["not_measured"][0]["test"], "pp8 @ d1000000");
}

// Neither a step of generation nor a prompt behind others is the time to a first token.
TEST_F(Bench, ModelTellsTheFirstTokenOfAPromptOnly) {
  const Json json =
      json_of({"model", "model.gguf", "-p", "8", "-n", "4", "-d", "16", "-r", "1", "--no-limits"});
  EXPECT_TRUE(json["model"]["first_token_seconds"].is_null());
  EXPECT_TRUE(json["model"]["first_prompt_tokens"].is_null());
  const Outcome text =
      trit({"bench", "model", "model.gguf", "-p", "0", "-n", "4", "-r", "1", "--no-limits"});
  EXPECT_EQ(text.out.find("first token"), std::string::npos) << text.out;
}

TEST_F(Bench, ModelTakesAShapeAndTheMachinesLimits) {
  const Outcome outcome = trit({"bench", "model", "--like", "nano", "-p", "8", "-n", "4", "-r", "1",
                                "-t", "1", "--save", "nano.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("| pp8 "), std::string::npos) << outcome.out;
  const Json json = parse_json(text_of(at("nano.json")), "nano.json");
  for (const Json& row : json["results"]) EXPECT_GT(row["read_share"].get<double>(), 0) << row;
  EXPECT_FALSE(json["limits"]["rates"].empty());
}

TEST_F(Bench, PaperMeasuresSizesOneByOne) {
  const std::vector<std::string> arguments = {
      "bench",    "paper",       "--contexts",  "1,8",      "--steps",     "4",
      "--prompt", "16",          "--sequence",  "32",       "--batches",   "2",
      "--append", "report.json", "--made-from", "a commit", "--no-largest"};
  std::vector<std::string> first = arguments, second = arguments;
  first.insert(first.end(), {"--sizes", "nano"});
  second.insert(second.end(), {"--sizes", "micro", "--weights", "ternary", "-o", "csv"});
  const Outcome page = trit(first);
  ASSERT_EQ(page.code, 0) << page.err;
  EXPECT_NE(page.out.find("## A token after 8"), std::string::npos) << page.out;
  const Outcome rows = trit(second);
  ASSERT_EQ(rows.code, 0) << rows.err;
  EXPECT_TRUE(rows.out.starts_with("size,weights,measure,tokens,rows,cache,value,spread,unit\n"));
  EXPECT_NE(rows.out.find("\n\"nano\",\"float16\",\"batch\",32,2,\"f16\","), std::string::npos)
      << rows.out;
  const Json saved = parse_json(text_of(at("report.json")), "report.json");
  EXPECT_EQ(saved["made_from"], "a commit");
  for (const Json& figure : saved["figures"]) EXPECT_GT(figure["value"].get<double>(), 0) << figure;
  // The page comes from the report alone.
  const Outcome again = trit({"bench", "paper", "--report", "report.json"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("| micro |"), std::string::npos) << again.out;
}

TEST_F(Bench, BadOptionsGetOneLine) {
  const std::vector<std::vector<std::string>> rows = {
      {"roofline", "-t", "0"},
      {"roofline", "-t", "many"},
      {"roofline", "-o", "sql"},
      {"roofline", "--plot", "roof.png"},
      {"roofline", "--dram-mib", "0"},
      {"roofline", "--loud"},
      {"kernels", "--only", "sing"},
      {"kernels", "--shape", "9B"},
      {"kernels", "--shape", "3x"},
      {"kernels", "--isa", "mmx"},
      {"kernels", "--from", "disk"},
      {"kernels", "-b", "0"},
      {"kernels", "-o", "sql"},
      {"kernels", "--plot", "roof.png"},
      {"model"},
      {"model", "missing.gguf"},
      {"model", "model.gguf", "-p", "x"},
      {"model", "model.gguf", "-r", "0"},
      {"model", "model.gguf", "--batch", "0"},
      {"model", "model.gguf", "--like", "3B"},
      {"model", "--like", "9B"},
      {"model", "--like", "nano", "--family", "gpt"},
      {"paper", "--sizes", "4B"},
      {"paper", "--device", "gpu"},
      {"paper", "--weights", "binary"},
      {"paper", "--contexts", "0"},
      {"paper", "--report", "missing.json"},
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
