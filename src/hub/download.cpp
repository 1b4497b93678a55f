// The part of hub/client.h that brings a file's bytes.

#include <system_error>

#include "base/error.h"
#include "base/progress.h"
#include "hub/client.h"
#include "hub/hash.h"
#include "hub/part_file.h"

namespace trit {
namespace {

// An attempt that brought less counts as a failed one: a server must not keep us for ever with a byte at a
// time.
constexpr uint64_t kGain = uint64_t{1} << 20;

// "bytes FIRST-LAST/TOTAL" (RFC 9110, 14.4); TOTAL may be "*".
bool range_begins_at(std::string_view range, uint64_t first, uint64_t total) {
  constexpr std::string_view kUnit = "bytes ";
  if (!range.starts_with(kUnit)) return false;
  range.remove_prefix(kUnit.size());
  const size_t dash = range.find('-'), slash = range.find('/');
  if (dash == range.npos || slash == range.npos) return false;
  const std::string_view whole = range.substr(slash + 1);
  return parse_size(range.substr(0, dash)) == first && (whole == "*" || parse_size(whole) == total);
}

// Compares what the answer says with what is expected, and makes the part ready for its body. Contents
// are known by their hash and the part by its name, so sizes and the endpoint's ETag decide whether a
// part may be gone on with; If-Range would compare with another server's ETag once the bytes lie there.
void begin_body(const HttpResponse& response, const RemoteFile& file, PartFile& part) {
  const std::string etag = linked_etag(response);
  if (!etag.empty() && etag != file.etag) {
    failure("{}: its ETag was '{}' and is '{}' now; the repository changed, pull again", file.name,
            file.etag, printable(etag));
  }
  if (response.status != 206 && part.size() > 0) part.restart();  // the server ignores ranges
  const std::string_view range = header(response.headers, "content-range");
  if (response.status == 206 && !range_begins_at(range, part.size(), file.size)) {
    failure("{}: bytes from {} on of {} were asked for, and '{}' answered", file.name, part.size(),
            file.size, printable(range));
  }
  const uint64_t left = file.size - part.size();
  if (response.length && *response.length != left) {
    failure("{}: the server announces {} bytes; {} of {} are missing", file.name, *response.length,
            left, file.size);
  }
}

void require_space(const Path& folder, uint64_t bytes) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (!error && space.available < bytes) {
    failure("{}: the disk has {} left, {} are needed", folder.string(),
            human_bytes(static_cast<double>(space.available)),
            human_bytes(static_cast<double>(bytes)));
  }
}

}  // namespace

void HubClient::attempt(const std::string& commit, const RemoteFile& file, PartFile& part,
                        const std::function<void(uint64_t)>& progress) {
  HttpRequest request;
  request.url = file_url(commit, file.name);
  request.token = options_.token;
  request.offset = part.size();
  bool begun = false;
  const HttpResponse response =
      http_.send(request, [&](const HttpResponse& answer, std::string_view piece) {
        if (!begun) begin_body(answer, file, part);
        begun = true;
        if (piece.size() > file.size - part.size())
          failure("{}: the server sends more than its {} bytes", file.name, file.size);
        part.append(piece);
        progress(part.size());
      });
  if (response.status == 416) {
    part.restart();
    throw NetworkError(fmt::format("{}: the server has no such range of it", file.name), true);
  }
  require_success(response, file.name);
  if (part.size() < file.size) {
    throw NetworkError(fmt::format("{}: {} of {} bytes came", file.name, part.size(), file.size),
                       true);
  }
}

void HubClient::download(const std::string& commit, const RemoteFile& file, const Path& incomplete,
                         const std::function<void(uint64_t)>& progress) {
  {
    PartFile part(incomplete);
    if (part.size() > file.size) part.restart();
    require_space(incomplete.parent_path(), file.size - part.size());
    Retries retries(options_.retry);
    while (part.size() < file.size) {
      const uint64_t before = part.size();
      try {
        attempt(commit, file, part, progress);
      } catch (const NetworkError& error) {
        if (part.size() == file.size) break;  // the server had announced more than there is
        if (part.size() >= before + kGain) retries.gained();
        retries.failed(error);
      }
    }
    part.sync();
  }
  // Of what is on the disk, which other programs and earlier attempts may have written.
  const std::string found = content_hash(incomplete, file.etag);
  if (found == file.etag) return;
  std::error_code ignored;
  std::filesystem::remove(incomplete, ignored);
  failure("{}: its hash is {}, expected {}; the download was wrong and is removed", file.name,
          found, file.etag);
}

}  // namespace trit
