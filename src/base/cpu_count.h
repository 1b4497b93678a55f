#pragma once
// How many CPUs this process may use.

#include "base/file.h"

namespace trit {

// CPUs of the affinity mask, or the cgroup's quota rounded up when that is less; at least 1.
int available_cpus();

// CPU time per wall time that the cgroups of a process allow: the least quota from its own cgroup up
// to the root, infinity without any. `membership` is the text of /proc/self/cgroup; `mount` is
// /sys/fs/cgroup. Understands cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us, cpu.cfs_period_us).
double cgroup_cpu_quota(std::string_view membership, const Path& mount);

}  // namespace trit
