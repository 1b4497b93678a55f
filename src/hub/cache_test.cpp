#include "hub/cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

const std::string kCommit(40, 'c'), kOther(40, 'd'), kEtag(64, 'e');

Path fresh_root(const std::string& name) {
  fs::remove_all(test_folder() / name);
  return test_folder() / name;
}

TEST(Cache, LayoutIsThatOfThePythonLibrary) {
  const Path root = fresh_root("layout");
  const RepoCache cache(root, "org/name");
  EXPECT_FALSE(fs::exists(root));
  cache.make_folders();
  write_text(cache.blob(kEtag), "hello");
  cache.write_ref("refs/pr/1", kCommit);
  cache.link(kCommit, "sub/a.gguf", kEtag);
  cache.link(kCommit, "b.gguf", kEtag);

  const Path folder = root / "models--org--name";
  EXPECT_EQ(read_text(folder / "blobs" / kEtag), "hello");
  EXPECT_EQ(read_text(folder / "refs/refs/pr/1"), kCommit);
  const Path snapshot = folder / "snapshots" / kCommit;
  EXPECT_EQ(cache.snapshot(kCommit), snapshot);
  EXPECT_EQ(fs::read_symlink(snapshot / "b.gguf"), "../../blobs/" + kEtag);
  EXPECT_EQ(fs::read_symlink(snapshot / "sub/a.gguf"), "../../../blobs/" + kEtag);
  EXPECT_EQ(read_text(snapshot / "sub/a.gguf"), "hello");
  EXPECT_EQ(cache.lock(kEtag), root / ".locks/models--org--name" / (kEtag + ".lock"));
  EXPECT_TRUE(read_text(root / "CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f0688"));
  // Nothing else lies in the snapshot.
  EXPECT_EQ(std::distance(fs::recursive_directory_iterator(snapshot), {}), 3);
}

TEST(Cache, RefsFollowTheBranch) {
  const RepoCache cache(fresh_root("refs"), "org/name");
  EXPECT_EQ(cache.commit_of("main"), std::nullopt);
  EXPECT_EQ(cache.commit_of(kCommit), kCommit);
  cache.make_folders();
  cache.write_ref("main", kCommit);
  EXPECT_EQ(cache.commit_of("main"), kCommit);
  cache.write_ref("main", kOther);
  EXPECT_EQ(cache.commit_of("main"), kOther);
  cache.write_ref(kOther, kOther);  // a commit needs no ref
  EXPECT_FALSE(fs::exists(fs::path(test_folder()) / "refs/models--org--name/refs" / kOther));
}

TEST(Cache, ARefThatHoldsNoCommitIsRefused) {
  const Path root = fresh_root("bad_ref");
  const RepoCache cache(root, "org/name");
  fs::create_directories(root / "models--org--name/refs");
  write_text(root / "models--org--name/refs/main", "../../../etc");
  EXPECT_THROW(cache.commit_of("main"), Error);
}

TEST(Cache, ALinkThatIsThereIsReplaced) {
  const RepoCache cache(fresh_root("relink"), "org/name");
  cache.make_folders();
  const std::string other(64, 'f');
  write_text(cache.blob(kEtag), "old");
  write_text(cache.blob(other), "new");
  cache.link(kCommit, "a", kEtag);
  cache.link(kCommit, "a", other);
  EXPECT_EQ(read_text(cache.snapshot(kCommit) / "a"), "new");
}

TEST(Cache, TheLockWaitsForItsHolder) {
  const RepoCache cache(fresh_root("locks"), "org/name");
  cache.make_folders();
  const auto never = [] { return false; };
  // The holder as another process would be: its own open file.
  const int holder = open(cache.lock(kEtag).c_str(), O_RDWR | O_CREAT, 0664);
  ASSERT_EQ(flock(holder, LOCK_EX), 0);
  int waits = 0;
  // Closing lets the waiter on, but only after it has said that it waits.
  const BlobLock lock(
      cache.lock(kEtag),
      [&] {
        ++waits;
        close(holder);
      },
      never);
  EXPECT_TRUE(lock.held());
  EXPECT_EQ(waits, 1);
  const int second = open(cache.lock(kEtag).c_str(), O_RDWR);
  EXPECT_NE(flock(second, LOCK_EX | LOCK_NB), 0);
  close(second);
}

}  // namespace
}  // namespace trit
