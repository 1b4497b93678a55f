// trit report: the paper's tables and figures in one page.

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "model/config.h"
#include "report/report.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit report --quick --out report                       # under ten minutes on two cores, from a clone's folder
  trit report --quick --model model.gguf --twin llama.gguf --text held-out.txt --data eval
  trit report --from docs/results/h200.json --out report # with another machine's figures beside
  trit report --only-from --from results.json --out page # nothing is measured

OUT gets report.html (one file, to be opened in a browser or printed), report.md, report.json and the drawings as SVG. The
report runs trit's own commands, each of which stands under its figures, and keeps what they print in OUT/parts: what is
there is not measured again, so an interrupted report goes on where it was. Remove a part's file to measure it again.
Random models are written to OUT/work, one at a time, and removed. The machine should be idle.
)";

struct Options {
  bool quick = false, only_from = false;
  std::string out = "report", model = "models/tales-3m.gguf", twin, binary, text, dataset, data;
  std::string sizes = "700M,1.3B,3B";
  std::vector<std::string> from;
};

std::vector<std::string> sizes_of(const std::string& list) {
  std::vector<std::string> sizes;
  for (size_t at = 0; !list.empty() && at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    sizes.push_back(list.substr(at, end - at));
    preset(sizes.back());  // or it says which there are
    at = end + 1;
  }
  return sizes;
}

report::ReportOptions parsed(const Options& options, bool model_given) {
  report::ReportOptions wanted;
  wanted.quick = options.quick;
  wanted.out = options.out;
  wanted.from = options.from;
  if (options.only_from) {
    if (options.from.empty()) bad_input("--only-from: no report was given (--from FILE)");
    return wanted;
  }
  wanted.sizes = sizes_of(options.sizes);
  wanted.twin = options.twin;
  wanted.binary = options.binary;
  wanted.text = options.text;
  wanted.dataset = options.dataset;
  wanted.data = options.data;
  for (const std::string* path :
       {&wanted.twin, &wanted.binary, &wanted.text, &wanted.dataset, &wanted.data}) {
    if (!path->empty() && !std::filesystem::exists(*path))
      bad_input("{}: there is no such file or directory", *path);
  }
  if (std::filesystem::exists(options.model))
    wanted.model = options.model;
  else if (model_given)
    bad_input("--model: {}: there is no such file or directory", options.model);
  return wanted;
}

std::string command_line(const Options& o) {
  std::string line = "trit report";
  if (o.quick) line += " --quick";
  if (o.only_from) line += " --only-from";
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {} {}", name, value);
  };
  if (!o.only_from) {
    add("--model", o.model);
    add("--twin", o.twin);
    add("--binary", o.binary);
    add("--text", o.text);
    add("--dataset", o.dataset);
    add("--data", o.data);
    add("--sizes", o.sizes);
  }
  for (const std::string& file : o.from) add("--from", file);
  add("--out", o.out);
  return line;
}

void run(const Options& options, bool model_given) {
  const report::ReportOptions wanted = parsed(options, model_given);
  report::report_data(wanted, {});  // a wrong --from shows before minutes are spent
  std::vector<report::PartResult> parts;
  if (!options.only_from) {
    // What is run takes as many threads as this program would.
    setenv("TRIT_THREADS", fmt::format("{}", thread_count()).c_str(), 1);
    const Path work = wanted.out / "work";
    Progress bar("report", report::parts_of(wanted, work).size());
    uint64_t done = 0;
    parts = report::collect(
        wanted,
        [&](const report::Arguments& arguments) { return report::run_trit(arguments, work); },
        [&](const std::string& part) { bar.update(done++, part); });
  }
  report::ReportData data = report::report_data(wanted, std::move(parts));
  data.command = command_line(options);
  data.version = TRIT_VERSION;
  data.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  data.threads = thread_count();
  const Path page = report::write_report(data);
  int64_t failed = 0;
  for (const report::PartResult& part : data.parts) failed += part.result.is_null() ? 1 : 0;
  fmt::print("{}: {} parts measured", page.string(), std::ssize(data.parts) - failed);
  if (failed > 0) fmt::print(", {} not: the page says why", failed);
  fmt::print("\n");
}

}  // namespace

void add_report_command(CLI::App& program) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("report", "the paper's tables and figures, measured, in one page");
  command->footer(kExamples);
  command->add_flag("--quick", o->quick, "fewer and shorter measurements");
  command->add_option("--out", o->out, "directory to write to")->capture_default_str();
  CLI::Option* model =
      command->add_option("--model", o->model, "trained ternary model")->capture_default_str();
  command->add_option("--twin", o->twin, "LLaMA that was trained beside it (trit compare)");
  command->add_option("--binary", o->binary, "the same with binary weights");
  command->add_option("--text", o->text, "held-out text for perplexity: .txt or .jsonl");
  command->add_option("--dataset", o->dataset, "instead: held-out tokens (trit data build)");
  command->add_option("--data", o->data, "directory with the tasks' files, for accuracy");
  command
      ->add_option("--sizes", o->sizes,
                   "presets to measure with random weights, with commas between")
      ->capture_default_str();
  command
      ->add_option("--from", o->from,
                   "JSON of trit bench paper, from another machine; may be given again")
      ->allow_extra_args(false);
  command->add_flag("--only-from", o->only_from, "measure nothing here");
  command->callback([o, model] { run(*o, model->count() > 0); });
}

}  // namespace trit
