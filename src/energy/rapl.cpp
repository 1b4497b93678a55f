#include "energy/rapl.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

#include "base/error.h"

namespace trit {
namespace {

std::string first_line(const Path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<uint64_t> read_count(const Path& path) {
  const std::string line = first_line(path);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (line.empty() || error != std::errc{} || end != line.data() + line.size()) return {};
  return value;
}

struct Counter {
  Path energy;
  uint64_t range;  // the largest value that it shows
  uint64_t last;
  uint64_t total = 0;  // microjoules since it was found
};

class RaplMeter : public EnergyMeter {
 public:
  explicit RaplMeter(std::vector<Counter> counters) : counters_(std::move(counters)) {}
  double joules() override {
    double sum = 0;
    for (Counter& c : counters_) {
      const std::optional<uint64_t> now = read_count(c.energy);
      if (!now) failure("RAPL: {} cannot be read any more", c.energy.string());
      c.total += *now >= c.last ? *now - c.last : *now + (c.range - std::min(c.range, c.last));
      c.last = *now;
      sum += static_cast<double>(c.total);
    }
    return sum * 1e-6;
  }

 private:
  std::vector<Counter> counters_;
};

// Where the same package can be seen twice (intel-rapl and intel-rapl-mmio) the first counts.
bool is_counted(const Path& zone, const std::string& name) {
  return zone.filename().string().starts_with("intel-rapl:") &&
         (name.starts_with("package") || name == "dram");
}

std::vector<Path> zones_below(const Path& powercap) {
  std::vector<Path> zones;
  std::error_code none;
  for (std::filesystem::directory_iterator at(powercap, none), end; !none && at != end;
       at.increment(none))
    zones.push_back(at->path());
  std::ranges::sort(zones);
  return zones;
}

}  // namespace

std::unique_ptr<EnergyMeter> processor_meter(std::string& why, const Path& powercap) {
  std::vector<Counter> counters;
  std::string unreadable;
  for (const Path& zone : zones_below(powercap)) {
    if (!is_counted(zone, first_line(zone / "name"))) continue;
    const Path energy = zone / "energy_uj";
    const auto now = read_count(energy), range = read_count(zone / "max_energy_range_uj");
    if (now && range && *range > 0)
      counters.push_back({energy, *range, *now});
    else if (unreadable.empty())
      unreadable = energy.string();
  }
  // Without one of several packages, or without its memory's counter, the sum would look like all there is.
  if (!unreadable.empty()) {
    why = fmt::format("RAPL: {} may not be read by this user", unreadable);
    return nullptr;
  }
  if (counters.empty()) {
    why = fmt::format("RAPL: no processor's counter below {}", powercap.string());
    return nullptr;
  }
  return std::make_unique<RaplMeter>(std::move(counters));
}

}  // namespace trit
