#pragma once
// For tests alone: an HTTP/1.1 server on 127.0.0.1 that answers by script, and as badly as asked.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace trit {

struct TestRequest {
  std::string method, target;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct TestReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool ranges = true;                 // a 200 becomes the 206 that the request asks for
  std::optional<std::string> length;  // in place of the true Content-Length; "" leaves it out
  std::optional<size_t> drop_after;   // closes the connection after so many bytes of the body
  bool hold = false;    // sends what it has, and then waits until the client goes away
  bool silent = false;  // sends nothing and waits so
};

class TestServer {
 public:
  using Script = std::function<TestReply(const TestRequest&)>;

  TestServer() {
    setenv("no_proxy", "127.0.0.1", 1);  // a proxy of the environment cannot reach this server
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    listen(listener_, 16);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;
  ~TestServer() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    {
      const std::lock_guard lock(mutex_);
      if (client_ >= 0) shutdown(client_, SHUT_RDWR);
    }
    thread_.join();
    close(listener_);
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }

  // What answers requests for `path` (without the query) from now on; other paths get 404.
  void on(const std::string& path, Script script) {
    const std::lock_guard lock(mutex_);
    scripts_[path] = std::move(script);
  }
  void on(const std::string& path, TestReply reply) {
    on(path, [reply = std::move(reply)](const TestRequest&) { return reply; });
  }
  std::vector<TestRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  void forget_requests() {
    const std::lock_guard lock(mutex_);
    requests_.clear();
  }

 private:
  void serve() {
    while (!stopping_) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      set_client(client);
      answer(client);
      set_client(-1);
      close(client);
    }
  }
  void set_client(int client) {
    const std::lock_guard lock(mutex_);
    client_ = client;
  }

  static std::optional<TestRequest> read_request(int client) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == text.npos) {
      const ssize_t got = recv(client, buffer, sizeof(buffer), 0);
      if (got <= 0) return std::nullopt;
      text.append(buffer, static_cast<size_t>(got));
    }
    TestRequest request;
    request.method = text.substr(0, text.find(' '));
    const size_t begin = request.method.size() + 1;
    request.target = text.substr(begin, text.find(' ', begin) - begin);
    for (size_t at = text.find("\r\n") + 2; text.compare(at, 2, "\r\n") != 0;) {
      const size_t end = text.find("\r\n", at), colon = text.find(':', at);
      std::string name = text.substr(at, colon - at);
      std::ranges::transform(name, name.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers[name] = text.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    return request;
  }

  static TestReply not_found() {
    TestReply reply;
    reply.status = 404;
    return reply;
  }
  TestReply scripted(const TestRequest& request) {
    Script script;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      const auto found = scripts_.find(request.target.substr(0, request.target.find('?')));
      if (found != scripts_.end()) script = found->second;
    }
    return script ? script(request) : not_found();
  }

  static void apply_range(const TestRequest& request, TestReply& reply) {
    const auto range = request.headers.find("range");
    if (range == request.headers.end() || !reply.ranges || reply.status != 200) return;
    const size_t total = reply.body.size();
    const size_t first = std::stoul(range->second.substr(range->second.find('=') + 1));
    if (first >= total) {
      reply.status = 416;
      reply.body.clear();
      return;
    }
    reply.status = 206;
    reply.headers.emplace_back("Content-Range",
                               fmt::format("bytes {}-{}/{}", first, total - 1, total));
    reply.body.erase(0, first);
  }

  void answer(int client) {
    const std::optional<TestRequest> request = read_request(client);
    if (!request) return;
    TestReply reply = scripted(*request);
    if (reply.silent) return wait_for_end(client);
    apply_range(*request, reply);
    std::string text = fmt::format("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", reply.status);
    const std::string length = reply.length.value_or(std::to_string(reply.body.size()));
    if (!length.empty()) text += fmt::format("Content-Length: {}\r\n", length);
    for (const auto& [name, value] : reply.headers) text += fmt::format("{}: {}\r\n", name, value);
    text += "\r\n";
    if (request->method != "HEAD")
      text += reply.body.substr(0, reply.drop_after.value_or(std::string::npos));
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = send(client, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
    if (reply.hold) wait_for_end(client);
  }
  static void wait_for_end(int client) {
    char byte = 0;
    while (recv(client, &byte, 1, 0) > 0) continue;
  }

  int listener_ = -1, port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  int client_ = -1;
  std::map<std::string, Script> scripts_;
  std::vector<TestRequest> requests_;
  std::thread thread_;
};

}  // namespace trit
