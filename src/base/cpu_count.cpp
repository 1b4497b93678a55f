#include "base/cpu_count.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

namespace trit {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

double quota_v2(const Path& cgroup) {  // "max 100000" or "150000 100000"
  std::ifstream file(cgroup / "cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period && quota > 0 && period > 0 ? quota / period : kUnlimited;
}

double quota_v1(const Path& cgroup) {  // a quota of -1 is none
  std::ifstream quota_file(cgroup / "cpu.cfs_quota_us"), period_file(cgroup / "cpu.cfs_period_us");
  double quota = 0, period = 0;
  const bool limited = quota_file >> quota && period_file >> period && quota > 0 && period > 0;
  return limited ? quota / period : kUnlimited;
}

// The least quota of `cgroup` ("/a/b") and of those above it. Inside a container the path may name
// a cgroup that only the host sees; its root is then the container's own.
double least_quota(const Path& mount, Path cgroup, double (*quota)(const Path&)) {
  double least = quota(mount);
  for (; cgroup.has_relative_path(); cgroup = cgroup.parent_path()) {
    least = std::min(least, quota(mount / cgroup.relative_path()));
  }
  return least;
}

int affinity_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());  // more CPUs than a cpu_set_t holds
}

}  // namespace

double cgroup_cpu_quota(std::string_view membership, const Path& mount) {
  double least = kUnlimited;
  std::istringstream lines{std::string(membership)};
  for (std::string line; std::getline(lines, line);) {  // "hierarchy:controllers:path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const Path cgroup = line.substr(second + 1);
    if (controllers == ",,") least = std::min(least, least_quota(mount, cgroup, quota_v2));
    if (controllers.find(",cpu,") == std::string::npos) continue;
    least = std::min(least, least_quota(mount / "cpu", cgroup, quota_v1));
  }
  return least;
}

int available_cpus() {
  std::ifstream file("/proc/self/cgroup");
  const std::string membership{std::istreambuf_iterator<char>(file), {}};
  const double quota = std::ceil(cgroup_cpu_quota(membership, "/sys/fs/cgroup"));
  const int cpus = std::max(1, affinity_cpus());
  return quota < cpus ? std::max(1, static_cast<int>(quota)) : cpus;
}

}  // namespace trit
