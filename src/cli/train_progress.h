#pragma once
// Training with a progress bar.

#include "cli/train_watch.h"
#include "train/run.h"

namespace trit {

// train() with loss, tokens per second and the time left on stderr; stops when interrupted().
RunReport train_with_progress(const RunOptions& settings, bool resume, const StepPlace& place = {},
                              const WatchOptions& watching = {}, const SampleOptions& samples = {});

}  // namespace trit
