#include "base/file.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

// An empty folder of its own for each test.
class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const Path& name, std::string_view text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      result.push_back(entry.path().filename());
    }
    std::sort(result.begin(), result.end());
    return result;
  }
  using Names = std::vector<std::string>;
  const Path folder_ =
      test_folder() / testing::UnitTest::GetInstance()->current_test_info()->name();
};

// A process number that no process has: that of a child which has ended.
pid_t dead_process() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

// The exit code of the Error that `call` throws, 0 without any; the message must name `name`.
template <class Call>
int error_code(const std::string& name, Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find(name), std::string_view::npos) << error.what();
    return static_cast<int>(error.code());
  }
  return 0;
}

using MappedFileTest = FileTest;
using ReadTextTest = FileTest;
using AtomicFileTest = FileTest;
using AtomicDirectoryTest = FileTest;

TEST_F(MappedFileTest, MapsAndMoves) {
  put("a", "some bytes");
  MappedFile file(folder_ / "a");
  MappedFile moved(std::move(file));
  file = std::move(moved);
  const auto bytes = file.bytes();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "some bytes");
  EXPECT_EQ(file.path(), folder_ / "a");
  put("empty", "");
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
  EXPECT_TRUE(MappedFile().bytes().empty());
}

// What a mapping holds does not depend on how it is mapped; a page of a small file is never part of a huge one.
TEST_F(MappedFileTest, AdviceOnHugePagesChangesNoBytes) {
  put("small", std::string(5000, 'x'));
  const MappedFile file(folder_ / "small");
  prefer_huge_pages(file.bytes());
  EXPECT_TRUE(std::ranges::all_of(file.bytes(), [](std::byte b) { return b == std::byte{'x'}; }));
  EXPECT_FALSE(in_huge_pages(file.bytes()));
  EXPECT_FALSE(in_huge_pages({}));
  release_pages(file.bytes());
  EXPECT_EQ(file.bytes()[4999], std::byte{'x'});
}

TEST_F(MappedFileTest, RefusesWhatIsNoFile) {
  mkfifo((folder_ / "pipe").c_str(), 0600);
  for (const Path& path : {folder_ / "missing", folder_, folder_ / "pipe", Path("/dev/null")}) {
    EXPECT_EQ(error_code(path, [&] { MappedFile file(path); }), 2);
    EXPECT_EQ(error_code(path, [&] { read_text(path); }), 2);
  }
}

TEST_F(ReadTextTest, ReadsWithinTheLimit) {
  put("a", std::string("one\0two\r\n", 9));
  EXPECT_EQ(read_text(folder_ / "a"), std::string("one\0two\r\n", 9));
  EXPECT_EQ(read_text(folder_ / "a", 9).size(), 9u);
  EXPECT_EQ(error_code("9 bytes long, expected at most 8", [&] { read_text(folder_ / "a", 8); }),
            2);
}

TEST_F(AtomicFileTest, AppearsAtCommit) {
  put("a", "old");
  {
    AtomicFile file(folder_ / "a");
    file.write("new");
    file.pad_to(8);
    file.pad_to(8);
    EXPECT_EQ(file.position(), 8u);
    file.write("text");
    EXPECT_EQ(read_text(folder_ / "a"), "old");
    file.commit();
    EXPECT_EQ(read_text(folder_ / "a"), std::string("new\0\0\0\0\0text", 12));
  }
  EXPECT_EQ(names(), Names{"a"});
}

// Larger than the buffer, in pieces that do not divide it.
TEST_F(AtomicFileTest, WritesLargeFilesWhole) {
  constexpr size_t kPiece = 1234567, kPieces = 7;
  std::string expected;
  AtomicFile file(folder_ / "large");
  for (size_t i = 0; i < kPieces; ++i) {
    const std::string piece(kPiece, static_cast<char>('a' + i));
    file.write(piece);
    file.write("-");
    expected += piece + "-";
  }
  file.commit();
  EXPECT_EQ(read_text(folder_ / "large"), expected);
}

TEST_F(AtomicFileTest, LeavesNothingWithoutCommit) {
  put("a", "old");
  {
    AtomicFile file(folder_ / "a");
    file.write("new");
    EXPECT_EQ(names(), (Names{".a.tmp-" + std::to_string(getpid()), "a"}));
  }
  EXPECT_EQ(read_text(folder_ / "a"), "old");
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(AtomicFileTest, KeepsSymbolicLinks) {
  put("real/a", "old");
  fs::create_symlink("real/a", folder_ / "link");
  write_text(folder_ / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_text(folder_ / "real/a"), "new");
}

TEST_F(AtomicFileTest, RemovesLeftoversOfDeadProcessesOnly) {
  const auto name = [](pid_t pid) { return ".a.tmp-" + std::to_string(pid); };
  for (const pid_t pid : {dead_process(), getpid(), getppid()}) put(name(pid), "partial");
  put(".b.tmp-" + std::to_string(dead_process()), "of another file");
  put(".a.tmp-1x", "of somebody else");
  write_text(folder_ / "a", "new");
  EXPECT_EQ(names().size(), 4u);
  EXPECT_TRUE(fs::exists(folder_ / name(getppid())));
  EXPECT_TRUE(fs::exists(folder_ / ".a.tmp-1x"));
}

TEST_F(AtomicFileTest, RefusesWhatCannotBeReplaced) {
  put("folder/file", "");
  put("file", "");
  for (const char* name : {"folder", "none/a", "file/a", "..", "."}) {
    EXPECT_EQ(error_code(name, [&] { AtomicFile file(folder_ / name); }), 2) << name;
  }
  EXPECT_EQ(error_code("/dev/null", [] { AtomicFile file("/dev/null"); }), 2);
  EXPECT_EQ(names(), (Names{"file", "folder"}));
}

// Inside: no file may grow beyond 64 KiB, which fails as a full disk does.
class FullDisk {
 public:
  FullDisk() {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = 1 << 16;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, SIG_DFL);
  }

 private:
  rlimit before_{};
};

TEST_F(AtomicFileTest, FullDiskLeavesTheOldFile) {
  put("a", "old");
  const std::string chunk(1000, 'x');
  EXPECT_EQ(error_code((folder_ / "a").string() + ": cannot write",
                       [&] {
                         const FullDisk full;
                         AtomicFile file(folder_ / "a");
                         for (int i = 0; i < 100; ++i) file.write(chunk);
                         file.commit();
                       }),
            1);
  EXPECT_EQ(error_code((folder_ / "a").string() + ": cannot write",
                       [&] {
                         const FullDisk full;
                         AtomicFile file(folder_ / "a");
                         for (int i = 0; i < 66; ++i)
                           file.write(chunk);  // the last part meets the limit in commit
                         file.commit();
                       }),
            1);
  EXPECT_EQ(read_text(folder_ / "a"), "old");
  EXPECT_EQ(names(), Names{"a"});
}

// Writes directory `target` with the files one and sub/two, both holding `text`.
void write_directory(const Path& target, std::string_view text) {
  AtomicDirectory directory(target);
  write_text(directory.path() / "one", text);
  fs::create_directory(directory.path() / "sub");
  write_text(directory.path() / "sub" / "two", text);
  directory.commit();
}

TEST_F(AtomicDirectoryTest, CreatesAndReplaces) {
  const Path target = folder_ / "runs" / "step-1";
  write_directory(target, "old");
  put("runs/step-1/stray", "in the old one only");
  write_directory(target.string() + "/", "new");
  EXPECT_EQ(read_text(target / "one"), "new");
  EXPECT_EQ(read_text(target / "sub" / "two"), "new");
  EXPECT_FALSE(fs::exists(target / "stray"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "runs"), {}), 1);
}

TEST_F(AtomicDirectoryTest, LeavesNothingWithoutCommit) {
  write_directory(folder_ / "a", "old");
  {
    AtomicDirectory directory(folder_ / "a");
    EXPECT_EQ(directory.path().filename(), ".a.tmp-" + std::to_string(getpid()));
    write_text(directory.path() / "one", "new");
  }
  EXPECT_EQ(read_text(folder_ / "a" / "one"), "old");
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(AtomicDirectoryTest, RemovesLeftoversAndPutsBackTheOld) {
  put(".a.tmp-" + std::to_string(dead_process()) + "/one", "partial");
  put(".a.old/one", "old");
  {
    const AtomicDirectory directory(folder_ / "a");
    EXPECT_EQ(read_text(folder_ / "a" / "one"), "old");
  }
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(AtomicDirectoryTest, RefusesAFileInItsPlace) {
  put("a", "a file");
  EXPECT_EQ(error_code("a: exists", [&] { AtomicDirectory directory(folder_ / "a"); }), 2);
  EXPECT_EQ(error_code("a", [&] { AtomicDirectory directory(folder_ / "a" / "b"); }), 2);
}

TEST_F(AtomicDirectoryTest, IsWholeAtEveryMoment) {
  write_directory(folder_ / "a", "0");
  std::atomic<bool> done = false;
  std::atomic<int> missing = 0;
  std::thread reader([&] {
    while (!done) missing += access((folder_ / "a" / "sub" / "two").c_str(), F_OK) != 0;
  });
  for (int i = 1; i <= 20; ++i) write_directory(folder_ / "a", std::to_string(i));
  done = true;
  reader.join();
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(read_text(folder_ / "a" / "one"), "20");
}

// Makes renameat2 fail in this process as on a file system that cannot exchange.
void forbid_exchange() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{std::size(program), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    _exit(77);
  }
}

TEST_F(AtomicDirectoryTest, ReplacesWithoutExchange) {
  write_directory(folder_ / "a", "old");
  const pid_t child = fork();
  if (child == 0) {
    forbid_exchange();
    write_directory(folder_ / "a", "new");
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "no seccomp here";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_text(folder_ / "a" / "one"), "new");
  EXPECT_EQ(names(), Names{"a"});
}

}  // namespace
}  // namespace trit
