#include "hub/repo.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace trit {
namespace {

TEST(Repo, PartsOfAName) {
  const RepoName plain = parse_repo("microsoft/bitnet-b1.58-2B-4T");
  EXPECT_EQ(plain.id, "microsoft/bitnet-b1.58-2B-4T");
  EXPECT_EQ(plain.revision, "main");
  EXPECT_EQ(plain.file, "");
  const RepoName full = parse_repo("org/name@refs/pr/1:sub/model.Q4_0.gguf");
  EXPECT_EQ(full.id, "org/name");
  EXPECT_EQ(full.revision, "refs/pr/1");
  EXPECT_EQ(full.file, "sub/model.Q4_0.gguf");
  EXPECT_EQ(full.text(), "org/name@refs/pr/1:sub/model.Q4_0.gguf");
  EXPECT_EQ(plain.text(), "microsoft/bitnet-b1.58-2B-4T");
}

// The refusals of huggingface_hub's validate_repo_id, and what would leave the cache.
TEST(Repo, RefusesWhatIsNoName) {
  for (const char* text : {"",
                           "name",
                           "/",
                           "org/",
                           "/name",
                           "a/b/c",
                           "../name",
                           "org/..",
                           "./name",
                           "org/.hidden",
                           "org/na--me",
                           "org/na..me",
                           "org/name.git",
                           "-org/name",
                           "org/name-",
                           "org/na me",
                           "org/na\nme",
                           "org/n\xC3\xA4me",
                           "http://host/x",
                           "org/name@",
                           "org/name@..",
                           "org/name@a/../b",
                           "org/name@/etc",
                           "org/name@a b",
                           "org/name@a?b",
                           "org/name:",
                           "org/name:../x.gguf",
                           "org/name:/x.gguf",
                           "org/name:config.json"}) {
    EXPECT_FALSE(is_repo_name(text)) << text;
    EXPECT_THROW(parse_repo(text), Error) << text;
  }
  EXPECT_FALSE(is_repo_name("org/" + std::string(97, 'x')));
  EXPECT_TRUE(is_repo_name("org/" + std::string(96, 'x')));
}

TEST(Repo, TheErrorSaysWhichPart) {
  const auto message = [](const char* text) -> std::string {
    try {
      parse_repo(text);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(message("org/name@..").find("revision '..'"), std::string::npos);
  EXPECT_NE(message("org/name:a.bin").find("file 'a.bin'"), std::string::npos);
  EXPECT_NE(message("org").find("ORG/NAME"), std::string::npos);
}

TEST(Repo, FileNamesStayBelowTheirFolder) {
  for (const char* name : {"config.json", "a/b/c.gguf", ".gitattributes", "..a", "a b", "\xC3\xA4"})
    EXPECT_TRUE(is_safe_file_name(name)) << name;
  for (const char* name : {"", "..", ".", "../a", "a/..", "a/../b", "/a", "a//b", "a/", "./a",
                           "a\nb", "a\x1B[2J", "a\x7F", "a\\b", "..\\a"})
    EXPECT_FALSE(is_safe_file_name(name)) << name;
  EXPECT_FALSE(is_safe_file_name(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_safe_file_name(std::string(256, 'a')));
  EXPECT_TRUE(is_safe_file_name(std::string(255, 'a')));
}

TEST(Repo, Commits) {
  EXPECT_TRUE(is_commit("04c3b9ad9361b824064a1f25ea60a8be9599b127"));
  EXPECT_FALSE(is_commit("04C3B9AD9361B824064A1F25EA60A8BE9599B127"));
  EXPECT_FALSE(is_commit("04c3b9ad"));
  EXPECT_FALSE(is_commit("main"));
}

}  // namespace
}  // namespace trit
