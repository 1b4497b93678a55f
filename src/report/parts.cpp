#include "report/parts.h"

#include <fmt/format.h>

namespace trit::report {
namespace {

// How thoroughly. Quick runs fit in ten minutes on two cores, float16 models of 3B included.
struct Depth {
  const char *contexts, *steps, *prompt, *batches, *sequence, *repeats, *items;
};
constexpr Depth kQuick{"1", "16", "32", "4,16", "64", "3", "50"};
constexpr Depth kFull{"1,512", "64", "512", "4,16,64", "512", "5", "0"};

class Parts {
 public:
  Parts(const ReportOptions& options, const Path& work)
      : options_(options), work_(work), depth_(options.quick ? kQuick : kFull) {}

  std::vector<Part> all() {
    add("machine", {{"bench", "roofline", "--quick", "-o", "json"}});
    if (!options_.model.empty()) trained("model", options_.model);
    if (!options_.twin.empty()) trained("twin", options_.twin);
    if (!options_.twin.empty() && options_.has_text()) rounded();
    if (!options_.binary.empty()) trained("binary", options_.binary);
    for (const std::string& size : options_.sizes) {
      speed(size, "ternary");
      memory(size);
      speed(size, "float16");
    }
    return std::move(parts_);
  }

 private:
  void add(std::string name, std::vector<Arguments> commands, std::vector<Path> leftovers = {}) {
    parts_.push_back({std::move(name), std::move(commands), std::move(leftovers)});
  }

  Arguments perplexity(const std::string& model, const std::string& kv_type) const {
    const bool text = !options_.text.empty();
    Arguments command = {"perplexity",
                         model,
                         text ? "--text" : "--data",
                         text ? options_.text : options_.dataset,
                         "--kv-type",
                         kv_type,
                         "--json"};
    if (options_.quick) command.insert(command.end(), {"--tokens", "65536"});
    return command;
  }

  // A model whose weights mean something: speed, perplexity with each type of cache, tasks.
  void trained(const std::string& name, const std::string& model) {
    add(name + "-speed", {{"bench", "model", model, "-p", "128", "-n", "64", "-r", depth_.repeats,
                           "--no-limits", "-o", "json"}});
    if (options_.has_text()) {
      for (const char* kv_type : {"f32", "f16", "int8", "int4"})
        add(fmt::format("{}-perplexity-{}", name, kv_type), {perplexity(model, kv_type)});
    }
    if (!options_.data.empty()) {
      add(name + "-tasks",
          {{"eval", model, "--data", options_.data, "--limit", depth_.items, "--json"}});
    }
  }

  // The twin's weights rounded after training.
  void rounded() {
    for (const char* kind : {"ternary", "binary"}) {
      const Path file = work_ / fmt::format("twin-{}.gguf", kind);
      add(fmt::format("twin-rounded-{}", kind),
          {{"convert", options_.twin, file.string(), "--round", kind},
           perplexity(file.string(), "f32")},
          {file});
    }
  }

  void speed(const std::string& size, const char* weights) {
    add(fmt::format("speed-{}-{}", size, weights),
        {{"bench", "paper", "--sizes", size, "--weights", weights, "--contexts", depth_.contexts,
          "--steps", depth_.steps, "--prompt", depth_.prompt, "--batches", depth_.batches,
          "--sequence", depth_.sequence, "--no-largest", "-o", "json"}});
  }

  // A process that opens the file and generates, and nothing else.
  void memory(const std::string& size) {
    const Path file = work_ / fmt::format("{}.gguf", size);
    add(fmt::format("memory-{}-ternary", size),
        {{"synth", "--preset", size, file.string(), "--embeddings", "f16"},
         {"bench", "model", file.string(), "-p", "0", "-n", "64", "-r", "1", "--no-limits", "-o",
          "json"}},
        {file});
  }

  const ReportOptions& options_;
  const Path work_;
  const Depth depth_;
  std::vector<Part> parts_;
};

}  // namespace

std::vector<Part> parts_of(const ReportOptions& options, const Path& work) {
  return Parts(options, work).all();
}

}  // namespace trit::report
