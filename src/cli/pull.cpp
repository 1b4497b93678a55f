// trit pull: a model from the Hugging Face hub into the cache that Python tools use too.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/timer.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "hub/pull.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit pull microsoft/bitnet-b1.58-2B-4T
  trit pull ORG/NAME@v1.0 --dry-run
  trit pull ORG/NAME:model.gguf --json
  HF_TOKEN=hf_... trit pull ORG/PRIVATE
  trit run microsoft/bitnet-b1.58-2B-4T "Once upon a time"

Only what trit reads is downloaded: configuration, tokenizer and safetensors weights, or one GGUF file.
A download that broke off goes on where it was; every file is checked against its hash.

Environment, as for huggingface_hub:
  HF_TOKEN            a token for private models (default: the file $HF_HOME/token)
  HF_ENDPOINT         the hub (default: https://huggingface.co)
  HF_HUB_CACHE        the cache (default: $HF_HOME/hub, with HF_HOME ~/.cache/huggingface)
  HF_HUB_OFFLINE=1    no network: say what the cache has
  https_proxy, no_proxy
)";

struct Options {
  std::string repo;
  std::string endpoint;
  bool dry_run = false;
  bool json = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("endpoint", endpoint, "URL of the hub; default: HF_ENDPOINT, or https://huggingface.co");
    v("dry-run", dry_run, "list the files and their bytes; download nothing");
    v("json", json, "print the result as JSON");
  }
};

// One bar per file, and lines between them.
class Bars {
 public:
  void update(const std::string& file, uint64_t done, uint64_t total) {
    if (!bar_ || file != file_) {
      bar_ = std::make_unique<Progress>(printable(file), total, done);
      file_ = file;
      first_ = done;
      timer_ = Timer();
    }
    const double speed =
        static_cast<double>(done - std::min(done, first_)) / std::max(timer_.seconds(), 1e-9);
    bar_->update(done, done > first_ ? fmt::format("{}/s", human_bytes(speed)) : std::string());
  }
  void finish() { bar_.reset(); }
  void line(const std::string& text) {
    finish();
    fmt::print(stderr, "{}\n", text);
  }

 private:
  std::unique_ptr<Progress> bar_;
  std::string file_;
  uint64_t first_ = 0;
  Timer timer_;
};

PullOptions pull_options(const Options& options, Bars& bars) {
  PullOptions pull;
  pull.hub = hub_settings();
  if (!options.endpoint.empty())
    pull.hub.endpoint = checked_endpoint(options.endpoint, "--endpoint");
  pull.dry_run = options.dry_run;
  pull.stop = interrupted;
  pull.retry.wait = clock_wait(interrupted);
  pull.retry.tell = [&](const NetworkError& error, std::chrono::milliseconds delay) {
    bars.line(fmt::format("{}; trying again in {:.1f} s", error.what(),
                          std::chrono::duration<double>(delay).count()));
  };
  pull.progress = [&](const std::string& file, uint64_t done, uint64_t total) {
    bars.update(file, done, total);
  };
  pull.note = [&](const std::string& text) { bars.line(text); };
  return pull;
}

void print_json(const RepoName& repo, const Options& options, const PullReport& report) {
  OrderedJson files = OrderedJson::array();
  for (const PulledFile& file : report.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"cached", file.cached}});
  const OrderedJson json = {{"repository", repo.id},
                            {"revision", repo.revision},
                            {"commit", report.commit},
                            {"path", report.path.string()},
                            {"dry_run", options.dry_run},
                            {"bytes", report.bytes()},
                            {"missing_bytes", report.missing_bytes()},
                            {"files", files}};
  fmt::print("{}\n", json.dump(2, ' ', false, OrderedJson::error_handler_t::replace));
}

// The path alone goes to standard output, so that a script can use it.
void print_result(const RepoName& repo, const Options& options, const PullReport& report) {
  const auto bytes = static_cast<double>(report.bytes());
  const auto missing = static_cast<double>(report.missing_bytes());
  if (options.dry_run) {
    for (const PulledFile& file : report.files) {
      fmt::print("{:>15} {}{}\n", file.bytes, printable(file.name),
                 file.cached ? " (in the cache)" : "");
    }
    fmt::print("{} files, {}, to download {}\n", report.files.size(), human_bytes(bytes),
               human_bytes(missing));
    return;
  }
  if (report.files.empty()) {
    fmt::print(stderr, "{}: in the cache\n", repo.text());
  } else {
    fmt::print(stderr, "{}: {} file{}, {}, downloaded {}\n", repo.text(), report.files.size(),
               report.files.size() == 1 ? "" : "s", human_bytes(bytes), human_bytes(missing));
  }
  fmt::print("{}\n", report.path.string());
}

void run(const Options& options) {
  const RepoName repo = parse_repo(options.repo);
  Bars bars;
  const PullOptions settings = pull_options(options, bars);
  catch_interrupts();
  PullReport report;
  try {
    report = pull(repo, settings);
  } catch (const Stopped&) {
    bars.line(fmt::format("stopped; go on with: trit pull {}", repo.text()));
    throw CLI::RuntimeError(kInterruptedExit);
  }
  bars.finish();
  if (options.json) return print_json(repo, options, report);
  print_result(repo, options, report);
}

}  // namespace

void add_pull_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("pull", "download a model from the Hugging Face hub into the cache");
  command->footer(kExamples);
  command->add_option("repository", options->repo, "ORG/NAME[@REVISION][:FILE.gguf]")->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
