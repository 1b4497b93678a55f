// What the system says of the machine.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "base/file.h"
#include "bench/machine.h"

namespace trit::bench {
namespace {

std::string first_line(const Path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "48K", "2048K", "32M"; 0 when it is none.
int64_t parse_size(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0 || value > int64_t{1} << 40) return 0;
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  return unit == "K" ? value << 10 : unit == "M" ? value << 20 : value;
}

}  // namespace

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU without a name";
}

CacheSizes cache_sizes() {
  CacheSizes sizes;
  const Path caches = "/sys/devices/system/cpu/cpu0/cache";
  for (int i = 0; i < 8; ++i) {
    const Path cache = caches / fmt::format("index{}", i);
    if (first_line(cache / "type") == "Instruction") continue;
    const std::string level = first_line(cache / "level");
    const int64_t size = parse_size(first_line(cache / "size"));
    if (level == "1") sizes.l1 = size;
    if (level == "2") sizes.l2 = size;
    if (level == "3") sizes.l3 = size;
  }
  return sizes;
}

std::string binary_bytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return value < 10 && value != static_cast<double>(static_cast<int64_t>(value))
             ? fmt::format("{:.1f} {}", value, kUnits[unit])
             : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string describe(const Machine& machine) {
  std::string text =
      fmt::format("{}, {} CPU{}", machine.cpu, machine.cpus, machine.cpus == 1 ? "" : "s");
  if (machine.caches.l1 > 0) text += fmt::format(", L1 {}", binary_bytes(machine.caches.l1));
  if (machine.caches.l2 > 0) text += fmt::format(", L2 {}", binary_bytes(machine.caches.l2));
  if (machine.caches.l3 > 0) text += fmt::format(", L3 {}", binary_bytes(machine.caches.l3));
  return text;
}

}  // namespace trit::bench
