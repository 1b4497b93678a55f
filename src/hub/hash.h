#pragma once
// The hashes by which the hub names contents: SHA-256 of a large (LFS) file, git's SHA-1 of a small
// one, which is SHA-1 of "blob <size>", a zero byte and the file (git-scm.com/book, "Git Objects").

#include <string>
#include <string_view>

#include "base/file.h"

namespace trit {

// Whether `etag` is such a name: 64 or 40 hexadecimal digits in lower case.
bool is_content_hash(std::string_view etag);

// The name of the file's contents, of the kind that `etag` is, in lower case. Throws Error when the file
// cannot be read.
std::string content_hash(const Path& file, std::string_view etag);

}  // namespace trit
