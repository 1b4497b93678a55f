#pragma once
// HTTP requests over libcurl: one at a time, over connections that stay open. Nothing that a server
// sends is taken on trust: headers, redirects and silence have limits; the body's is the caller's.
// Proxies come from the usual variables (https_proxy, no_proxy, ...).

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace trit {

struct HttpLimits {
  long connect_seconds = 15;  // for a connection, TLS included
  long stall_seconds = 30;    // without a byte; there is no limit on the whole, files are large
  int redirects = 10;
};

struct HttpRequest {
  std::string url;
  std::string token;    // a bearer token; goes to the url's own scheme, host and port alone
  bool head = false;    // ask for the headers alone
  bool stay = false;    // do not follow a redirect to another host: it is the answer
  uint64_t offset = 0;  // ask for the bytes from here on, if not 0
};

// Headers by their name in lower case; of one that occurs twice, the last.
using HttpHeaders = std::map<std::string, std::string, std::less<>>;

struct HttpResponse {
  long status = 0;
  HttpHeaders headers;
  // Headers of this and of the redirects before it, as far as the request's own host sent them.
  HttpHeaders own_headers;
  std::optional<uint64_t> length;  // Content-Length
};

// The value of a header; empty when it is missing.
std::string_view header(const HttpHeaders& headers, std::string_view name);
// A decimal number of at most 18 digits and nothing else.
std::optional<uint64_t> parse_size(std::string_view text);

// The server or the way to it failed. `passing`: trying again may help.
class NetworkError : public Error {
 public:
  NetworkError(const std::string& message, bool passing,
               std::chrono::seconds retry_after = std::chrono::seconds(0))
      : Error(message, ExitCode::kFailure), passing_(passing), retry_after_(retry_after) {}
  bool passing() const { return passing_; }
  std::chrono::seconds retry_after() const {
    return retry_after_;
  }  // what the server asks for; 0: nothing

 private:
  bool passing_;
  std::chrono::seconds retry_after_;
};

// The user wished to stop; what has come so far is kept.
class Stopped : public Error {
 public:
  Stopped() : Error("stopped", ExitCode::kFailure) {}
};

class Http {
 public:
  // `stop` is asked at least once a second; true ends the request with Stopped.
  Http(const HttpLimits& limits, std::function<bool()> stop);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // Gets pieces of the body of a 2xx answer, with the answer's status and headers; other bodies are
  // dropped. What it throws ends the request and comes out of send().
  using Sink = std::function<void(const HttpResponse&, std::string_view)>;

  // The answer, whatever its status, after redirects. Throws NetworkError when there is none or the body
  // broke off, when redirects go in circles, from https to http, or to another protocol.
  HttpResponse send(const HttpRequest& request, const Sink& sink);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trit
