#pragma once
// What shows a run while it goes on: progress bar, live page, event files.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/progress.h"
#include "base/timer.h"
#include "train/dashboard.h"
#include "train/event_file.h"
#include "train/plan.h"
#include "train/run.h"

namespace trit {

struct WatchOptions {
  int64_t dashboard = -1;  // port; 0: a free one; negative: none
  std::string dashboard_address = "127.0.0.1";
  std::string tensorboard;  // directory; empty: none
  std::string hardware;     // for MFU; empty: what computes the steps

  template <class Visitor>
  void visit(Visitor&& v) {
    v("dashboard", dashboard, "port of a live page of the run; 0: a free one; -1: none");
    v("dashboard-address", dashboard_address, "where the live page listens");
    v("tensorboard", tensorboard, "directory for event files that TensorBoard reads");
  }
};

class TrainWatch {
 public:
  // Of a run on so many ranks; hardware's figures are those of one.
  TrainWatch(const WatchOptions& options, const RunOptions& run, Hardware hardware, int ranks);
  void show(const StepReport& step, int64_t total, std::optional<double> valid_loss);

 private:
  void begin(const StepReport& first, int64_t total);
  WatchOptions options_;
  RunOptions run_;
  Hardware hardware_;
  int ranks_;
  double token_operations_ = 0;
  int64_t first_ = 0;
  double held_out_ = 0;
  Timer timer_;
  double before_ = 0;  // seconds at the step before
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Dashboard> dashboard_;
  std::unique_ptr<EventFile> events_;
};

}  // namespace trit
