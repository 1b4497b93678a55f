#include "model/tile_choice.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/huge_buffer.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "kernels/kernels.h"
#include "ops/linear.h"

namespace trit {
namespace {

// So that the next read of the bytes comes from memory, whatever the size of the caches.
void drive_out_of_caches(const HugeBuffer& buffer) {
#if defined(__x86_64__)
  constexpr size_t kLine = 64;
  for (size_t i = 0; i < buffer.size(); i += kLine) __builtin_ia32_clflush(buffer.data() + i);
#else
  (void)buffer;
#endif
}

class TileTimer {
 public:
  explicit TileTimer(int64_t inputs) : x_(static_cast<size_t>(inputs)) {
    constexpr int64_t kWeights = 96 << 20;  // 24 MB of two bits
    outputs_ = std::max<int64_t>(1, kWeights / inputs / kBase3Rows) * kBase3Rows;
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<float>(i % 251) - 125.0f;
    y_.resize(static_cast<size_t>(outputs_));
  }

  double seconds(TileForm form) {
    const auto inputs = static_cast<int64_t>(x_.size());
    const HugeBuffer tiles(static_cast<size_t>(tiled_bytes(form, outputs_, inputs)));
    parallel_ranges(static_cast<int64_t>(tiles.size()), 1 << 20, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) tiles.data()[i] = static_cast<uint8_t>(i % 121);
    });
    Linear layer;
    layer.outputs = outputs_;
    layer.inputs = inputs;
    layer.kind = WeightKind::kTernary;
    layer.tiles = tiles.data();
    layer.tile_form = form;
    const LinearInput input = prepare_input(layer, {x_.data(), 1, inputs}, workspace_);
    std::array<double, 3> times{};
    for (double& time : times) {
      drive_out_of_caches(tiles);
      const Timer timer;
      linear_forward(layer, input, {y_.data(), 1, outputs_}, workspace_);
      time = timer.seconds();
    }
    std::ranges::sort(times);
    return times[1];
  }

 private:
  int64_t outputs_ = 0;
  std::vector<float> x_, y_;
  Workspace workspace_;
};

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name") || line.starts_with("CPU part")) return line;
  }
  return "cpu";
}

Path cache_file() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return Path(cache) / "trit" / "tiles.json";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return Path(home) / ".cache" / "trit" / "tiles.json";
  return {};
}

std::string this_machine() {
  return fmt::format("{}, {}, {} threads", cpu_name(), kernels::to_string(kernels::active_isa()),
                     thread_count());
}

}  // namespace

TileTimes measure_tile_forms(int64_t inputs) {
  TileTimer timer(inputs);
  return {timer.seconds(TileForm::kTwoBit), timer.seconds(TileForm::kBase3)};
}

TileChoices::TileChoices(Path file, std::string machine, Measure measure)
    : file_(std::move(file)), machine_(std::move(machine)), measure_(std::move(measure)) {
  try {
    const Json all = parse_json(read_text(file_, 1 << 20), file_.string());
    for (const auto& [inputs, times] : all.at(machine_).items())
      times_[std::stoll(inputs)] = {times.at("two_bit").get<double>(),
                                    times.at("base3").get<double>()};
  } catch (const std::exception&) {
    times_.clear();
  }
}

TileForm TileChoices::choose(int64_t inputs) {
  if (!times_.contains(inputs)) {
    times_[inputs] = measure_(inputs);
    save();
  }
  const TileTimes& times = times_[inputs];
  return times.base3 <= times.two_bit ? TileForm::kBase3 : TileForm::kTwoBit;
}

void TileChoices::save() const {
  if (file_.empty()) return;
  try {
    Json all = Json::object();
    if (std::filesystem::exists(file_)) {
      try {
        all = parse_json(read_text(file_, 1 << 20), file_.string());
      } catch (const std::exception&) {
        all = Json::object();
      }
    }
    if (!all.is_object()) all = Json::object();
    Json& mine = all[machine_] = Json::object();
    for (const auto& [inputs, times] : times_)
      mine[std::to_string(inputs)] = {{"two_bit", times.two_bit}, {"base3", times.base3}};
    std::filesystem::create_directories(file_.parent_path());
    write_text(file_, all.dump(1));
  } catch (const std::exception&) {
    // The next process measures again.
  }
}

TileForm choose_tile_form(int64_t inputs, int64_t model_bytes) {
  const char* setting = std::getenv("TRIT_TILES");
  const std::string_view text = setting == nullptr || *setting == '\0' ? "auto" : setting;
  if (text == "2-bit") return TileForm::kTwoBit;
  if (text == "base-3") return TileForm::kBase3;
  if (text != "auto")
    bad_input("TRIT_TILES is \"{}\", expected auto, 2-bit or base-3", printable(text));
  constexpr int64_t kStaysInCaches = 16 << 20;
  if (model_bytes < kStaysInCaches) return TileForm::kTwoBit;
  static std::mutex mutex;
  static std::map<std::string, TileChoices>
      choices;  // by machine: the number of threads may change
  const std::lock_guard lock(mutex);
  const std::string machine = this_machine();
  const auto [found, inserted] = choices.try_emplace(machine, cache_file(), machine);
  return found->second.choose(inputs);
}

}  // namespace trit
