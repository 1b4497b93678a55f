#include "hub/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "base/error.h"

namespace trit {
namespace {

constexpr size_t kSha1Digits = 40, kSha256Digits = 64;

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), kind, nullptr) != 1)
      failure("hash: OpenSSL cannot compute {}", EVP_MD_get0_name(kind));
  }
  void add(const void* data, size_t bytes) {
    TRIT_CHECK(EVP_DigestUpdate(context_.get(), data, bytes) == 1);
  }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    TRIT_CHECK(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1);
    std::string text;
    for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

bool is_content_hash(std::string_view etag) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return (etag.size() == kSha1Digits || etag.size() == kSha256Digits) &&
         std::ranges::all_of(etag, is_digit);
}

std::string content_hash(const Path& file, std::string_view etag) {
  const MappedFile mapped(file);
  const bool git = etag.size() == kSha1Digits;
  Digest digest(git ? EVP_sha1() : EVP_sha256());
  if (git) {
    const std::string header = fmt::format("blob {}", mapped.bytes().size());
    digest.add(header.c_str(), header.size() + 1);
  }
  digest.add(mapped.bytes().data(), mapped.bytes().size());
  return digest.hex();
}

}  // namespace trit
