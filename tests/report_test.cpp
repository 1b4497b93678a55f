// trit report as a user runs it: small models, small figures, and what is refused.

#include "base/json.h"
#include "tests/story.h"

namespace trit {
namespace {

class Report : public Story {
 protected:
  static Path at(const std::string& name) { return directory() / name; }
};

TEST_F(Report, ShowsAnotherMachinesFigures) {
  const Outcome outcome = trit({"report", "--only-from", "--from",
                                TRIT_SOURCE_DIR "/docs/results/h200.json", "--out", "shown"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("shown/report.html: 0 parts measured")) << outcome.out;
  const std::string page = text_of(at("shown/report.html"));
  EXPECT_NE(page.find("NVIDIA H200"), std::string::npos);
  EXPECT_NE(page.find("<td class=\"n\">131.60</td>"), std::string::npos);  // the paper's 70B
  EXPECT_TRUE(std::filesystem::exists(at("shown/latency.svg")));
}

// The second time nothing is measured; the commands that a part shows are those that ran.
TEST_F(Report, MeasuresSmallModelsOnce) {
  const std::vector<std::string> arguments = {"report", "--quick", "--sizes",
                                              "nano",   "--out",   "small"};
  const Outcome outcome = trit(arguments);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Path part = at("small/parts/memory-nano-ternary.json");
  const Json memory = parse_json(text_of(part), "part");
  EXPECT_GT(memory["result"]["model"]["peak_memory_bytes"].get<double>(), 1e6);
  EXPECT_FALSE(std::filesystem::exists(at("small/work")));
  const auto written = std::filesystem::last_write_time(part);
  ASSERT_EQ(trit(arguments).code, 0);
  EXPECT_EQ(std::filesystem::last_write_time(part), written);
}

TEST_F(Report, RefusesWhatIsNotThere) {
  for (const auto& [arguments, wanted] :
       {std::pair(std::vector<std::string>{"--only-from"}, "--only-from: no report was given"),
        {{"--twin", "none.gguf"}, "none.gguf: there is no such file"},
        {{"--model", "none.gguf"}, "--model: none.gguf: there is no such file"},
        {{"--sizes", "4B"}, "4B"},
        {{"--from", "none.json"}, "none.json"}}) {
    std::vector<std::string> command = {"report", "--out", "refused"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const Outcome outcome = trit(command);
    EXPECT_EQ(outcome.code, 2) << wanted;
    EXPECT_NE(outcome.err.find(wanted), std::string::npos) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(at("refused")));
  }
}

TEST_F(Report, RoundsOnlyFullPrecision) {
  const Outcome outcome = trit(
      {"convert", TRIT_SOURCE_DIR "/models/tales-3m.gguf", "rounded.gguf", "--round", "ternary"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("only full-precision weights can be rounded"), std::string::npos);
  ASSERT_EQ(trit({"synth", "--preset", "nano", "--family", "llama", "llama.gguf"}).code, 0);
  EXPECT_EQ(trit({"convert", "llama.gguf", "rounded.gguf", "--round", "binary"}).code, 0);
  EXPECT_EQ(trit({"convert", "llama.gguf", "rounded.gguf", "--round", "trits"}).code, 2);
}

}  // namespace
}  // namespace trit
