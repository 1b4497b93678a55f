#pragma once
// What a report is made of: commands of trit, each of which prints JSON, and what they printed.

#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace trit::report {

struct ReportOptions {
  bool quick = false;
  Path out = "report";
  std::string model;               // the trained model; empty: none
  std::string twin;                // the LLaMA trained beside it; empty: none
  std::string binary;              // one with binary weights; empty: none
  std::string text;                // held-out text (.txt or .jsonl) for perplexity; empty: none
  std::string dataset;             // or held-out tokens (trit data build)
  std::string data;                // the tasks' files (trit eval); empty: none
  std::vector<std::string> sizes;  // presets that are measured with random weights
  std::vector<std::string> from;   // JSON of `trit bench paper`, of other machines or earlier runs
  bool has_text() const { return !text.empty() || !dataset.empty(); }
};

using Arguments = std::vector<std::string>;  // without the program's name

// Commands that make one file of results; the last prints it.
struct Part {
  std::string name;
  std::vector<Arguments> commands;
  std::vector<Path> leftovers;  // removed afterwards
};
// In the order in which they run. Files that they make on the way lie in `work`, one part's at a time.
std::vector<Part> parts_of(const ReportOptions& options, const Path& work);

struct PartResult {
  std::string name;
  std::vector<std::string> commands;  // as a user would type them
  std::string date;
  double seconds = 0;
  Json result;      // null when there is none,
  std::string why;  // and why
};

// What a command left.
struct Outcome {
  int code = 0;  // 0: it went well
  std::string out, err;
};
using RunCommand = std::function<Outcome(const Arguments&)>;
// Runs this program with these arguments; `folder` is for what it prints.
Outcome run_trit(const Arguments& arguments, const Path& folder);

// Runs the parts, keeps each as OUT/parts/NAME.json, and does not run again what lies there from the same commands and went
// well. A part that fails leaves the last line of what it said and stops no other. `progress` gets each part before it runs.
std::vector<PartResult> collect(const ReportOptions& options, const RunCommand& run,
                                const std::function<void(const std::string& part)>& progress = {});

}  // namespace trit::report
