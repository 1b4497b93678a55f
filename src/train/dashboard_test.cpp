// The page's server on loopback, asked well and badly.

#include "train/dashboard.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "base/error.h"

namespace trit {
namespace {

class Client {
 public:
  explicit Client(const Dashboard& page) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(page.port());
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  Client(const Client&) = delete;
  ~Client() { close(socket_); }
  bool send(const std::string& text) {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == std::ssize(text);
  }
  // All until the server closes.
  std::string rest() {
    std::string text;
    char bytes[4096];
    for (ssize_t got = 0; (got = recv(socket_, bytes, sizeof bytes, 0)) > 0;)
      text.append(bytes, static_cast<size_t>(got));
    return text;
  }
  bool connected() const { return connected_; }

 private:
  int socket_;
  bool connected_ = false;
};

std::string ask(const Dashboard& page, const std::string& line,
                const std::string& headers = "Host: localhost\r\n") {
  Client client(page);
  client.send(line + "\r\n" + headers + "Connection: close\r\n\r\n");
  return client.rest();
}
std::string status(const std::string& reply) { return reply.substr(0, reply.find("\r\n")); }
Json body(const std::string& reply) {
  return parse_json(reply.substr(reply.find("\r\n\r\n") + 4), "reply");
}

StepReport step(int64_t number) {
  StepReport report;
  report.step = number;
  report.loss = 3.5;
  report.layer_norms = {1, 2};
  return report;
}

class DashboardTest : public testing::Test {
 protected:
  Dashboard page_{"127.0.0.1", 0, {{"out", "run"}, {"steps", 9}}};
};

TEST_F(DashboardTest, ServesThePageWhole) {
  const std::string reply = ask(page_, "GET / HTTP/1.1");
  EXPECT_EQ(status(reply), "HTTP/1.1 200 OK");
  EXPECT_NE(reply.find("Content-Security-Policy: default-src 'none'"), std::string::npos);
  EXPECT_TRUE(reply.ends_with("</html>\n"));
  // It asks for nothing from elsewhere.
  for (const char* other : {"http:", "https:", "src=", "href=", "@import", "url("})
    EXPECT_EQ(reply.find(other, reply.find("\r\n\r\n")), std::string::npos) << other;
  const std::string head = ask(page_, "HEAD / HTTP/1.1");
  EXPECT_EQ(status(head), "HTTP/1.1 200 OK");
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_NE(head.find("Content-Length: "), std::string::npos);
}

TEST_F(DashboardTest, GivesStepsAfterTheOneThatIsKnown) {
  for (int64_t i = 1; i <= 3; ++i) page_.add(step(i), {{"tokens_per_second", 100.0 * i}});
  page_.add_sample(3, "Once \"upon\"\n\xff");
  const Json all = body(ask(page_, "GET /data HTTP/1.1"));
  EXPECT_EQ(all["run"]["steps"], 9);
  ASSERT_EQ(all["rows"].size(), 3U);
  EXPECT_EQ(all["rows"][1]["loss"], 3.5);
  EXPECT_EQ(all["rows"][1]["tokens_per_second"], 200.0);
  EXPECT_EQ(all["rows"][1]["layer_grad_norms"], Json::array({1, 2}));
  EXPECT_EQ(all["samples"][0]["text"], "Once \"upon\"\n\xef\xbf\xbd");
  EXPECT_EQ(body(ask(page_, "GET /data?after=2 HTTP/1.1"))["rows"].size(), 1U);
  EXPECT_EQ(body(ask(page_, "GET /data?after=3 HTTP/1.1"))["rows"].size(), 0U);
}

TEST_F(DashboardTest, KeepsNoMoreThanItMay) {
  const auto steps = static_cast<int64_t>(3 * Dashboard::kRows);
  for (int64_t i = 1; i <= steps; ++i) page_.add(step(i), OrderedJson::object());
  for (int64_t i = 0; i < 100; ++i) page_.add_sample(i, "text");
  int64_t last = 0;
  size_t rows = 0;
  for (bool more = true; more;) {
    const Json part = body(ask(page_, fmt::format("GET /data?after={} HTTP/1.1", last)));
    EXPECT_LE(part["rows"].size(), Dashboard::kRowsPerReply);
    EXPECT_EQ(part["samples"].size(), Dashboard::kSamples);
    for (const Json& row : part["rows"]) {
      EXPECT_GT(row["step"].get<int64_t>(), last);
      last = row["step"].get<int64_t>();
    }
    rows += part["rows"].size();
    more = part["more"].get<bool>();
  }
  EXPECT_EQ(last, steps);
  EXPECT_LE(rows, Dashboard::kRows);
  EXPECT_GE(rows, Dashboard::kRows / 2);
}

TEST_F(DashboardTest, AnswersBadRequestsAndGoesOn) {
  EXPECT_EQ(status(ask(page_, "GET /etc/passwd HTTP/1.1")), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(status(ask(page_, "DELETE / HTTP/1.1")), "HTTP/1.1 405 Method Not Allowed");
  for (const char* query :
       {"?after=x", "?after=", "?after=99999999999999999999", "?before=1", "?after=1&b"})
    EXPECT_EQ(status(ask(page_, fmt::format("GET /data{} HTTP/1.1", query))),
              "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(status(ask(page_, "GET / HTTP/1.1", "")), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(status(ask(page_, "GET / HTTP/1.1", "Host: evil.example\r\n")),
            "HTTP/1.1 403 Forbidden");
  EXPECT_EQ(status(ask(page_, "GET / HTTP/1.1", "Host: [::1]:80\r\n")), "HTTP/1.1 200 OK");
  EXPECT_EQ(status(ask(page_, "no HTTP at all")), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(status(ask(page_, "POST / HTTP/1.1", "Host: localhost\r\nContent-Length: 5\r\n")),
            "HTTP/1.1 413 Payload Too Large");
  EXPECT_EQ(status(ask(page_, "GET / HTTP/1.1",
                       "Host: localhost\r\nX: " + std::string(9000, 'x') + "\r\n")),
            "HTTP/1.1 431 Request Header Fields Too Large");
  EXPECT_EQ(status(ask(page_, "GET / HTTP/1.1")), "HTTP/1.1 200 OK");
}

TEST_F(DashboardTest, AnswersSeveralRequestsOfAConnection) {
  Client client(page_);
  client.send(
      "GET /data HTTP/1.1\r\nHost: localhost\r\n\r\nGET /data HTTP/1.1\r\nHost: "
      "localhost\r\nConnection: close\r\n\r\n");
  const std::string both = client.rest();
  EXPECT_NE(both.find("HTTP/1.1 200 OK", 1), std::string::npos);
}

// Those who say nothing do not keep others out until there are too many, and those are turned away at once.
TEST_F(DashboardTest, BearsSilentClients) {
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < Dashboard::kConnections - 1; ++i) {
    silent.push_back(std::make_unique<Client>(page_));
    EXPECT_TRUE(silent.back()->connected());
    EXPECT_TRUE(silent.back()->send("GET / HT"));
  }
  EXPECT_EQ(status(ask(page_, "GET / HTTP/1.1")), "HTTP/1.1 200 OK");
  silent.push_back(std::make_unique<Client>(page_));
  EXPECT_TRUE(silent.back()->send("GET / HT"));
  EXPECT_EQ(ask(page_, "GET / HTTP/1.1"), "");
}

TEST(Dashboard, RefusesAPortThatIsTaken) {
  const Dashboard page("127.0.0.1", 0, OrderedJson::object());
  try {
    const Dashboard second("127.0.0.1", page.port(), OrderedJson::object());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kFailure);
    EXPECT_NE(std::string(error.what()).find(fmt::format("port {} of 127.0.0.1", page.port())),
              std::string::npos);
  }
  EXPECT_THROW(Dashboard("nowhere", 0, OrderedJson::object()), Error);
}

}  // namespace
}  // namespace trit
