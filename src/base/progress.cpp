#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

namespace trit {
namespace {

constexpr double kTerminalInterval = 0.1, kLogInterval = 10.0;  // seconds between two lines

size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string bar(double share) {
  constexpr size_t kWidth = 24;
  const auto filled = static_cast<size_t>(share * kWidth);
  return fmt::format("[{}{}]", std::string(filled, '='), std::string(kWidth - filled, ' '));
}

// Three significant digits of `value` in the largest of the units k, M, G, T that it fills.
std::string with_unit(double value, const char* separator, const char* unit) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
  size_t step = 0;
  // 999.5 would print as 1000: it belongs to the next unit.
  while (std::abs(value) >= 999.5 && step + 1 < std::size(kPrefixes)) {
    value /= 1000;
    ++step;
  }
  const bool whole = std::abs(value) >= 99.95 || (step == 0 && value == std::floor(value));
  return fmt::format("{:.{}f}{}{}{}", value, whole ? 0 : 1, separator, kPrefixes[step], unit);
}

}  // namespace

Progress::Progress(std::string_view title, uint64_t total, uint64_t done)
    : title_(title),
      total_(total),
      first_(done),
      done_(done),
      terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { finish(note_); }

void Progress::update(uint64_t done, std::string_view note) {
  done_ = done;
  note_ = note;
  const double interval = terminal_ ? kTerminalInterval : kLogInterval;
  if (!open_ || timer_.seconds() - last_draw_ < interval) return;
  last_draw_ = timer_.seconds();
  draw(note_);
}

void Progress::finish(std::string_view note) {
  if (!open_) return;
  open_ = false;
  if (!note.empty()) note_ = note;
  draw(note_);
  if (terminal_) std::fputc('\n', stderr);
}

void Progress::draw(std::string_view note) {
  const double elapsed = timer_.seconds();
  const auto total = static_cast<double>(total_), done = static_cast<double>(done_);
  std::string line = title_;
  if (total_ > 0) {
    const double share = std::min(1.0, done / total);
    line += fmt::format(" {:3.0f}%", std::floor(share * 100));
    if (terminal_) line.append(" ").append(bar(share));
    line += fmt::format(" {}/{}", human_count(done), human_count(total));
  } else {
    line += fmt::format(" {}", human_count(done));
  }
  if (open_ && total_ > done_ && done_ > first_) {
    const double left = elapsed * (total - done) / static_cast<double>(done_ - first_);
    line += fmt::format(" {} left", human_time(left));
  } else {
    line += fmt::format(" {}", human_time(elapsed));
  }
  if (!note.empty()) line.append("  ").append(note);
  if (terminal_) {
    // A wrapped line could not be redrawn.
    line = fmt::format("\r{}\033[K", line.substr(0, terminal_width() - 1));
  } else {
    line += '\n';
  }
  std::fputs(line.c_str(), stderr);
}

std::string human_count(double value) { return with_unit(value, "", ""); }
std::string human_bytes(double bytes) { return with_unit(bytes, " ", "B"); }

std::string human_time(double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) return "?";
  const auto total = static_cast<int64_t>(std::llround(seconds));
  const int64_t hours = total / 3600, minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}h{:02d}m", hours, minutes);
  if (minutes > 0) return fmt::format("{}m{:02d}s", minutes, total % 60);
  return fmt::format("{}s", total);
}

}  // namespace trit
