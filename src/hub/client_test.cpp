#include "hub/client.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/error.h"
#include "base/test_folder.h"
#include "hub/test_hub.h"

namespace trit {
namespace {

using std::chrono::milliseconds;

// A hub, a client whose waits are only noted, and the part of one file.
class Client : public testing::Test {
 protected:
  Client() : hub_(test_folder() / "hub") { std::filesystem::remove(part()); }

  static Path part() { return test_folder() / "part"; }
  HubClient client() {
    ClientOptions options;
    options.endpoint = hub_.url();
    options.token = "secret";
    options.retry.wait = [this](milliseconds delay) { waits_.push_back(delay.count()); };
    return HubClient(options, parse_repo(TestHub::kId));
  }
  // Fails unless `call` throws an Error whose message has `word`, with this exit code.
  template <class Call>
  static void expect_error(const Call& call, const std::string& word, ExitCode code) {
    try {
      call();
      ADD_FAILURE() << "no error; expected one with: " << word;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
      EXPECT_EQ(error.code(), code) << error.what();
    }
  }
  void expect_listing_error(const std::string& body, const std::string& word) {
    TestReply reply;
    reply.body = body;
    hub_.server().on(TestHub::api_path(), reply);
    expect_error([&] { client().list(); }, word, ExitCode::kBadInput);
  }
  void download(const RemoteFile& file) {
    client().download(hub_.commit(), file, part(), [this](uint64_t done) { last_ = done; });
  }
  // The Range headers of the requests for `path`; "" for one without.
  std::vector<std::string> ranges(const std::string& path) {
    std::vector<std::string> ranges;
    std::vector<TestRequest> requests = hub_.server().requests();
    for (TestRequest& request : hub_.cdn().requests()) requests.push_back(std::move(request));
    for (const TestRequest& request : requests) {
      const auto range = request.headers.find("range");
      if (request.target == path && request.method == "GET")
        ranges.push_back(range == request.headers.end() ? "" : range->second);
    }
    return ranges;
  }
  // Answers the n-th GET of `path` with replies[n], and later ones with the last.
  static void in_turn(TestServer& server, const std::string& path, std::vector<TestReply> replies) {
    server.on(path, [replies = std::move(replies),
                     n = std::make_shared<size_t>(0)](const TestRequest& request) {
      const TestReply reply = replies[std::min(*n, replies.size() - 1)];
      if (request.method == "GET") ++*n;
      return reply;
    });
  }
  static TestReply status(int code) {
    TestReply reply;
    reply.status = code;
    return reply;
  }

  TestHub hub_;
  std::vector<int64_t> waits_;
  uint64_t last_ = 0;
};

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

TEST_F(Client, ListsCommitAndFiles) {
  hub_.add_small("b.json", "{}");
  hub_.add_small("a/c.json", "{}");
  const RepoListing listing = client().list();
  EXPECT_EQ(listing.commit, hub_.commit());
  EXPECT_EQ(listing.files, (std::vector<std::string>{"a/c.json", "b.json"}));
  EXPECT_TRUE(listing.has("b.json"));
  EXPECT_FALSE(listing.has("c.json"));
  EXPECT_EQ(hub_.server().requests().at(0).headers.at("authorization"), "Bearer secret");
}

TEST_F(Client, HostileListings) {
  const std::string sha = "{\"sha\": \"" + hub_.commit() + "\", \"siblings\": ";
  expect_listing_error("", "JSON");
  expect_listing_error("[1]", "sha");
  expect_listing_error("{\"sha\": \"../../etc\", \"siblings\": []}", "sha");
  expect_listing_error(sha + "3}", "siblings");
  expect_listing_error(sha + "[3]}", "rfilename");
  for (const char* name : {"../x", "/etc/passwd", "a/../../x", "a\\\\b", "a\\nb", "\\u001b[2J", ""})
    expect_listing_error(sha + fmt::format("[{{\"rfilename\": \"{}\"}}]}}", name), "file '");
  expect_listing_error(std::string(200'000, '['), "deeper");
  expect_listing_error(std::string((16 << 20) + 1, ' '), "longer than 16777216 bytes");
}

TEST_F(Client, RefusalsSayWhatToDo) {
  const std::string path = TestHub::api_path();
  const auto list = [&] { client().list(); };
  hub_.server().on(path, status(401));
  expect_error(list, "HF_TOKEN", ExitCode::kBadInput);
  hub_.server().on(path, status(403));
  expect_error(list, "terms", ExitCode::kBadInput);
  TestReply gated = status(401);
  gated.headers = {{"X-Error-Code", "GatedRepo"}};
  hub_.server().on(path, gated);
  expect_error(list, "terms", ExitCode::kBadInput);
  hub_.server().on(path, status(404));
  expect_error(list, "no such repository", ExitCode::kBadInput);
  TestReply no_revision = status(404);
  no_revision.headers = {{"X-Error-Code", "RevisionNotFound"}};
  hub_.server().on(path, no_revision);
  expect_error(list, "revision 'main'", ExitCode::kBadInput);
  EXPECT_TRUE(waits_.empty());
}

TEST_F(Client, TroubleThatPassesIsWaitedOut) {
  TestReply busy = status(429), silent = status(200), good;
  busy.headers = {{"Retry-After", "7"}};
  silent.body = "{}";
  silent.drop_after = 1;
  good.body = "{\"sha\": \"" + hub_.commit() + "\", \"siblings\": []}";
  in_turn(hub_.server(), TestHub::api_path(), {status(503), busy, silent, good});
  EXPECT_EQ(client().list().commit, hub_.commit());
  // Doubling from one second; the server's wish where it is longer.
  EXPECT_EQ(waits_, (std::vector<int64_t>{1000, 7000, 4000}));
}

TEST_F(Client, TryingHasAnEnd) {
  hub_.server().on(TestHub::api_path(), status(500));
  expect_error([&] { client().list(); }, "tried 6 times", ExitCode::kFailure);
  EXPECT_EQ(waits_, (std::vector<int64_t>{1000, 2000, 4000, 8000, 16000}));
}

TEST_F(Client, AnHourOfRetryAfterIsCut) {
  TestReply busy = status(429);
  busy.headers = {{"Retry-After", "999999999999"}};
  hub_.server().on(TestHub::api_path(), busy);
  expect_error([&] { client().list(); }, "429", ExitCode::kFailure);
  EXPECT_EQ(*std::max_element(waits_.begin(), waits_.end()), 30'000);
}

TEST_F(Client, DescribesSmallAndLargeFiles) {
  const std::string small = hub_.add_small("config.json", "{}");
  const std::string large = hub_.add_large("w.safetensors", pattern(1000));
  EXPECT_EQ(small.size(), 40u);
  EXPECT_EQ(large.size(), 64u);
  const RemoteFile config = client().describe(hub_.commit(), "config.json");
  EXPECT_EQ(config.etag, small);
  EXPECT_EQ(config.size, 2u);
  const RemoteFile weights = client().describe(hub_.commit(), "w.safetensors");
  EXPECT_EQ(weights.etag, large);
  EXPECT_EQ(weights.size, 1000u);
}

TEST_F(Client, AWeakETagIsAnETag) {
  const std::string etag = hub_.hash("{}", 40);
  TestReply reply = hub_.small_reply(etag, "{}");
  reply.headers[0].second = fmt::format("W/\"{}\"", etag);
  hub_.server().on(hub_.file_path("a"), reply);
  EXPECT_EQ(client().describe(hub_.commit(), "a").etag, etag);
}

TEST_F(Client, HostileDescriptions) {
  const std::string etag = hub_.hash("{}", 40), path = hub_.file_path("a");
  const auto describe = [&] { client().describe(hub_.commit(), "a"); };
  TestReply reply = hub_.small_reply(etag, "{}");
  reply.headers[0].second = "\"../../../evil\"";
  hub_.server().on(path, reply);
  expect_error(describe, "ETag is '../../../evil'", ExitCode::kFailure);
  reply = hub_.small_reply(etag, "{}");
  reply.headers[1].second = std::string(40, 'd');
  hub_.server().on(path, reply);
  expect_error(describe, "commit", ExitCode::kFailure);
  reply = hub_.small_reply(etag, "{}");
  reply.length = "";
  hub_.server().on(path, reply);
  expect_error(describe, "size", ExitCode::kFailure);
  reply = hub_.large_reply(etag, 2, "http://127.0.0.1:1/");
  reply.headers[2].second = "-5";
  hub_.server().on(path, reply);
  expect_error(describe, "size", ExitCode::kFailure);
}

TEST_F(Client, DownloadsBothKinds) {
  const std::string contents = pattern(300'000);
  hub_.add_small("small", "hello");
  hub_.add_large("large", contents);
  download(client().describe(hub_.commit(), "small"));
  EXPECT_EQ(read_text(part()), "hello");
  std::filesystem::remove(part());
  download(client().describe(hub_.commit(), "large"));
  EXPECT_TRUE(read_text(part()) == contents);
  EXPECT_EQ(last_, contents.size());
  EXPECT_EQ(hub_.cdn().requests().at(0).headers.count("authorization"), 0u);
}

TEST_F(Client, AnEmptyFileNeedsNoBytes) {
  hub_.add_small("empty", "");
  download(client().describe(hub_.commit(), "empty"));
  EXPECT_EQ(read_text(part()), "");
}

TEST_F(Client, GoesOnWhereTheConnectionBroke) {
  const std::string contents = pattern(300'000);
  const std::string etag = hub_.add_large("large", contents);
  TestReply broken = TestHub::cdn_reply(contents), again = broken;
  broken.drop_after = 100'000;
  again.drop_after = 50'000;
  in_turn(hub_.cdn(), TestHub::cdn_path("large"), {broken, again, TestHub::cdn_reply(contents)});
  download({"large", etag, contents.size()});
  EXPECT_TRUE(read_text(part()) == contents);
  EXPECT_EQ(ranges(TestHub::cdn_path("large")),
            (std::vector<std::string>{"", "bytes=100000-", "bytes=150000-"}));
  EXPECT_EQ(waits_, (std::vector<int64_t>{1000, 2000}));
}

TEST_F(Client, GoesOnWithThePartOfAnEarlierProcess) {
  const std::string contents = pattern(300'000);
  const std::string etag = hub_.add_large("large", contents);
  write_text(part(), contents.substr(0, 123'456));
  download({"large", etag, contents.size()});
  EXPECT_TRUE(read_text(part()) == contents);
  EXPECT_EQ(ranges(TestHub::cdn_path("large")), (std::vector<std::string>{"bytes=123456-"}));
}

TEST_F(Client, AWholePartIsOnlyHashed) {
  const std::string etag = hub_.add_small("small", "hello");
  write_text(part(), "hello");
  download({"small", etag, 5});
  EXPECT_TRUE(ranges(hub_.file_path("small")).empty());
}

TEST_F(Client, APartThatIsTooLongBeginsAnew) {
  const std::string etag = hub_.add_small("small", "hello");
  write_text(part(), "hello, and more");
  download({"small", etag, 5});
  EXPECT_EQ(read_text(part()), "hello");
}

TEST_F(Client, AServerWithoutRangesBeginsAnew) {
  const std::string contents = pattern(300'000);
  const std::string etag = hub_.add_large("large", contents);
  TestReply reply = TestHub::cdn_reply(contents);
  reply.ranges = false;
  hub_.cdn().on(TestHub::cdn_path("large"), reply);
  write_text(part(), "something else that is not the beginning");
  download({"large", etag, contents.size()});
  EXPECT_TRUE(read_text(part()) == contents);
}

TEST_F(Client, AWrongRangeIsRefused) {
  const std::string contents = pattern(3000);
  const std::string etag = hub_.add_large("large", contents);
  for (const char* range : {"bytes 5-2999/3000", "bytes 1000-2999/2999", "bytes 1000-", "x", ""}) {
    TestReply reply = TestHub::cdn_reply(contents.substr(1000));
    reply.status = 206;
    reply.headers = {{"Content-Range", range}};
    hub_.cdn().on(TestHub::cdn_path("large"), reply);
    write_text(part(), contents.substr(0, 1000));
    expect_error(
        [&] {
          download({"large", etag, contents.size()});
        },
        "bytes from 1000", ExitCode::kFailure);
  }
}

TEST_F(Client, ARangeThatTheServerHasNotBeginsAnew) {
  const std::string contents = pattern(3000);
  const std::string etag = hub_.add_large("large", contents);
  in_turn(hub_.cdn(), TestHub::cdn_path("large"), {status(416), TestHub::cdn_reply(contents)});
  write_text(part(), contents.substr(0, 1000));
  download({"large", etag, contents.size()});
  EXPECT_TRUE(read_text(part()) == contents);
}

TEST_F(Client, LiesAboutLengthsAreRefused) {
  const std::string contents = pattern(3000);
  const std::string etag = hub_.add_large("large", contents);
  TestReply reply = TestHub::cdn_reply(contents);
  for (const char* length : {"2999", "3001", "0", "999999999999"}) {
    std::filesystem::remove(part());
    reply.length = length;
    hub_.cdn().on(TestHub::cdn_path("large"), reply);
    expect_error(
        [&] {
          download({"large", etag, contents.size()});
        },
        std::string(length) == "0" ? "0 of 3000" : "announces", ExitCode::kFailure);
  }
  // Without a length the body ends with the connection: one that is too long is cut off.
  reply.length = "";
  reply.body = contents + "more";
  hub_.cdn().on(TestHub::cdn_path("large"), reply);
  expect_error(
      [&] {
        download({"large", etag, contents.size()});
      },
      "more than its 3000 bytes", ExitCode::kFailure);
  reply.body = contents;
  hub_.cdn().on(TestHub::cdn_path("large"), reply);
  std::filesystem::remove(part());
  download({"large", etag, contents.size()});
  EXPECT_TRUE(read_text(part()) == contents);
}

TEST_F(Client, AWrongHashRemovesThePart) {
  const std::string contents = pattern(3000);
  for (const size_t digits : {size_t{40}, size_t{64}}) {
    const std::string etag = hub_.hash(contents, digits);
    const std::string found = hub_.hash(contents.substr(0, 2999) + "!", digits);
    hub_.server().on(hub_.file_path("f"), hub_.small_reply(etag, contents.substr(0, 2999) + "!"));
    const auto get = [&] { download({"f", etag, contents.size()}); };
    expect_error(get, fmt::format("its hash is {}, expected {}", found, etag), ExitCode::kFailure);
    EXPECT_FALSE(std::filesystem::exists(part()));
  }
}

TEST_F(Client, AnETagThatChangedEndsTheDownload) {
  const std::string contents = pattern(3000), other = contents.substr(1) + "!";
  const std::string etag = hub_.hash(contents, 64);
  // The connection breaks, and when the client comes back, other contents stand under the name.
  TestReply broken = hub_.small_reply(etag, contents);
  broken.drop_after = 1000;
  in_turn(hub_.server(), hub_.file_path("f"),
          {broken, hub_.small_reply(hub_.hash(other, 64), other)});
  expect_error(
      [&] {
        download({"f", etag, contents.size()});
      },
      "the repository changed", ExitCode::kFailure);
  EXPECT_TRUE(read_text(part()) == contents.substr(0, 1000));  // nothing of the other contents
}

TEST_F(Client, AByteAtATimeIsNotWaitedFor) {
  const std::string contents = pattern(3000);
  const std::string etag = hub_.add_large("large", contents);
  TestReply reply = TestHub::cdn_reply(contents);
  reply.drop_after = 1;
  hub_.cdn().on(TestHub::cdn_path("large"), reply);
  expect_error(
      [&] {
        download({"large", etag, contents.size()});
      },
      "tried 6 times", ExitCode::kFailure);
  EXPECT_TRUE(read_text(part()) == contents.substr(0, 6));
}

TEST_F(Client, MegabytesAreWorthAnotherRoundOfTries) {
  const std::string contents = pattern(size_t{8} << 20);
  const std::string etag = hub_.add_large("large", contents);
  TestReply reply = TestHub::cdn_reply(contents);
  reply.drop_after = size_t{1} << 20;
  hub_.cdn().on(TestHub::cdn_path("large"), reply);
  download({"large", etag, contents.size()});
  EXPECT_TRUE(read_text(part()) == contents);
  EXPECT_EQ(waits_, std::vector<int64_t>(7, 1000));
}

TEST_F(Client, MoreThanTheDiskHolds) {
  expect_error(
      [&] {
        download({"f", std::string(64, 'a'), uint64_t{1} << 58});
      },
      "the disk has", ExitCode::kFailure);
}

TEST_F(Client, ALinkInPlaceOfThePartIsNotFollowed) {
  write_text(test_folder() / "precious", "precious");
  std::filesystem::create_symlink(test_folder() / "precious", part());
  const std::string etag = hub_.add_small("small", "hello");
  expect_error([&] { download({"small", etag, 5}); }, "cannot open", ExitCode::kFailure);
  EXPECT_EQ(read_text(test_folder() / "precious"), "precious");
}

TEST_F(Client, ReadsAtMostWhatItIsAllowed) {
  hub_.add_small("small", "hello");
  EXPECT_EQ(client().read(hub_.commit(), "small", 5), "hello");
  expect_error([&] { client().read(hub_.commit(), "small", 4); }, "longer than 4 bytes",
               ExitCode::kBadInput);
}

TEST_F(Client, NamesAreEncodedInUrls) {
  const std::string name = "a b#c?d%.gguf";
  hub_.server().on(fmt::format("/org/name/resolve/{}/a%20b%23c%3Fd%25.gguf", hub_.commit()),
                   hub_.small_reply(hub_.hash("x", 40), "x"));
  EXPECT_EQ(client().describe(hub_.commit(), name).size, 1u);
}

}  // namespace
}  // namespace trit
