#pragma once
// For tests alone: a repository on a TestServer, spoken for as the Hugging Face hub does.

#include <string>
#include <vector>

#include "base/json.h"
#include "hub/hash.h"
#include "hub/test_server.h"

namespace trit {

class TestHub {
 public:
  static constexpr const char* kId = "org/name";

  explicit TestHub(const Path& folder) : folder_(folder) {
    std::filesystem::create_directories(folder_);
    publish_listing();
  }

  TestServer& server() { return server_; }
  TestServer& cdn() { return cdn_; }  // where the large files lie
  std::string url() const { return server_.url(); }
  const std::string& commit() const { return commit_; }
  static std::string api_path() { return "/api/models/org/name/revision/main"; }
  std::string file_path(const std::string& name) const {
    return fmt::format("/org/name/resolve/{}/{}", commit_, name);
  }
  static std::string cdn_path(const std::string& name) { return fmt::format("/cdn/{}", name); }

  // A small file, which the hub serves itself under its git hash. Returns its ETag.
  std::string add_small(const std::string& name, const std::string& contents) {
    const std::string etag = hash(contents, 40);
    server_.on(file_path(name), small_reply(etag, contents));
    list(name);
    return etag;
  }
  // A large one: the hub redirects to where it lies, and that server has ETags of its own.
  std::string add_large(const std::string& name, const std::string& contents) {
    const std::string etag = hash(contents, 64);
    server_.on(file_path(name), large_reply(etag, contents.size(), cdn_.url() + cdn_path(name)));
    cdn_.on(cdn_path(name), cdn_reply(contents));
    list(name);
    return etag;
  }
  // Only names it.
  void list(const std::string& name) {
    names_.push_back(name);
    publish_listing();
  }
  // A new commit with no files.
  void commit_anew(const std::string& commit) {
    commit_ = commit;
    names_.clear();
    publish_listing();
  }

  TestReply small_reply(const std::string& etag, const std::string& contents) const {
    TestReply reply;
    reply.body = contents;
    reply.headers = {{"ETag", fmt::format("\"{}\"", etag)}, {"X-Repo-Commit", commit_}};
    return reply;
  }
  TestReply large_reply(const std::string& etag, size_t size, const std::string& location) const {
    TestReply reply;
    reply.status = 302;
    reply.body = "Found. Redirecting";
    reply.headers = {{"X-Repo-Commit", commit_},
                     {"X-Linked-Etag", fmt::format("\"{}\"", etag)},
                     {"X-Linked-Size", std::to_string(size)},
                     {"Location", location}};
    return reply;
  }
  static TestReply cdn_reply(const std::string& contents) {
    TestReply reply;
    reply.body = contents;
    reply.headers = {{"ETag", "\"0123456789abcdef-1\""}};
    return reply;
  }
  std::string hash(const std::string& contents, size_t digits) const {
    write_text(folder_ / "contents", contents);
    return content_hash(folder_ / "contents", std::string(digits, '0'));
  }

 private:
  void publish_listing() {
    Json siblings = Json::array();
    for (const std::string& name : names_) siblings.push_back({{"rfilename", name}});
    TestReply reply;
    reply.body = Json{{"id", kId}, {"sha", commit_}, {"siblings", siblings}}.dump();
    server_.on(api_path(), reply);
  }

  Path folder_;
  std::string commit_ = std::string(40, 'c');
  std::vector<std::string> names_;
  TestServer server_, cdn_;
};

}  // namespace trit
