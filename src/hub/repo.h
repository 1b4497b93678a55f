#pragma once
// Names of the Hugging Face hub: repositories, revisions, files. What passes these checks is safe to
// put into a URL and into a path below the cache.

#include <string>
#include <string_view>

namespace trit {

// "ORG/NAME[@REVISION][:FILE]".
struct RepoName {
  std::string id;                 // "ORG/NAME"
  std::string revision = "main";  // branch, tag or commit
  std::string file;               // a GGUF file of the repository; empty when none is named
  // The same form again; "@main" is left out.
  std::string text() const;
};

// Throws Error that says which part of `text` is wrong. ORG and NAME follow huggingface_hub's
// validate_repo_id: letters, digits, '-', '_', '.', at most 96, no "--" and no "..".
RepoName parse_repo(std::string_view text);

// Whether `text` has that form; a path of more than two parts or that begins with a dot has not.
bool is_repo_name(std::string_view text);

// Whether `name` is a relative path that stays below its folder: parts between '/' that are neither
// empty nor "." nor "..", of at most 255 bytes, without control characters and backslashes; at most
// 1024 bytes in all. File names that a server sends are checked with it before anything else.
bool is_safe_file_name(std::string_view name);

// 40 hexadecimal digits in lower case: a git commit.
bool is_commit(std::string_view text);

}  // namespace trit
