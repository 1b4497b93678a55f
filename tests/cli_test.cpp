// The program as a user runs it.

#include <cmath>

#include "base/json.h"
#include "tests/story.h"

namespace trit {
namespace {

class Cli : public Story {
 protected:
  static std::string generated(const std::string& model,
                               const Process::Environment& environment = {}) {
    const Outcome outcome = trit(
        {"run", model, "The king went", "-n", "24", "--temperature", "0", "--json"}, environment);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parse_json(outcome.out, "trit run --json")["text"];
  }
  static double loss(const std::string& model, const std::string& kv_type = "f32") {
    const Outcome outcome = trit(
        {"perplexity", model, "--data", "data", "--window", "32", "--kv-type", kv_type, "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parse_json(outcome.out, "trit perplexity --json")["loss"];
  }
};

TEST_F(Cli, TrainingLearnsTheText) {
  EXPECT_LT(loss("model.gguf"), 0.6 * std::log(320.0));  // a model that knows nothing has ln 320
}

TEST_F(Cli, RoundedKeysAndValuesCostLittle) {
  const double exact = loss("model.gguf"), rounded = loss("model.gguf", "int8");
  EXPECT_NE(rounded, exact);
  EXPECT_NEAR(rounded, exact, 0.05);
}

TEST_F(Cli, CheckpointAndGgufAreTheSameModel) {
  EXPECT_EQ(generated("run/checkpoint"), generated("model.gguf"));
  EXPECT_NEAR(loss("run/checkpoint"), loss("model.gguf"), 1e-6);
}

TEST_F(Cli, EveryInstructionSetAndThreadCountTellsTheSameStory) {
  const std::string story = generated("model.gguf", {{"TRIT_ISA", "scalar"}});
  EXPECT_FALSE(story.empty());
  EXPECT_EQ(generated("model.gguf"), story);
  EXPECT_EQ(generated("model.gguf", {{"TRIT_THREADS", "1"}}), story);
  for (const char* isa : {"avx2", "avx512vnni"}) {
    if (trit({"run", "model.gguf", "x", "-n", "1"}, {{"TRIT_ISA", isa}}).code != 0)
      continue;  // not this machine's
    EXPECT_EQ(generated("model.gguf", {{"TRIT_ISA", isa}}), story) << isa;
  }
}

TEST_F(Cli, RunPrintsTextAndFigures) {
  const Outcome outcome =
      trit({"run", "model.gguf", "The king", "-n", "8", "--temperature", "0", "--ignore-end"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.out.starts_with("The king"));
  for (const char* word : {"tok/s", "GB/s", "memory", "prompt", "generated"}) {
    EXPECT_NE(outcome.err.find(word), std::string::npos) << word;
  }
  const Outcome stopped =
      trit({"run", "model.gguf", "The king", "--stop", ".", "--temperature", "0", "--quiet"});
  EXPECT_EQ(stopped.out.find('.'), std::string::npos);
  EXPECT_EQ(stopped.err, "");
}

// Side by side in one cache, of prompts that run in pieces: each is the text that its seed gives alone.
TEST_F(Cli, RunWritesSeveralTextsAtOnce) {
  const auto run = [](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"run", "model.gguf",   "-n",
                                          "12",  "--ignore-end", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = trit(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parse_json(outcome.out, "trit run --json");
  };
  write_text(directory() / "prompt.txt", "The king went to the wood and the dog sat there\n");
  const Json three = run({"--file", "prompt.txt", "--seed", "5", "--samples", "3"});
  ASSERT_EQ(three["texts"].size(), 3u);
  EXPECT_EQ(three["generated_tokens"], 36);
  for (size_t i = 0; i < 3; ++i) {
    const Json alone = run({"-f", "prompt.txt", "-s", std::to_string(5 + i), "-b", "3"});
    EXPECT_EQ(alone["text"], three["texts"][i]);
  }
  EXPECT_NE(three["texts"][0], three["texts"][1]);
  const Outcome one = trit({"run", "model.gguf", "The", "-n", "1", "--ignore-end", "--json"});
  EXPECT_TRUE(parse_json(one.out, "trit run")["generated_tokens_per_second"].is_null()) << one.out;
  const Outcome plain = trit({"run", "model.gguf", "The", "-n", "3", "--samples", "2", "--quiet"});
  EXPECT_NE(plain.out.find("\n---\nThe"), std::string::npos) << plain.out;
}

TEST_F(Cli, TheContextEndsAText) {
  const Outcome outcome =
      trit({"run", "model.gguf", "The king", "-c", "16", "-n", "100", "--ignore-end", "--json"});
  const Json json = parse_json(outcome.out, "trit run --json");
  EXPECT_EQ(json["stop_reason"], "context full");
  EXPECT_EQ(json["prompt_tokens"].get<int>() + json["generated_tokens"].get<int>(), 17);
}

TEST_F(Cli, CompareTrainsBothAndPrintsThePapersTable) {
  std::vector<std::string> arguments = train_arguments("twins", 10);
  arguments[0] = "compare";
  arguments.push_back("--json");
  const Outcome outcome = trit(arguments);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "trit compare --json");
  for (const char* side : {"bitnet", "llama"}) {
    const Json& figures = json[side];
    EXPECT_GT(figures["ms_per_token"].get<double>(), 0) << side;
    EXPECT_GT(figures["perplexity"].get<double>(), 1) << side;
    EXPECT_LT(figures["perplexity"].get<double>(), 320) << side;
  }
  EXPECT_EQ(json["bitnet"]["linear_parameters"], json["llama"]["linear_parameters"]);
  EXPECT_LT(json["bitnet"]["bytes"], json["llama"]["bytes"]);
  EXPECT_LT(json["bitnet"]["modelled_joules"], json["llama"]["modelled_joules"]);
  const Outcome table = trit({"compare", "--data", "data", "--bitnet", "twins/bitnet.gguf",
                              "--llama", "twins/llama.gguf"});
  EXPECT_EQ(table.code, 0) << table.err;
  for (const char* word : {"LLaMA FP16", "BitNet b1.58", "(1.00x)", "perplexity"}) {
    EXPECT_NE(table.out.find(word), std::string::npos) << word;
  }
}

// What transformers' BitNetForCausalLM generates greedily from the checkpoint that the model was made of.
TEST_F(Cli, TheShippedModelIsWholeAndTellsItsStory) {
  const Outcome outcome = trit({"run", TRIT_SOURCE_DIR "/models/tales-3m.gguf", "Once upon a time",
                                "-n", "16", "--temperature", "0", "--check", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string text = parse_json(outcome.out, "trit run --json")["text"];
  EXPECT_TRUE(text.starts_with(", there was a little girl named Lily. She was")) << text;
}

TEST_F(Cli, InspectSaysWhatAModelIs) {
  const Outcome outcome = trit({"inspect", "model.gguf", "--json", "--plot", "model.html"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "trit inspect --json");
  EXPECT_TRUE(json["runs"].get<bool>());
  EXPECT_EQ(json["config"]["layers"], 2);
  EXPECT_EQ(json["config"]["hidden_size"], 48);
  ASSERT_EQ(json["matrices"].size(), 14u);  // seven to a layer
  for (const Json& m : json["matrices"]) {
    EXPECT_NEAR(m["minus"].get<double>() + m["zero"].get<double>() + m["plus"].get<double>(), 1.0,
                1e-9);
    EXPECT_GT(m["zero"].get<double>(), 0.1);
    EXPECT_GT(m["scale"].get<double>(), 0.0);
  }
  const std::string page = read_text(directory() / "model.html");
  EXPECT_NE(page.find("blk.1.ffn_down.weight"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);  // nothing from outside

  const Outcome directory_outcome = trit({"inspect", "run/checkpoint"});
  EXPECT_EQ(directory_outcome.code, 0) << directory_outcome.err;
  EXPECT_NE(directory_outcome.out.find("quantised at load"), std::string::npos);
}

TEST_F(Cli, VerifyTellsTheSameModelFromAnother) {
  const Outcome same =
      trit({"verify", "model.gguf", "--against", "run/checkpoint", "--tokens", "16"});
  EXPECT_EQ(same.code, 0) << same.out << same.err;
  ASSERT_EQ(trit(train_arguments("other", 2)).code, 0);
  const Outcome other =
      trit({"verify", "model.gguf", "--against", "other/checkpoint", "--tokens", "16", "--json"});
  EXPECT_EQ(other.code, 1);
  const Json json = parse_json(other.out, "trit verify --json");
  EXPECT_FALSE(json["passed"].get<bool>());
  EXPECT_EQ(json["first_difference"], "embedding");
  EXPECT_GT(json["logits"][0]["kl_divergence"].get<double>(), 1e-6);
}

TEST_F(Cli, HelpForEveryCommandHasExamples) {
  for (const char* command : {"run", "chat", "train", "convert", "perplexity", "eval", "compare",
                              "inspect", "verify", "synth", "bench", "pull", "completion", "man"}) {
    const Outcome outcome = trit({command, "--help"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.out.find("Example"), std::string::npos) << command;
  }
  EXPECT_EQ(trit({}).code, 2);
  EXPECT_EQ(trit({"--version"}).code, 0);
}

TEST_F(Cli, CompletionAndManualNameEveryCommand) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"completion", "bash"},
                                                    {"completion", "zsh"},
                                                    {"completion", "fish"},
                                                    {"man"}}) {
    const Outcome outcome = trit(arguments);
    EXPECT_EQ(outcome.code, 0);
    for (const char* word :
         {"tokenizer", "train", "convert", "perplexity", "temperature", "chat"}) {
      EXPECT_NE(outcome.out.find(word), std::string::npos) << arguments.back() << " " << word;
    }
  }
}

}  // namespace
}  // namespace trit
