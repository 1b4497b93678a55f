#include "hub/client.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "hub/hash.h"

namespace trit {
namespace {

constexpr size_t kMaxListingBytes = size_t{16} << 20;

// Percent-encoding of what stands between slashes (RFC 3986, unreserved characters stay).
std::string encoded(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (keep_slashes && c == '/');
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// W/"abc" and "abc" are abc.
std::string bare_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

RepoListing parse_listing(const std::string& text, const std::string& where) {
  const Json json = parse_json(text, where);
  RepoListing listing;
  listing.commit = json_string(json, "sha", where);
  if (!is_commit(listing.commit))
    bad_input("{}: sha is '{}'; it must be 40 hexadecimal digits", where,
              printable(listing.commit));
  const auto siblings = json.find("siblings");
  if (siblings == json.end() || !siblings->is_array())
    bad_input("{}: siblings is no list; it must name the repository's files", where);
  for (const Json& sibling : *siblings) {
    std::string name = json_string(sibling, "rfilename", where);
    if (!is_safe_file_name(name)) {
      bad_input("{}: file '{}' would not stay below its folder; nothing is downloaded", where,
                printable(name));
    }
    listing.files.push_back(std::move(name));
  }
  std::ranges::sort(listing.files);
  return listing;
}

}  // namespace

std::string linked_etag(const HttpResponse& response) {
  const std::string_view linked = header(response.own_headers, "x-linked-etag");
  return bare_etag(linked.empty() ? header(response.own_headers, "etag") : linked);
}

bool RepoListing::has(std::string_view file) const {
  return std::ranges::binary_search(files, file);
}

HubClient::HubClient(ClientOptions options, RepoName repo)
    : options_(std::move(options)), repo_(std::move(repo)), http_(options_.limits, options_.stop) {}

std::string HubClient::file_url(const std::string& commit, const std::string& file) const {
  return fmt::format("{}/{}/resolve/{}/{}", options_.endpoint, repo_.id, commit,
                     encoded(file, true));
}

void HubClient::require_success(const HttpResponse& response, const std::string& what) const {
  const long status = response.status;
  if (status >= 200 && status < 300) return;
  const std::string_view code = header(response.headers, "x-error-code");
  const bool gated = status == 401 && code == "GatedRepo";
  if (status == 401 && !gated) {
    bad_input(
        "{}: {} answers 401; there is no such repository, or it is private and HF_TOKEN must hold "
        "a "
        "token that may read it",
        repo_.id, options_.endpoint);
  }
  if (status == 403 || gated) {
    bad_input("{}: {} answers {}; {}", repo_.id, options_.endpoint, status,
              options_.token.empty() ? "access needs a token in HF_TOKEN"
                                     : "the token gives no access; its owner must accept the "
                                       "repository's terms or be given access");
  }
  if (status == 404 && code == "RevisionNotFound")
    bad_input("{}: revision '{}' does not exist", repo_.id, repo_.revision);
  if (status == 404) bad_input("{}: {} has no such {}", repo_.id, options_.endpoint, what);
  const bool passing = status == 408 || status == 429 || status == 500 || status == 502 ||
                       status == 503 || status == 504;
  const uint64_t seconds = parse_size(header(response.headers, "retry-after")).value_or(0);
  throw NetworkError(fmt::format("{}: {} answers {}", repo_.id, options_.endpoint, status), passing,
                     std::chrono::seconds(std::min<uint64_t>(seconds, 3600)));
}

HttpResponse HubClient::get_text(const std::string& url, size_t max_bytes, std::string& text) {
  text.clear();
  HttpRequest request;
  request.url = url;
  request.token = options_.token;
  return http_.send(request, [&](const HttpResponse&, std::string_view piece) {
    if (piece.size() > max_bytes - text.size()) {
      bad_input("{}: the answer is longer than {} bytes", printable(url), max_bytes);
    }
    text += piece;
  });
}

RepoListing HubClient::list() {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}", options_.endpoint, repo_.id,
                                      encoded(repo_.revision, false));
  return with_retries(options_.retry, [&] {
    std::string text;
    require_success(get_text(url, kMaxListingBytes, text), "repository");
    return parse_listing(text, url);
  });
}

RemoteFile HubClient::describe(const std::string& commit, const std::string& file) {
  HttpRequest request;
  request.url = file_url(commit, file);
  request.token = options_.token;
  request.head = request.stay = true;
  const HttpResponse response = with_retries(options_.retry, [&] {
    HttpResponse answer = http_.send(request, [](const HttpResponse&, std::string_view) {});
    // Away from the endpoint, where the bytes lie: what the endpoint says of them stands in its headers.
    if (answer.status < 300 || answer.status >= 400) require_success(answer, file);
    return answer;
  });
  const std::string_view answered = header(response.own_headers, "x-repo-commit");
  if (!answered.empty() && answered != commit) {
    failure("{}: {}: commit '{}' was asked for and '{}' answered", repo_.id, file, commit,
            printable(answered));
  }
  RemoteFile remote{file, linked_etag(response), 0};
  if (!is_content_hash(remote.etag)) {
    failure(
        "{}: {}: its ETag is '{}'; {} must answer with a hash of the contents, as a Hugging Face "
        "endpoint does",
        repo_.id, file, printable(remote.etag), options_.endpoint);
  }
  const std::optional<uint64_t> linked = parse_size(header(response.own_headers, "x-linked-size"));
  const std::optional<uint64_t> size = linked || response.status >= 300 ? linked : response.length;
  if (!size) failure("{}: {}: {} does not say its size", repo_.id, file, options_.endpoint);
  remote.size = *size;
  return remote;
}

std::string HubClient::read(const std::string& commit, const std::string& file, size_t max_bytes) {
  return with_retries(options_.retry, [&] {
    std::string text;
    require_success(get_text(file_url(commit, file), max_bytes, text), file);
    return text;
  });
}

}  // namespace trit
