#include "hub/pull.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/test_folder.h"
#include "hub/cache.h"
#include "hub/resolve.h"
#include "hub/test_hub.h"

namespace trit {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class PullTest : public testing::Test {
 protected:
  PullTest() : hub_(test_folder() / "hub") {
    fs::remove_all(cache());
    setenv("HF_HUB_CACHE", cache().c_str(), 1);
    options_.hub = {hub_.url(), "", cache(), false};
    options_.retry.wait = [](std::chrono::milliseconds) {};
  }
  ~PullTest() override { unsetenv("HF_HUB_CACHE"); }

  static Path cache() { return test_folder() / "cache"; }
  static Path folder() { return cache() / "models--org--name"; }
  PullReport pull_name(const std::string& name = "org/name") {
    return pull(parse_repo(name), options_);
  }
  // config.json and two shards behind an index; the index is the last that the listing names.
  void publish_sharded() {
    hub_.add_small("config.json", "{\"a\": 1}");
    hub_.add_large("model-1.safetensors", "first shard");
    hub_.add_large("model-2.safetensors", "second shard");
    hub_.add_small("model.safetensors.index.json",
                   R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})");
    hub_.add_small("README.md", "not for trit");
  }
  static std::string error_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return {};
  }
  static void expect_word(const std::string& text, const std::string& word) {
    EXPECT_NE(text.find(word), std::string::npos) << text << "\nlacks: " << word;
  }
  // Everything below `root`, sorted; a link as "name -> target".
  static Names tree(const Path& root) {
    Names names;
    if (!fs::exists(root)) return names;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
      std::string name = entry.path().lexically_relative(root).string();
      if (entry.is_symlink()) name += " -> " + fs::read_symlink(entry.path()).string();
      if (entry.is_symlink() || !entry.is_directory()) names.push_back(name);
    }
    std::ranges::sort(names);
    return names;
  }

  TestHub hub_;
  PullOptions options_;
};

// The same tree that huggingface_hub 2.4 made from the same answers, hashes by git and sha256sum.
TEST_F(PullTest, TheTreeIsThatOfThePythonLibrary) {
  hub_.add_small("config.json", "hello world\n");
  hub_.add_large("model.safetensors", "hello world\n");
  const PullReport report = pull_name();
  const std::string commit(40, 'c'),
      git = "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
      sha256 = "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447";
  EXPECT_EQ(tree(cache()),
            (Names{".locks/models--org--name/" + git + ".lock",
                   ".locks/models--org--name/" + sha256 + ".lock", "CACHEDIR.TAG",
                   "models--org--name/blobs/" + git, "models--org--name/blobs/" + sha256,
                   "models--org--name/refs/main",
                   "models--org--name/snapshots/" + commit + "/config.json -> ../../blobs/" + git,
                   "models--org--name/snapshots/" + commit + "/model.safetensors -> ../../blobs/" +
                       sha256}));
  EXPECT_EQ(read_text(folder() / "refs/main"), commit);
  EXPECT_EQ(report.path, folder() / "snapshots" / commit);
  EXPECT_EQ(report.commit, commit);
  EXPECT_EQ(report.bytes(), 24u);
  EXPECT_EQ(report.missing_bytes(), 24u);
  EXPECT_EQ(resolve_model("org/name"), report.path);
}

TEST_F(PullTest, TheIndexThenItsShards) {
  publish_sharded();
  std::string last;
  options_.progress = [&](const std::string& file, uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    last = file;
  };
  const PullReport report = pull_name();
  Names names;
  for (const PulledFile& file : report.files) names.push_back(file.name);
  EXPECT_EQ(names, (Names{"model.safetensors.index.json", "config.json", "model-1.safetensors",
                          "model-2.safetensors"}));
  EXPECT_EQ(last, "model-2.safetensors");
  EXPECT_EQ(read_text(report.path / "model-2.safetensors"), "second shard");
  EXPECT_FALSE(fs::exists(report.path / "README.md"));
  EXPECT_EQ(resolve_model("org/name"), report.path);
}

TEST_F(PullTest, ASecondPullAsksForTheListAlone) {
  publish_sharded();
  pull_name();
  hub_.server().forget_requests();
  const PullReport again = pull_name();
  EXPECT_EQ(hub_.server().requests().size(), 1u);
  EXPECT_EQ(again.missing_bytes(), 0u);
  EXPECT_GT(again.bytes(), 0u);
}

TEST_F(PullTest, ADryRunWritesNothing) {
  publish_sharded();
  options_.dry_run = true;
  const PullReport report = pull_name();
  EXPECT_EQ(report.files.size(), 4u);
  EXPECT_EQ(report.files[2].name, "model-1.safetensors");
  EXPECT_EQ(report.files[2].bytes, 11u);
  EXPECT_EQ(report.missing_bytes(), report.bytes());
  EXPECT_FALSE(fs::exists(cache()));
}

TEST_F(PullTest, ANewCommitSharesWhatDidNotChange) {
  hub_.add_small("config.json", "{}");
  hub_.add_large("model.safetensors", "weights");
  const PullReport before = pull_name();
  hub_.commit_anew(std::string(40, 'd'));
  hub_.add_small("config.json", "{\"new\": 1}");
  hub_.add_large("model.safetensors", "weights");
  const PullReport after = pull_name();
  EXPECT_EQ(after.missing_bytes(), 10u);  // the new config.json
  EXPECT_EQ(read_text(before.path / "config.json"), "{}");
  EXPECT_EQ(read_text(after.path / "config.json"), "{\"new\": 1}");
  EXPECT_EQ(resolve_model("org/name"), after.path);
  EXPECT_EQ(resolve_model("org/name@" + before.commit), before.path);
}

// Contents that changed between two attempts have another hash, and so another part.
TEST_F(PullTest, ThePartOfOtherContentsIsNotGoneOnWith) {
  hub_.add_small("config.json", "{}");
  const std::string old = hub_.add_large("model.safetensors", "the old weights");
  TestReply broken = TestHub::cdn_reply("the old weights");
  broken.drop_after = 7;
  hub_.cdn().on(TestHub::cdn_path("model.safetensors"), broken);
  options_.retry.attempts = 1;
  expect_word(error_of([&] { pull_name(); }), "tried 1 times");
  EXPECT_EQ(read_text(folder() / "blobs" / (old + ".incomplete")), "the old");
  expect_word(error_of([] { resolve_model("org/name@" + std::string(40, 'c')); }), "only a part");

  hub_.commit_anew(std::string(40, 'd'));
  hub_.add_small("config.json", "{}");
  hub_.add_large("model.safetensors", "all new weights!");
  EXPECT_EQ(read_text(pull_name().path / "model.safetensors"), "all new weights!");
}

TEST_F(PullTest, StoppingLeavesThePartForTheNextPull) {
  hub_.add_small("config.json", "{}");
  const std::string contents(100'000, 'w');
  const std::string etag = hub_.add_large("model.safetensors", contents);
  bool stop = false;
  options_.stop = [&] { return stop; };
  options_.progress = [&](const std::string& file, uint64_t, uint64_t) {
    stop = file == "model.safetensors";
  };
  // The server holds the end back until the client goes, so that there is something left to stop.
  TestReply held = TestHub::cdn_reply(contents.substr(0, 50'000));
  held.length = "100000";
  held.hold = true;
  hub_.cdn().on(TestHub::cdn_path("model.safetensors"), held);
  EXPECT_THROW(pull_name(), Stopped);
  EXPECT_EQ(fs::file_size(folder() / "blobs" / (etag + ".incomplete")), 50'000u);
  EXPECT_FALSE(fs::exists(folder() / "refs/main"));

  stop = false;
  options_.progress = [](const std::string&, uint64_t, uint64_t) {};
  hub_.cdn().on(TestHub::cdn_path("model.safetensors"), TestHub::cdn_reply(contents));
  hub_.cdn().forget_requests();
  EXPECT_TRUE(read_text(pull_name().path / "model.safetensors") == contents);
  EXPECT_EQ(hub_.cdn().requests().back().headers.at("range"), "bytes=50000-");
  EXPECT_FALSE(fs::exists(folder() / "blobs" / (etag + ".incomplete")));
}

TEST_F(PullTest, AWrongHashLeavesNothing) {
  hub_.add_small("config.json", "{}");
  const std::string etag = hub_.add_large("model.safetensors", "weights");
  hub_.cdn().on(TestHub::cdn_path("model.safetensors"), TestHub::cdn_reply("wieghts"));
  const std::string error = error_of([&] { pull_name(); });
  expect_word(error, "model.safetensors: its hash is " + hub_.hash("wieghts", 64));
  expect_word(error, "expected " + etag);
  EXPECT_FALSE(fs::exists(folder() / "blobs" / etag));
  EXPECT_FALSE(fs::exists(folder() / "blobs" / (etag + ".incomplete")));
  EXPECT_FALSE(fs::exists(folder() / "refs/main"));
}

TEST_F(PullTest, ABlobOfTheWrongSizeIsFetchedAnew) {
  hub_.add_small("config.json", "{}");
  const std::string etag = hub_.add_large("model.safetensors", "weights");
  fs::create_directories(folder() / "blobs");
  write_text(folder() / "blobs" / etag, "weig");
  EXPECT_EQ(read_text(pull_name().path / "model.safetensors"), "weights");
}

TEST_F(PullTest, HostileShardNames) {
  hub_.add_small("config.json", "{}");
  hub_.add_small("model.safetensors.index.json", R"({"weight_map": {"a": "../../../evil"}})");
  expect_word(error_of([&] { pull_name(); }), "../../../evil");
  hub_.commit_anew(std::string(40, 'd'));
  hub_.add_small("config.json", "{}");
  hub_.add_small("model.safetensors.index.json", R"({"weight_map": {"a": "absent"}})");
  expect_word(error_of([&] { pull_name(); }), "'absent'");
}

TEST_F(PullTest, GgufFiles) {
  hub_.add_large("a.gguf", "A");
  hub_.add_large("sub/b.gguf", "B");
  expect_word(error_of([&] { pull_name(); }), "a.gguf, sub/b.gguf");
  const PullReport report = pull_name("org/name:sub/b.gguf");
  EXPECT_EQ(report.path, folder() / "snapshots" / hub_.commit() / "sub/b.gguf");
  EXPECT_EQ(read_text(report.path), "B");
  EXPECT_EQ(resolve_model("org/name:sub/b.gguf"), report.path);
  EXPECT_EQ(resolve_model("org/name"), report.path);  // the only one that is in the cache
  expect_word(error_of([] { resolve_model("org/name:a.gguf"); }), "trit pull org/name:a.gguf");
}

TEST_F(PullTest, Offline) {
  hub_.add_large("a.gguf", "A");
  options_.hub.offline = true;
  expect_word(error_of([&] { pull_name(); }), "HF_HUB_OFFLINE");
  options_.hub.offline = false;
  const PullReport report = pull_name();
  options_.hub.offline = true;
  hub_.server().forget_requests();
  EXPECT_EQ(pull_name().path, report.path);
  EXPECT_TRUE(hub_.server().requests().empty());
}

TEST_F(PullTest, PathsComeBeforeNames) {
  EXPECT_EQ(resolve_model("missing.gguf"), "missing.gguf");
  EXPECT_EQ(resolve_model("/a/b/c"), "/a/b/c");
  expect_word(error_of([] { resolve_model("org/name"); }), "trit pull org/name");
  expect_word(error_of([] { resolve_model("org/name@v2"); }), "trit pull org/name@v2");
  const Path here = fs::current_path();
  fs::current_path(test_folder());
  fs::create_directories("org/name");
  EXPECT_EQ(resolve_model("org/name"), "org/name");
  fs::remove_all("org");
  fs::current_path(here);
}

TEST_F(PullTest, AFolderThatCannotBeMade) {
  hub_.add_large("a.gguf", "A");
  write_text(cache(), "a file where the cache should be");
  expect_word(error_of([&] { pull_name(); }), "cannot make this folder");
}

}  // namespace
}  // namespace trit
