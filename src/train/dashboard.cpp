#include "train/dashboard.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "train/dashboard_page.h"

namespace trit {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using Request = http::request<http::empty_body>;
using Reply = http::response<http::string_body>;

constexpr size_t kRequestBytes = 8192;
constexpr std::chrono::seconds kPatience{10};
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'";

std::string text_of(const OrderedJson& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Steps and samples, written by training and read by the server. Held only to push or to copy pointers.
class History {
 public:
  explicit History(const OrderedJson& run) : run_(text_of(run)) {}

  void add(int64_t step, std::string row) {
    auto text = std::make_shared<const std::string>(std::move(row));
    const std::lock_guard hold(lock_);
    if (rows_.size() == Dashboard::kRows) {
      for (size_t i = 0; i < rows_.size() / 2; ++i) rows_[i] = std::move(rows_[2 * i]);
      rows_.resize(rows_.size() / 2);
    }
    rows_.push_back({step, std::move(text)});
  }
  void add_sample(std::string sample) {
    const std::lock_guard hold(lock_);
    samples_.push_back(std::make_shared<const std::string>(std::move(sample)));
    if (samples_.size() > Dashboard::kSamples) samples_.pop_front();
  }
  std::string after(int64_t step) {
    std::vector<Text> rows;
    std::deque<Text> samples;
    bool more = false;
    {
      const std::lock_guard hold(lock_);
      auto row = std::ranges::upper_bound(rows_, step, {}, &Row::step);
      for (; row != rows_.end() && rows.size() < Dashboard::kRowsPerReply; ++row)
        rows.push_back(row->text);
      more = row != rows_.end();
      samples = samples_;
    }
    return fmt::format(R"({{"run":{},"rows":[{}],"more":{},"samples":[{}]}})", run_, joined(rows),
                       more, joined(samples));
  }

 private:
  using Text = std::shared_ptr<const std::string>;
  struct Row {
    int64_t step;
    Text text;
  };
  template <class Texts>
  static std::string joined(const Texts& texts) {
    std::string all;
    for (const Text& text : texts) all.append(all.empty() ? "" : ",").append(*text);
    return all;
  }
  std::mutex lock_;
  const std::string run_;
  std::vector<Row> rows_;
  std::deque<Text> samples_;
};

// The name that a request calls the server by, without a port.
std::string_view name_of(std::string_view host) {
  const size_t end = host.starts_with('[') ? host.find(']') + 1 : host.find(':');
  return host.substr(0, end);
}

class Site {
 public:
  Site(const OrderedJson& run, bool on_loopback) : history(run), on_loopback_(on_loopback) {}

  Reply answer(const Request& request) {
    const std::string_view host = view(request[http::field::host]);
    if (request.version() >= 11 && host.empty()) return plain(request, 400, "no Host");
    const std::string_view name = name_of(host);
    if (on_loopback_ && !host.empty() && name != "localhost" && name != "127.0.0.1" &&
        name != "[::1]")
      return plain(request, 403, "this is not the server of that name");
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      Reply reply = plain(request, 405, "GET and HEAD alone");
      reply.set(http::field::allow, "GET, HEAD");
      return reply;
    }
    const std::string_view target = view(request.target());
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/")
      return made(request, 200, "text/html; charset=utf-8", std::string(dashboard_page()));
    if (path == "/data") return data(request, target.substr(path.size()));
    return plain(request, 404, "there are / and /data");
  }
  static Reply plain(const Request& request, unsigned status, std::string text) {
    return made(request, status, "text/plain; charset=utf-8", std::move(text) + "\n");
  }
  History history;

 private:
  static std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }
  Reply data(const Request& request, std::string_view query) {
    int64_t after = 0;
    if (!query.empty()) {
      constexpr std::string_view kName = "?after=";
      const char* end = query.data() + query.size();
      const auto [stopped, error] =
          query.starts_with(kName)
              ? std::from_chars(query.data() + kName.size(), end, after)
              : std::from_chars_result{query.data(), std::errc::invalid_argument};
      if (error != std::errc() || stopped != end)
        return plain(request, 400, "/data takes ?after=STEP");
    }
    return made(request, 200, "application/json", history.after(after));
  }
  static Reply made(const Request& request, unsigned status, const char* type, std::string body) {
    Reply reply(static_cast<http::status>(status), request.version());
    reply.set(http::field::content_type, type);
    reply.set(http::field::cache_control, "no-store");
    reply.set("Content-Security-Policy", kPolicy);
    reply.set("X-Content-Type-Options", "nosniff");
    reply.keep_alive(status == 200 && request.keep_alive());
    reply.body() = std::move(body);
    reply.prepare_payload();
    if (request.method() == http::verb::head) reply.body().clear();
    return reply;
  }
  bool on_loopback_;
};

// One client, from its first request to its last.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Site& site, int& open)
      : stream_(std::move(socket)), site_(site), open_(open) {
    ++open_;
  }
  ~Connection() { --open_; }
  void read() {
    parser_.emplace();
    parser_->header_limit(kRequestBytes);
    parser_->body_limit(0);
    stream_.expires_after(kPatience);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](beast::error_code error, size_t) { self->was_read(error); });
  }

 private:
  void was_read(beast::error_code error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return write(Site::plain({}, 431, "a request has at most 8 KiB"));
    if (error == http::error::body_limit || error == http::error::unexpected_body)
      return write(Site::plain({}, 413, "requests have no body"));
    if (error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message)
      return write(Site::plain({}, 400, "this is not HTTP"));
    if (error) return;  // gone, or too slow
    write(site_.answer(parser_->get()));
  }
  void write(Reply reply) {
    reply_ = std::move(reply);
    stream_.expires_after(kPatience);
    http::async_write(stream_, *reply_,
                      [self = shared_from_this()](beast::error_code error, size_t) {
                        if (error) return;
                        if (self->reply_->keep_alive()) return self->read();
                        self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
                      });
  }
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{2 * kRequestBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  std::optional<Reply> reply_;
  Site& site_;
  int& open_;
};

}  // namespace

class Dashboard::Server {
 public:
  Server(const std::string& address, uint16_t port, const OrderedJson& run) {
    beast::error_code error;
    const auto where = asio::ip::make_address(address, error);
    if (error) bad_input("--dashboard-address: '{}' is no IP address", printable(address));
    site_ = std::make_unique<Site>(run, where.is_loopback());
    const tcp::endpoint endpoint(where, port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(kConnections, error);
    if (error) failure("--dashboard: port {} of {}: {}", port, address, error.message());
    accept();
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    context_.stop();
    thread_.join();
  }
  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
  History& history() { return site_->history; }

 private:
  void accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      // One too many is closed at once.
      if (!error && open_ < kConnections)
        std::make_shared<Connection>(std::move(socket), *site_, open_)->read();
      if (!error) return accept();
      pause_.expires_after(std::chrono::seconds(1));  // no descriptors left, say
      pause_.async_wait([this](beast::error_code) { accept(); });
    });
  }
  void serve() {
    for (;;) {
      try {
        context_.run();
        return;
      } catch (const std::exception&) {
        continue;  // that client is gone; the run goes on
      }
    }
  }
  int open_ = 0;  // before the context, whose end ends connections
  std::unique_ptr<Site> site_;
  asio::io_context context_{1};
  tcp::acceptor acceptor_{context_};
  asio::steady_timer pause_{context_};
  std::thread thread_;
};

Dashboard::Dashboard(const std::string& address, uint16_t port, const OrderedJson& run)
    : server_(std::make_unique<Server>(address, port, run)) {}
Dashboard::~Dashboard() = default;

uint16_t Dashboard::port() const { return server_->endpoint().port(); }

std::string Dashboard::url() const {
  const tcp::endpoint at = server_->endpoint();
  const std::string name = at.address().to_string();
  return fmt::format("http://{}:{}/", at.address().is_v6() ? fmt::format("[{}]", name) : name,
                     at.port());
}

void Dashboard::add(const StepReport& step, const OrderedJson& more) {
  OrderedJson row = {{"step", step.step},
                     {"loss", step.loss},
                     {"lr", step.learning_rate},
                     {"grad_norm", step.gradient_norm},
                     {"zeros", step.zeros},
                     {"flips", step.flips},
                     {"scale_drift", step.scale_drift},
                     {"layer_grad_norms", step.layer_norms}};
  row.update(more);
  server_->history().add(step.step, row.dump());
}

void Dashboard::add_sample(int64_t step, const std::string& text) {
  const OrderedJson sample = {{"step", step}, {"text", text}};
  server_->history().add_sample(text_of(sample));
}

}  // namespace trit
