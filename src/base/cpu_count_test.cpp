#include "base/cpu_count.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <vector>

#include "base/test_folder.h"

namespace trit {
namespace {

namespace fs = std::filesystem;

// An empty /sys/fs/cgroup of its own for each test.
class CgroupQuota : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(mount_); }
  void put(const Path& name, const char* text) {
    fs::create_directories((mount_ / name).parent_path());
    std::ofstream(mount_ / name) << text;
  }
  Path mount_ = test_folder() / testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(CgroupQuota, NoneIsInfinite) {
  EXPECT_EQ(cgroup_cpu_quota("", mount_), INFINITY);
  put("cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpu_quota("0::/\n", mount_), INFINITY);
  EXPECT_EQ(cgroup_cpu_quota("rubbish\n::\n0::\n", mount_), INFINITY);
}

TEST_F(CgroupQuota, Version2TakesTheLeastOnTheWayUp) {
  put("a/cpu.max", "150000 100000\n");
  put("a/b/cpu.max", "max 100000\n");
  put("a/b/c/cpu.max", "800000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota("0::/a/b/c\n", mount_), 1.5);
  EXPECT_EQ(cgroup_cpu_quota("0::/other\n", mount_), INFINITY);
}

TEST_F(CgroupQuota, ContainerSeesOnlyItsOwnRoot) {
  put("cpu.max", "200000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota("0::/docker/0123abc\n", mount_), 2.0);
}

TEST_F(CgroupQuota, Version1) {
  put("cpu/a/cpu.cfs_quota_us", "50000\n");
  put("cpu/a/cpu.cfs_period_us", "100000\n");
  put("cpu/cpu.cfs_quota_us", "-1\n");
  put("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota("4:memory:/a\n3:cpu,cpuacct:/a\n0::/\n", mount_), 0.5);
  EXPECT_EQ(cgroup_cpu_quota("2:cpuacct:/a\n1:cpuset:/a\n", mount_), INFINITY);
}

TEST(AvailableCpus, IsAtLeastOne) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_LE(available_cores(), available_cpus());
}

TEST(AvailableCpus, HyperThreadsOfACoreCountOnce) {
  const auto siblings = [](int cpu) {  // four cores of two threads, and one CPU that says nothing
    return cpu == 8 ? std::string() : fmt::format("{},{}", cpu % 4, cpu % 4 + 4);
  };
  EXPECT_EQ(core_cpus(std::vector{0, 1, 4, 5, 7, 8}, siblings), (std::vector{0, 1, 7, 8}));
  EXPECT_EQ(core_cpus(std::vector<int>{}, siblings), std::vector<int>{});
}

// Only a mask that leaves CPUs of the machine out says that these are the process's own.
TEST(AvailableCpus, PinsOnlyToCpusThatAreTheProcessesOwn) {
  EXPECT_EQ(cpus_to_pin(std::vector{4, 5, 6}, 16, 3), (std::vector{4, 5, 6}));
  EXPECT_EQ(cpus_to_pin(std::vector{4, 5, 6}, 16, 2), (std::vector{4, 5}));
  EXPECT_EQ(cpus_to_pin(std::vector{4, 5, 6}, 16, 4), std::vector<int>{});
  EXPECT_EQ(cpus_to_pin(std::vector{0, 1}, 2, 2), std::vector<int>{});
}

}  // namespace
}  // namespace trit
