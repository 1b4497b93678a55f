#include "base/cpu_count.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "base/error.h"

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

std::vector<int> affinity_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  } else {  // more CPUs than a cpu_set_t holds
    for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu)
      cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

// What of `count` the cgroup's quota allows, at least 1.
int within_quota(int count) {
  std::ifstream file("/proc/self/cgroup");
  const std::string membership{std::istreambuf_iterator<char>(file), {}};
  const double quota = std::ceil(cgroup_cpu_quota(membership, "/sys/fs/cgroup"));
  return std::max(1, quota < count ? static_cast<int>(quota) : count);
}

std::vector<int> own_cores() {
  return core_cpus(affinity_cpus(), [](int cpu) {
    std::ifstream file(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    std::string list;
    std::getline(file, list);
    return list;
  });
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

int available_cpus() { return within_quota(static_cast<int>(affinity_cpus().size())); }

std::vector<int> core_cpus(std::span<const int> cpus,
                           const std::function<std::string(int)>& siblings) {
  std::set<std::string> seen;
  std::vector<int> cores;
  for (const int cpu : cpus) {
    const std::string list = siblings(cpu);
    if (list.empty() || seen.insert(list).second) cores.push_back(cpu);
  }
  return cores;
}

int available_cores() { return within_quota(static_cast<int>(own_cores().size())); }

std::vector<int> cpus_to_pin(std::span<const int> cores, int online, int threads) {
  const auto count = static_cast<int>(cores.size());
  if (count >= online || threads > count) return {};
  return {cores.begin(), cores.begin() + threads};
}

std::vector<int> cpus_to_pin(int threads) {
  const char* setting = std::getenv("TRIT_PIN");
  const std::string_view text = setting == nullptr ? "" : setting;
  if (text == "0") return {};
  const int online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (text.empty()) {  // a mask of all CPUs is no mask
    if (static_cast<int>(affinity_cpus().size()) >= online) return {};
  } else if (text != "1") {
    bad_input("TRIT_PIN is \"{}\", expected 0 or 1", printable(text));
  }
  return cpus_to_pin(own_cores(), std::numeric_limits<int>::max(), threads);
}

}  // namespace trit
