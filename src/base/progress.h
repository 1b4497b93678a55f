#pragma once
// A progress bar on stderr: one line, redrawn at most ten times a second when stderr is a terminal;
// otherwise a plain line every ten seconds, so logs stay readable.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/timer.h"

namespace trit {

class Progress {
 public:
  // `total` units of work, 0 when it is not known; a resumed job has `done` of them behind it.
  Progress(std::string_view title, uint64_t total, uint64_t done = 0);
  ~Progress();  // ends the line
  // `done` units are done; `note` stands at the end of the line ("loss 3.21  1.2k tok/s").
  void update(uint64_t done, std::string_view note = {});
  // Ends the line with its last state; further calls do nothing.
  void finish(std::string_view note = {});

 private:
  void draw(std::string_view note);
  std::string title_, note_;
  uint64_t total_, first_, done_;
  double last_draw_ = -1e9;
  bool terminal_, open_ = true;
  Timer timer_;
};

// "1.5k", "23.4M", "1.2G": three digits and a decimal unit.
std::string human_count(double value);
// "812 B", "1.5 MB", "2.2 GB" (decimal units).
std::string human_bytes(double bytes);
// "43s", "12m05s", "3h20m".
std::string human_time(double seconds);

}  // namespace trit
