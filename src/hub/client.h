#pragma once
// The hub's protocol: which files a repository has at a revision, what one of them is, its bytes.
// Learned from huggingface_hub 2.4; every answer is checked before it is used.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "hub/http.h"
#include "hub/repo.h"
#include "hub/retry.h"

namespace trit {

struct ClientOptions {
  std::string endpoint;  // hub/settings.h
  std::string token;
  HttpLimits limits;
  RetryPolicy retry;
  std::function<bool()> stop = [] { return false; };
};

// A revision of a repository.
struct RepoListing {
  std::string commit;
  std::vector<std::string> files;  // safe names (hub/repo.h), sorted
  bool has(std::string_view file) const;
};

// A file at a commit.
struct RemoteFile {
  std::string name;
  std::string etag;  // its content hash (hub/hash.h)
  uint64_t size = 0;
};

// The content hash in an answer: X-Linked-Etag, which stands for a file that lies elsewhere, or ETag.
std::string linked_etag(const HttpResponse& response);

class PartFile;

class HubClient {
 public:
  // `repo` names the repository; its revision and file play no part after list().
  HubClient(ClientOptions options, RepoName repo);

  // GET /api/models/ORG/NAME/revision/REVISION. Throws Error when there is no such repository or no right to
  // it, when the answer is larger than 16 MiB, no such JSON, or names a file that would leave its folder.
  RepoListing list();

  // HEAD /ORG/NAME/resolve/COMMIT/FILE. Throws Error when the answer lacks a content hash or a size.
  RemoteFile describe(const std::string& commit, const std::string& file);

  // The whole file, which has at most `max_bytes`, as text; not checked against its hash.
  std::string read(const std::string& commit, const std::string& file, size_t max_bytes);

  // The file's bytes into `incomplete`, after those that are there already; reports how many there are.
  // Goes on after breaks. Returns when the file has its size and its hash; throws Error otherwise.
  // A file with a wrong hash is removed; after other errors `incomplete` stays to be gone on with.
  void download(const std::string& commit, const RemoteFile& file, const Path& incomplete,
                const std::function<void(uint64_t)>& progress);

 private:
  std::string file_url(const std::string& commit, const std::string& file) const;
  HttpResponse get_text(const std::string& url, size_t max_bytes, std::string& text);
  void attempt(const std::string& commit, const RemoteFile& file, PartFile& part,
               const std::function<void(uint64_t)>& progress);
  void require_success(const HttpResponse& response, const std::string& what) const;

  ClientOptions options_;
  RepoName repo_;
  Http http_;
};

}  // namespace trit
