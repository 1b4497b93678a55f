#include "hub/http.h"

#include <gtest/gtest.h>

#include "hub/test_server.h"

namespace trit {
namespace {

struct Answer {
  HttpResponse response;
  std::string body;
};

Answer ask(
    const HttpRequest& request, const HttpLimits& limits = {},
    const std::function<bool()>& stop = [] { return false; }) {
  Http http(limits, stop);
  Answer answer;
  answer.response = http.send(
      request, [&](const HttpResponse&, std::string_view piece) { answer.body += piece; });
  return answer;
}

HttpRequest get(const std::string& url, const std::string& token = "") {
  HttpRequest request;
  request.url = url;
  request.token = token;
  return request;
}

TestReply redirect(const std::string& location) {
  TestReply reply;
  reply.status = 302;
  reply.body = "elsewhere";
  reply.headers = {{"Location", location}};
  return reply;
}

TestReply text(const std::string& body) {
  TestReply reply;
  reply.body = body;
  return reply;
}

// The message of the NetworkError; whether it passes must be as expected.
std::string error_of(const HttpRequest& request, bool passing, const HttpLimits& limits = {}) {
  try {
    ask(request, limits);
  } catch (const NetworkError& error) {
    EXPECT_EQ(error.passing(), passing) << error.what();
    return error.what();
  }
  ADD_FAILURE() << request.url << ": no error";
  return {};
}

TEST(Http, BodyHeadersStatus) {
  TestServer server;
  TestReply reply = text("hello");
  reply.headers = {{"X-Mixed-Case", "  spaced  "}};
  server.on("/a", reply);
  const Answer answer = ask(get(server.url() + "/a?query=1"));
  EXPECT_EQ(answer.response.status, 200);
  EXPECT_EQ(answer.body, "hello");
  EXPECT_EQ(header(answer.response.headers, "x-mixed-case"), "spaced");
  EXPECT_EQ(header(answer.response.headers, "missing"), "");
  EXPECT_EQ(answer.response.length, 5u);
  EXPECT_EQ(server.requests().at(0).headers.count("authorization"), 0u);
  EXPECT_EQ(server.requests().at(0).headers.at("accept-encoding"), "identity");
}

TEST(Http, BodiesOfErrorsAreDropped) {
  TestServer server;
  TestReply reply = text(std::string(1 << 20, 'x'));
  reply.status = 500;
  server.on("/a", reply);
  const Answer answer = ask(get(server.url() + "/a"));
  EXPECT_EQ(answer.response.status, 500);
  EXPECT_EQ(answer.body, "");
}

TEST(Http, HeadAndRange) {
  TestServer server;
  server.on("/a", text("0123456789"));
  HttpRequest request = get(server.url() + "/a");
  request.head = true;
  EXPECT_EQ(ask(request).body, "");
  EXPECT_EQ(ask(request).response.length, 10u);
  request.head = false;
  request.offset = 7;
  const Answer answer = ask(request);
  EXPECT_EQ(answer.response.status, 206);
  EXPECT_EQ(answer.body, "789");
}

TEST(Http, TheTokenStaysWithItsHost) {
  TestServer hub, elsewhere;
  hub.on("/a", redirect("/b"));
  hub.on("/b", redirect(elsewhere.url() + "/c"));
  elsewhere.on("/c", text("bytes"));
  EXPECT_EQ(ask(get(hub.url() + "/a", "secret")).body, "bytes");
  ASSERT_EQ(hub.requests().size(), 2u);
  EXPECT_EQ(hub.requests()[0].headers.at("authorization"), "Bearer secret");
  EXPECT_EQ(hub.requests()[1].headers.at("authorization"), "Bearer secret");
  ASSERT_EQ(elsewhere.requests().size(), 1u);
  EXPECT_EQ(elsewhere.requests()[0].headers.count("authorization"), 0u);
}

TEST(Http, HeadersOfAnotherHostAreNotTheHubs) {
  TestServer hub, elsewhere;
  TestReply first = redirect(elsewhere.url() + "/c");
  first.headers.emplace_back("X-Linked-Size", "5");
  hub.on("/a", first);
  TestReply second = text("bytes");
  second.headers = {{"X-Linked-Size", "6"}};
  elsewhere.on("/c", second);
  const HttpResponse response = ask(get(hub.url() + "/a")).response;
  EXPECT_EQ(header(response.own_headers, "x-linked-size"), "5");
  EXPECT_EQ(header(response.headers, "x-linked-size"), "6");
}

TEST(Http, StayingReturnsTheRedirect) {
  TestServer hub, elsewhere;
  hub.on("/a", redirect("/b"));
  hub.on("/b", redirect(elsewhere.url() + "/c"));
  HttpRequest request = get(hub.url() + "/a");
  request.stay = true;
  EXPECT_EQ(ask(request).response.status, 302);
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST(Http, RedirectsHaveAnEnd) {
  TestServer server;
  server.on("/a", redirect("/b"));
  server.on("/b", redirect("/a"));
  EXPECT_NE(error_of(get(server.url() + "/a"), false).find("10 redirects"), std::string::npos);
  EXPECT_EQ(server.requests().size(), 11u);
}

TEST(Http, RedirectsToOtherProtocolsAreRefused) {
  TestServer server;
  for (const char* target : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"}) {
    server.on("/a", redirect(target));
    EXPECT_NE(error_of(get(server.url() + "/a"), false).find("redirects to"), std::string::npos);
  }
}

TEST(Http, ABrokenBodyIsAPassingError) {
  TestServer server;
  TestReply reply = text("0123456789");
  reply.drop_after = 4;
  server.on("/a", reply);
  error_of(get(server.url() + "/a"), true);
  reply.length = "0x0";
  reply.drop_after.reset();
  server.on("/b", reply);
  EXPECT_EQ(ask(get(server.url() + "/b")).response.length, std::nullopt);
}

TEST(Http, NobodyThere) {
  std::string url;
  {
    const TestServer gone;
    url = gone.url();
  }
  error_of(get(url + "/a"), true);
}

TEST(Http, SilenceHasALimit) {
  TestServer server;
  TestReply reply;
  reply.silent = true;
  server.on("/a", reply);
  HttpLimits limits;
  limits.stall_seconds = 1;
  error_of(get(server.url() + "/a"), true, limits);
}

TEST(Http, HeadersHaveALimit) {
  TestServer server;
  TestReply reply = text("x");
  for (int i = 0; i < 400; ++i)
    reply.headers.emplace_back(fmt::format("X-{}", i), std::string(1000, 'y'));
  server.on("/a", reply);
  EXPECT_NE(error_of(get(server.url() + "/a"), false).find("headers"), std::string::npos);
}

TEST(Http, StopEndsARequestThatHangs) {
  TestServer server;
  TestReply reply;
  reply.silent = true;
  server.on("/a", reply);
  EXPECT_THROW(ask(get(server.url() + "/a"), {}, [] { return true; }), Stopped);
}

TEST(Http, WhatTheSinkThrowsComesOut) {
  TestServer server;
  server.on("/a", text("x"));
  Http http({}, [] { return false; });
  EXPECT_THROW(http.send(get(server.url() + "/a"),
                         [](const HttpResponse&, std::string_view) { bad_input("no"); }),
               Error);
}

TEST(Http, Sizes) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("123456789012345678"), 123456789012345678u);
  for (const char* no : {"", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1234567890123456789"})
    EXPECT_EQ(parse_size(no), std::nullopt) << no;
}

}  // namespace
}  // namespace trit
