// trit inspect: what a model file is, what is in it, and what is wrong with it.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <variant>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/inspect_page.h"
#include "cli/options.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "hub/resolve.h"
#include "model/summary.h"
#include "text/chat_template_file.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit inspect model.gguf
  trit inspect path/to/huggingface-directory --json
  trit inspect model.gguf --plot model.html
)";

struct Options {
  std::string model, plot;
  bool json = false, tensors = false, check = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("tensors", tensors, "list every tensor of the file");
    v("check", check, "read all tensors and compare them with the file's checksum");
    v("plot", plot, "write an HTML page with the levels and scales of every layer");
    v("json", json, "print everything as JSON");
  }
};

struct StoredTensorRow {
  std::string name, type;
  Shape shape;
  uint64_t bytes;
};

// What the file says, whether or not trit can run it.
struct FileFacts {
  std::string kind;
  uint64_t bytes = 0;
  std::vector<StoredTensorRow> tensors;
  std::vector<std::pair<std::string, std::string>> metadata;
};

std::string shown(const GgufValue& value) {
  constexpr size_t kLongest = 100;
  const auto text = [](const auto& v) -> std::string {
    using T = std::decay_t<decltype(v)>;
    if constexpr (std::is_same_v<T, std::string>) return v;
    if constexpr (std::is_same_v<T, GgufArray>) {
      return std::visit(
          [](const auto& array) -> std::string {
            if constexpr (std::is_same_v<std::decay_t<decltype(array)>, std::monostate>) {
              return "[]";
            } else {
              return fmt::format("[{} values]", array.size());
            }
          },
          v);
    }
    if constexpr (std::is_arithmetic_v<T>) return fmt::format("{}", v);
    return "";
  };
  std::string result = std::visit(text, value);
  if (result.size() > kLongest) result = result.substr(0, kLongest) + "...";
  return printable(result);
}

FileFacts gguf_facts(const Path& path) {
  const Gguf file = Gguf::open(path);
  FileFacts facts{
      fmt::format("GGUF version {}", file.version()), std::filesystem::file_size(path), {}, {}};
  for (const auto& [key, value] : file.metadata())
    facts.metadata.emplace_back(printable(key), shown(value));
  for (const GgufTensor& t : file.tensors())
    facts.tensors.push_back(
        {printable(t.name), std::string(to_string(t.type)), t.shape, t.data.size()});
  return facts;
}

FileFacts hf_facts(const Path& path) {
  const Safetensors file = Safetensors::open(path);
  FileFacts facts{"Hugging Face directory", 0, {}, {}};
  for (const auto& [key, value] : file.metadata()) facts.metadata.emplace_back(key, value);
  for (const std::string& name : file.names()) {
    const TensorView& t = file.get(name);
    facts.tensors.push_back({printable(name), std::string(dtype_name(t.type)), t.shape, t.bytes()});
    facts.bytes += t.bytes();
  }
  const Path config = path / "config.json";
  const Json json = parse_json(read_text(config), config.string());
  for (const char* key : {"architectures", "model_type", "transformers_version", "torch_dtype",
                          "quantization_config"}) {
    if (json.contains(key)) facts.metadata.emplace_back(key, printable(json[key].dump()));
  }
  return facts;
}

OrderedJson to_json(const Config& c) {
  return {{"weights", to_string(c.weights)},
          {"inputs", to_string(c.inputs)},
          {"norms", to_string(c.norms)},
          {"qk_norms", c.qk_norms},
          {"activation", to_string(c.activation)},
          {"vocab_size", c.vocabulary},
          {"hidden_size", c.hidden},
          {"layers", c.layers},
          {"heads", c.heads},
          {"kv_heads", c.kv_heads},
          {"head_dim", c.head_dim},
          {"ffn", c.ffn},
          {"context", c.context},
          {"rope_theta", c.rope_theta},
          {"norm_epsilon", c.norm_epsilon},
          {"tied", c.tied}};
}

OrderedJson to_json(const MatrixSummary& m) {
  return {{"name", m.name},
          {"minus", m.share(m.counts.minus)},
          {"zero", m.share(m.counts.zero)},
          {"plus", m.share(m.counts.plus)},
          {"scale", m.scale},
          {"least_scale", m.least},
          {"largest_scale", m.largest},
          {"dead_outputs", m.dead_outputs}};
}

// What trit makes of the file; `refusal` says why it would not run it.
struct ModelFacts {
  std::optional<Model> model;
  std::vector<MatrixSummary> matrices;
  std::vector<std::string> notes;
  std::string refusal;
  std::string tokenizer;
  std::string chat_template;
  std::string checksum = "not looked at";
};

std::string tokenizer_facts(const Path& path) {
  const std::optional<Tokenizer> tokenizer = open_tokenizer(path);
  if (!tokenizer) return "none";
  const auto token = [&](int32_t id) {
    return id < 0 ? std::string("none")
                  : fmt::format("{} {}", id, printable(token_spelling(tokenizer->spec(), id)));
  };
  return fmt::format("{} tokens, bos {}, eos {}{}", tokenizer->vocab_size(),
                     token(tokenizer->bos_id()), token(tokenizer->eos_id()),
                     tokenizer->add_bos() ? ", bos is put first" : "");
}

std::string template_facts(const Path& path, std::vector<std::string>& notes) {
  const std::optional<FoundChatTemplate> found = find_chat_template(path);
  if (!found) return "none";
  if (!found->note.empty()) notes.push_back(found->note);
  const std::string& source = found->chat_template.source();
  return fmt::format("{} lines, {} bytes", 1 + std::ranges::count(source, '\n'), source.size());
}

ModelFacts model_facts(const Path& path) {
  ModelFacts facts;
  try {
    facts.model = Model::open(path);
    facts.matrices = summarize(*facts.model);
    facts.notes = unusual(*facts.model, facts.matrices);
  } catch (const Error& error) {
    facts.refusal = error.what();
  }
  try {
    facts.tokenizer = tokenizer_facts(path);
    if (facts.tokenizer == "none") facts.notes.push_back("there is no tokenizer with it");
  } catch (const Error& error) {
    facts.tokenizer = "unusable";
    facts.notes.push_back(error.what());
  }
  try {
    facts.chat_template = template_facts(path, facts.notes);
  } catch (const Error& error) {
    facts.chat_template = "unusable";
    facts.notes.push_back(error.what());
  }
  return facts;
}

OrderedJson to_json(const Path& path, const FileFacts& file, const ModelFacts& facts) {
  OrderedJson json = {{"path", path.string()}, {"kind", file.kind}, {"bytes", file.bytes}};
  json["metadata"] = OrderedJson::object();
  for (const auto& [key, value] : file.metadata) json["metadata"][key] = value;
  json["runs"] = facts.model.has_value();
  if (!facts.refusal.empty()) json["refusal"] = facts.refusal;
  if (facts.model) {
    const BitsPerWeight bits = bits_per_weight(*facts.model);
    json["origin"] = facts.model->origin();
    json["config"] = to_json(facts.model->config());
    json["parameters"] = facts.model->config().parameters();
    json["linear_parameters"] = facts.model->config().linear_parameters();
    json["bits_per_linear_weight"] = bits.linear;
    json["bits_per_parameter"] = bits.all;
  }
  json["checksum"] = facts.checksum;
  json["tokenizer"] = facts.tokenizer;
  json["chat_template"] = facts.chat_template;
  json["notes"] = facts.notes;
  json["matrices"] = OrderedJson::array();
  for (const MatrixSummary& m : facts.matrices) json["matrices"].push_back(to_json(m));
  json["tensors"] = OrderedJson::array();
  for (const StoredTensorRow& t : file.tensors) {
    json["tensors"].push_back(
        {{"name", t.name}, {"type", t.type}, {"shape", t.shape}, {"bytes", t.bytes}});
  }
  return json;
}

void print_model(const ModelFacts& facts) {
  const Model& model = *facts.model;
  const Config& c = model.config();
  const BitsPerWeight bits = bits_per_weight(model);
  fmt::print("family     {}\n", model.origin());
  fmt::print("form       {} weights, {} inputs, {} norms{}, {}\n", to_string(c.weights),
             c.weights == WeightKind::kFloat ? "float" : to_string(c.inputs), to_string(c.norms),
             c.qk_norms ? " and q/k norms" : "", to_string(c.activation));
  fmt::print("shape      {} layers, width {}, {} heads of {} ({} key/value), feed-forward {}\n",
             c.layers, c.hidden, c.heads, c.head_dim, c.kv_heads, c.ffn);
  fmt::print("           vocabulary {}{}, context {}, rope {}, eps {}\n", c.vocabulary,
             c.tied ? " (tied)" : "", c.context, c.rope_theta, c.norm_epsilon);
  fmt::print(
      "size       {} parameters, {} in linear layers; {:.3f} bits a linear weight, {:.3f} a "
      "parameter\n",
      human_count(static_cast<double>(c.parameters())),
      human_count(static_cast<double>(c.linear_parameters())), bits.linear, bits.all);
}

void print_matrices(std::span<const MatrixSummary> matrices) {
  if (matrices.empty()) return;
  fmt::print("\n{:<26}{:>8}{:>8}{:>8}{:>12}\n", "matrix", "-1 %", "0 %", "+1 %", "scale");
  for (const MatrixSummary& m : matrices) {
    fmt::print("{:<26}{:>8.1f}{:>8.1f}{:>8.1f}{:>12.5g}\n", m.name, 100 * m.share(m.counts.minus),
               100 * m.share(m.counts.zero), 100 * m.share(m.counts.plus), m.scale);
  }
}

void print(const Path& path, const FileFacts& file, const ModelFacts& facts, bool tensors) {
  fmt::print("file       {}: {}, {} tensors, {}\n", path.string(), file.kind, file.tensors.size(),
             human_bytes(static_cast<double>(file.bytes)));
  if (facts.model) print_model(facts);
  fmt::print("tokenizer  {}\n", facts.tokenizer);
  fmt::print("template   {}\n", facts.chat_template);
  fmt::print("checksum   {}\n", facts.checksum);
  fmt::print("runs       {}\n", facts.model ? "yes" : fmt::format("no: {}", facts.refusal));
  for (const auto& [key, value] : file.metadata) fmt::print("  {} = {}\n", key, value);
  print_matrices(facts.matrices);
  if (tensors) {
    fmt::print("\n{:<48}{:>8}{:>20}{:>12}\n", "tensor", "type", "shape", "bytes");
    for (const StoredTensorRow& t : file.tensors)
      fmt::print("{:<48}{:>8}{:>20}{:>12}\n", t.name, t.type, to_string(t.shape), t.bytes);
  }
  if (!facts.notes.empty()) fmt::print("\nunusual:\n");
  for (const std::string& note : facts.notes) fmt::print("  {}\n", note);
}

void run(const Options& options) {
  const Path path = resolve_model(options.model);
  const FileFacts file = std::filesystem::is_directory(path) ? hf_facts(path) : gguf_facts(path);
  ModelFacts facts = model_facts(path);
  if (options.check) facts.checksum = check_tensors(path) ? "holds" : "the file has none";
  if (!options.plot.empty()) {
    if (facts.matrices.empty())
      bad_input("--plot: {} has no ternary weights that could be drawn", options.model);
    write_text(options.plot, inspect_page(path.filename().string(), facts.matrices));
  }
  if (options.json) {
    fmt::print("{}\n", to_json(path, file, facts).dump(2));
  } else {
    print(path, file, facts, options.tensors);
  }
}

}  // namespace

void add_inspect_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("inspect", "say what a model file is and what is in it");
  command->footer(kExamples);
  command->add_option("model", options->model, "GGUF file or Hugging Face directory")->required();
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
