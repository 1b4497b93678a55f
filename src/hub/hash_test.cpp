#include "hub/hash.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

// Expected values: sha256sum, and `git hash-object`.
TEST(Hash, EqualsSha256sumAndGitHashObject) {
  const Path file = test_folder() / "hashed";
  const std::string sha256(64, '0'), sha1(40, '0');
  write_text(file, "");
  EXPECT_EQ(content_hash(file, sha256),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(content_hash(file, sha1), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  write_text(file, "hello world\n");
  EXPECT_EQ(content_hash(file, sha256),
            "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447");
  EXPECT_EQ(content_hash(file, sha1), "3b18e512dba79e4c8300dd08aeb37f8e728b8dad");
  EXPECT_THROW(content_hash(test_folder() / "missing", sha1), Error);
}

TEST(Hash, OnlyHashesNameContents) {
  EXPECT_TRUE(is_content_hash(std::string(40, 'a')));
  EXPECT_TRUE(is_content_hash(std::string(64, '9')));
  for (const std::string& no : {std::string(), std::string("../../x"), std::string(41, 'a'),
                                std::string(40, 'g'), std::string(64, 'A')})
    EXPECT_FALSE(is_content_hash(no)) << no;
}

}  // namespace
}  // namespace trit
