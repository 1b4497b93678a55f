// trit pull against a hub on the loopback, and the models it brought, by their names.

#include <thread>

#include "base/json.h"
#include "hub/test_hub.h"
#include "tests/story.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

class PullCommand : public Story {
 protected:
  PullCommand() : hub_(directory() / "hub") { fs::remove_all(cache()); }

  static Path cache() { return directory() / "cache"; }
  Process::Environment environment() const {
    return {{"HF_ENDPOINT", hub_.url()},
            {"HF_HUB_CACHE", cache().string()},
            {"HF_HOME", (directory() / "hf_home").string()},
            {"HF_TOKEN", "hf_secret"},
            {"HF_HUB_OFFLINE", "0"}};
  }
  Outcome run(const std::vector<std::string>& arguments) { return trit(arguments, environment()); }
  void publish_checkpoint() {
    for (const fs::directory_entry& file : fs::directory_iterator(directory() / "run/checkpoint")) {
      const std::string name = file.path().filename();
      if (name.ends_with(".safetensors")) {
        hub_.add_large(name, text_of(file.path()));
      } else if (file.is_regular_file()) {
        hub_.add_small(name, text_of(file.path()));
      }
    }
  }
  std::string story(const std::string& model) {
    const Outcome outcome = run({"run", model, "The king", "-n", "12", "--temperature", "0"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  }
  static void expect_word(const std::string& text, const std::string& word) {
    EXPECT_NE(text.find(word), std::string::npos) << text << "\nlacks: " << word;
  }

  TestHub hub_;
};

TEST_F(PullCommand, ACheckpointPulledIsACheckpoint) {
  publish_checkpoint();
  const Outcome before = run({"run", "org/name", "x"});
  EXPECT_EQ(before.code, 2);
  expect_word(before.err, "trit pull org/name");

  const Outcome pulled = run({"pull", "org/name"});
  expect_success(pulled);
  const Path snapshot = cache() / "models--org--name/snapshots" / hub_.commit();
  EXPECT_EQ(pulled.out, snapshot.string() + "\n");
  EXPECT_EQ(pulled.err.find("hf_secret"), std::string::npos);
  EXPECT_FALSE(fs::exists(snapshot / "trit_state.safetensors"));  // trit run does not read it
  EXPECT_EQ(story("org/name"), story("run/checkpoint"));
  expect_success(run({"convert", "org/name", "pulled.gguf"}));
  EXPECT_TRUE(text_of(directory() / "pulled.gguf") == text_of(directory() / "model.gguf"));
  const Outcome loss = run({"perplexity", "org/name", "--data", "data", "--json"});
  expect_success(loss);
}

TEST_F(PullCommand, AGgufFileRunsByTheNameOfItsRepository) {
  hub_.add_large("model.gguf", text_of(directory() / "model.gguf"));
  expect_success(run({"pull", "org/name:model.gguf"}));
  EXPECT_EQ(story("org/name"), story("model.gguf"));
  EXPECT_EQ(story("org/name:model.gguf"), story("model.gguf"));
}

TEST_F(PullCommand, DryRunAndJson) {
  publish_checkpoint();
  const auto bytes = fs::file_size(directory() / "run/checkpoint/model.safetensors");
  const Outcome dry = run({"pull", "org/name", "--dry-run"});
  expect_success(dry);
  expect_word(dry.out, fmt::format("{} model.safetensors\n", bytes));
  EXPECT_FALSE(fs::exists(cache()));
  const auto report = [&] {
    const Outcome outcome = run({"pull", "org/name", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parse_json(outcome.out, "trit pull --json");
  };
  const Json first = report(), second = report();
  EXPECT_EQ(first["commit"], hub_.commit());
  EXPECT_EQ(first["missing_bytes"], first["bytes"]);
  EXPECT_EQ(first["files"].back()["name"], "model.safetensors");
  EXPECT_EQ(first["files"].back()["bytes"], bytes);
  EXPECT_EQ(first["files"].back()["cached"], false);
  EXPECT_EQ(second["missing_bytes"], 0);
  EXPECT_EQ(second["bytes"], first["bytes"]);
  EXPECT_EQ(second["path"], first["path"]);
}

TEST_F(PullCommand, CtrlCStopsInOrderAndTheNextPullGoesOn) {
  const std::string model = text_of(directory() / "model.gguf");
  const std::string etag = hub_.add_large("model.gguf", model);
  TestReply held = TestHub::cdn_reply(model.substr(0, model.size() / 2));
  held.length = std::to_string(model.size());
  held.hold = true;
  hub_.cdn().on(TestHub::cdn_path("model.gguf"), held);

  Process process(directory(), {"pull", "org/name"}, environment());
  const Path part = cache() / "models--org--name/blobs" / (etag + ".incomplete");
  std::error_code missing;
  while (fs::file_size(part, missing) != model.size() / 2 && process.running())
    std::this_thread::yield();
  process.signal(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  expect_word(outcome.err, "trit pull org/name");

  hub_.cdn().on(TestHub::cdn_path("model.gguf"), TestHub::cdn_reply(model));
  hub_.cdn().forget_requests();
  expect_success(run({"pull", "org/name"}));
  EXPECT_EQ(hub_.cdn().requests().at(0).headers.at("range"),
            fmt::format("bytes={}-", model.size() / 2));
  EXPECT_EQ(story("org/name"), story("model.gguf"));
}

TEST_F(PullCommand, AFullDiskIsAnErrorOfTheMachine) {
  hub_.add_large("model.gguf", text_of(directory() / "model.gguf"));
  const Outcome outcome = Process(directory(), {"pull", "org/name"}, environment(), 10'000).wait();
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  expect_word(outcome.err, ".incomplete: cannot write: File too large");
  EXPECT_FALSE(fs::exists(cache() / "models--org--name/refs/main"));
}

TEST_F(PullCommand, WrongAnswersAndWrongUse) {
  const std::string model = text_of(directory() / "model.gguf");
  const std::string etag = hub_.add_large("model.gguf", model);
  hub_.cdn().on(TestHub::cdn_path("model.gguf"), TestHub::cdn_reply(model.substr(1) + "!"));
  const Outcome wrong_hash = run({"pull", "org/name"});
  EXPECT_EQ(wrong_hash.code, 1);
  expect_word(wrong_hash.err, "expected " + etag);
  for (const char* name : {"name", "../name", "org/name:x.bin", "org/name@..", "org/name:b.gguf"})
    EXPECT_EQ(run({"pull", name}).code, 2) << name;
  EXPECT_EQ(run({"pull", "org/name", "--endpoint", "ftp://host"}).code, 2);
  const Outcome absent = run({"pull", "org/other"});
  EXPECT_EQ(absent.code, 2);
  expect_word(absent.err, "no such repository");
}

}  // namespace
}  // namespace trit
