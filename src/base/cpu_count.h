#pragma once
// How many CPUs this process may use.

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace trit {

// CPUs of the affinity mask, or the cgroup's quota rounded up when that is less; at least 1.
int available_cpus();

// The same with the CPUs that share a core (hyper-threads) counted once: arithmetic gains nothing from a second
// thread on a core, and waiting for it costs.
int available_cores();

// One CPU of each core among `cpus`: the first of those for which `siblings` says the same, the text of
// /sys/devices/system/cpu/cpuN/topology/thread_siblings_list; a CPU of which it says nothing is a core of its own.
std::vector<int> core_cpus(std::span<const int> cpus,
                           const std::function<std::string(int)>& siblings);

// Where to pin `threads` threads, one CPU each, or empty for leaving it to the system: pinned are threads of a
// process whose affinity mask leaves out CPUs of the machine (taskset, a container's cpuset, MPI), since those
// CPUs are then its own; others would meet other programs' threads on their CPUs. `cores`: one CPU of each core
// of the mask; `online`: the machine's CPUs.
std::vector<int> cpus_to_pin(std::span<const int> cores, int online, int threads);
// The same for this process. TRIT_PIN=0 or 1 decides instead of the mask.
std::vector<int> cpus_to_pin(int threads);

// CPU time per wall time that the cgroups of a process allow: the least quota from its own cgroup up
// to the root, infinity without any. `membership` is the text of /proc/self/cgroup; `mount` is
// /sys/fs/cgroup. Understands cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us, cpu.cfs_period_us).
double cgroup_cpu_quota(std::string_view membership, const Path& mount);

}  // namespace trit
