#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <exception>

namespace trit {
namespace {

constexpr size_t kMaxHeaderBytes = size_t{1} << 18;
constexpr size_t kMaxDroppedBytes = size_t{1} << 16;  // of a body that nobody reads
constexpr curl_off_t kSlowestBytesPerSecond = 1;

struct UrlParts {
  std::string scheme, host, port;
  bool operator==(const UrlParts&) const = default;
};

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
  std::string value = text;
  curl_free(text);
  return value;
}

UrlParts origin_of(const std::string& text) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  if (!url ||
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    throw NetworkError(fmt::format("{}: this is no URL", printable(text)), false);
  std::string host = url_part(url.get(), CURLUPART_HOST);
  std::ranges::transform(host, host.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return {url_part(url.get(), CURLUPART_SCHEME), host, url_part(url.get(), CURLUPART_PORT)};
}

// A URL as errors show it: without the query, which may hold a signature.
std::string shown(const std::string& url) { return printable(url.substr(0, url.find('?'))); }

// Which failures of libcurl another attempt may not meet.
bool is_passing(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
      return true;
    default:
      return false;
  }
}

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

struct HeaderList {
  curl_slist* lines = nullptr;
  void add(const std::string& line) { lines = curl_slist_append(lines, line.c_str()); }
  ~HeaderList() { curl_slist_free_all(lines); }
};

}  // namespace

std::string_view header(const HttpHeaders& headers, std::string_view name) {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : found->second;
}

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.size() > 18 || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

// One easy handle, and what its callbacks need during a request. No exception may pass through libcurl:
// they wait in `thrown`.
struct Http::State {
  HttpLimits limits;
  std::function<bool()> stop;
  CURL* curl = nullptr;
  const Sink* sink = nullptr;
  HttpResponse response;
  HttpHeaders own_headers;
  size_t header_bytes = 0, dropped_bytes = 0;
  bool own = false, begun = false, dropped = false;
  std::exception_ptr thrown;

  static size_t on_header(char* data, size_t, size_t bytes, void* self) {
    return static_cast<State*>(self)->take_header({data, bytes}) ? bytes : 0;
  }
  static size_t on_body(char* data, size_t, size_t bytes, void* self) {
    return static_cast<State*>(self)->take_body({data, bytes}) ? bytes : 0;
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<State*>(self)->stop() ? 1 : 0;
  }

  bool take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // of this answer; an interim one may have come before
      response = {};
      curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    }
    header_bytes += line.size();
    if (header_bytes > kMaxHeaderBytes) return false;
    const size_t colon = line.find(':');
    if (colon == line.npos) return true;
    std::string name(trimmed(line.substr(0, colon)));
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    response.headers[name] = trimmed(line.substr(colon + 1));
    if (own) own_headers[name] = response.headers[name];
    return true;
  }

  void complete_headers() {
    begun = true;
    response.length = parse_size(header(response.headers, "content-length"));
    response.own_headers = own_headers;
  }

  bool take_body(std::string_view piece) {
    if (response.status < 200 || response.status >= 300) {
      dropped_bytes += piece.size();
      dropped = dropped_bytes > kMaxDroppedBytes;
      return !dropped;
    }
    try {
      if (!begun) complete_headers();
      (*sink)(response, piece);
      return true;
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
  }

  void prepare(const HttpRequest& request, const std::string& url, HeaderList& lines,
               char* message);
  HttpResponse send_once(const HttpRequest& request, const std::string& url);
  std::string redirect_target() const;
};

void Http::State::prepare(const HttpRequest& request, const std::string& url, HeaderList& lines,
                          char* message) {
  curl_easy_reset(curl);
  // Files are hashed as they are stored: no encoding on the way.
  lines.add("Accept-Encoding: identity");
  if (own && !request.token.empty())
    lines.add(fmt::format("Authorization: Bearer {}", request.token));
  const auto set = [&](CURLoption option, auto value) {
    TRIT_CHECK(curl_easy_setopt(curl, option, value) == CURLE_OK);
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_HTTPHEADER, lines.lines);
  set(CURLOPT_USERAGENT, "trit");
  set(CURLOPT_ERRORBUFFER, message);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_CONNECTTIMEOUT, limits.connect_seconds);
  set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(kSlowestBytesPerSecond));
  set(CURLOPT_LOW_SPEED_TIME, limits.stall_seconds);
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_XFERINFOFUNCTION, &on_progress);
  set(CURLOPT_XFERINFODATA, this);
  set(CURLOPT_NOPROGRESS, 0L);
  if (request.head) set(CURLOPT_NOBODY, 1L);
  if (request.offset > 0) set(CURLOPT_RANGE, fmt::format("{}-", request.offset).c_str());
}

HttpResponse Http::State::send_once(const HttpRequest& request, const std::string& url) {
  HeaderList lines;
  char message[CURL_ERROR_SIZE] = "";
  response = {};
  header_bytes = dropped_bytes = 0;
  begun = dropped = false;
  thrown = nullptr;
  prepare(request, url, lines, message);
  const CURLcode code = curl_easy_perform(curl);
  if (thrown) std::rethrow_exception(thrown);
  if (code == CURLE_ABORTED_BY_CALLBACK) throw Stopped();
  if (header_bytes > kMaxHeaderBytes) {
    throw NetworkError(fmt::format("{}: the server sends more than {} bytes of headers", shown(url),
                                   kMaxHeaderBytes),
                       false);
  }
  if (code != CURLE_OK && !dropped) {
    const char* reason = message[0] != '\0' ? message : curl_easy_strerror(code);
    throw NetworkError(fmt::format("{}: {}", shown(url), printable(reason)), is_passing(code));
  }
  if (!begun) complete_headers();
  return response;
}

std::string Http::State::redirect_target() const {
  const char* target = nullptr;
  if (is_redirect(response.status)) curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &target);
  return target == nullptr ? "" : target;
}

Http::Http(const HttpLimits& limits, std::function<bool()> stop)
    : state_(std::make_unique<State>()) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  state_->limits = limits;
  state_->stop = std::move(stop);
  state_->curl = ready == CURLE_OK ? curl_easy_init() : nullptr;
  if (state_->curl == nullptr) failure("libcurl: it cannot start");
}

Http::~Http() { curl_easy_cleanup(state_->curl); }

HttpResponse Http::send(const HttpRequest& request, const Sink& sink) {
  state_->sink = &sink;
  const UrlParts own = origin_of(request.url);
  state_->own_headers.clear();
  std::string url = request.url;
  for (int hop = 0; hop <= state_->limits.redirects; ++hop) {
    const UrlParts origin = origin_of(url);
    state_->own = origin == own;
    HttpResponse response = state_->send_once(request, url);
    const std::string target = state_->redirect_target();
    if (target.empty()) return response;
    const UrlParts next = origin_of(target);
    if (request.stay && next != own) return response;
    if (next.scheme != "https" && (next.scheme != "http" || origin.scheme != "http")) {
      throw NetworkError(fmt::format("{}: it redirects to {}, from {} to {}", shown(url),
                                     shown(target), origin.scheme, next.scheme),
                         false);
    }
    url = target;
  }
  throw NetworkError(
      fmt::format("{}: more than {} redirects", shown(request.url), state_->limits.redirects),
      false);
}

}  // namespace trit
