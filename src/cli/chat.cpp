// trit chat: a conversation in the terminal.

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/generate_options.h"
#include "cli/interrupt.h"
#include "hub/resolve.h"
#include "infer/conversation.h"
#include "text/chat_template_file.h"

namespace trit {
namespace {

constexpr const char* kExamples = R"(
Examples:
  trit chat model.gguf
  trit chat model.gguf --system "Answer in one sentence." --temperature 0
  trit chat model.gguf --prompt "Why is the sky blue?"
  printf 'Hello\nAnd again\n' | trit chat model.gguf
  trit chat run/checkpoint --template chatml.jinja

In the terminal, /help names the commands; Ctrl-C stops the answer, Ctrl-D ends the program.
)";

constexpr const char* kCommands =
    "/help           this list\n"
    "/system TEXT    what the model is told before all else; without TEXT: nothing\n"
    "/regenerate     another answer in place of the last one\n"
    "/undo           take back the last thing you said and its answer\n"
    "/reset          forget the conversation, but for the system message\n"
    "/save FILE      write the conversation as JSON\n"
    "/load FILE      go on with one that was saved\n"
    "/stats          tokens and speeds of the last answer\n"
    "/quit           end (as Ctrl-D does)\n"
    "Ctrl-C stops an answer. A line that begins with // is sent with one slash less.\n";

struct Options {
  std::string model;
  GenerateOptions generate;
  std::string system, prompt, template_file, variables;
  EngineFlags engine;
  bool quiet = false;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("system", system, "what the model is told before all else");
    v("prompt", prompt, "say this, print the answer and end");
    v("template", template_file, "file with the chat template; default: the model's own");
    v("template-variables", variables, "more variables for it, as a JSON object");
    visit_options(generate, v);
    visit_options(engine, "tokens of the conversation, at most; 0: as many as the model has", v);
    v("quiet", quiet, "print the answers alone");
  }
};

class Chat {
 public:
  Chat(Conversation& conversation, const GenerateOptions& generate, bool interactive)
      : conversation_(conversation), generate_(generate), interactive_(interactive) {}
  // Handles one line; false: end.
  bool handle(const std::string& line);
  void say(const std::string& text);

 private:
  bool command(const std::string& name, const std::string& rest);
  template <class Ask>
  void answer(const Ask& ask);
  void tell(const std::string& text) const {
    if (interactive_) fmt::print(stderr, "{}\n", text);
  }
  void stats() const;

  Conversation& conversation_;
  const GenerateOptions& generate_;
  bool interactive_;
  Answer last_;
};

template <class Ask>
void Chat::answer(const Ask& ask) {
  forget_interrupt();
  last_ = ask([&](std::string_view piece) {
    fmt::print("{}", piece);
    std::fflush(stdout);
    return !interrupted();
  });
  fmt::print("\n");
  std::fflush(stdout);
  if (last_.report.reason == StopReason::kContextFull)
    tell("(the context is full; /undo or /reset makes room)");
  if (last_.report.reason == StopReason::kLength)
    tell(fmt::format("(stopped after {} tokens; -n allows more)", generate_.max_tokens));
  forget_interrupt();
}

void Chat::say(const std::string& text) {
  answer([&](const auto& show) { return conversation_.say(text, generate_, show); });
}

void Chat::stats() const {
  const GenerateReport& report = last_.report;
  const auto number = [](std::optional<double> speed) {
    return speed ? fmt::format("{:.1f}", *speed) : "-";
  };
  fmt::print(stderr,
             "prompt     {:>6} tokens  {:>8} tok/s, {} more were in the cache\n"
             "answer     {:>6} tokens  {:>8} tok/s, stopped by {}\n"
             "context    {:>6} of {} positions\n",
             report.prompt_tokens, number(report.prompt_speed()), report.reused_tokens,
             report.generated_tokens, number(report.generate_speed()), to_string(report.reason),
             conversation_.position(), conversation_.context());
}

bool Chat::handle(const std::string& line) {
  if (line.empty()) return true;
  if (line[0] != '/') {
    say(line);
  } else if (line.starts_with("//")) {
    say(line.substr(1));
  } else {
    const size_t end = std::min(line.find(' '), line.size());
    const size_t begin = std::min(line.find_first_not_of(' ', end), line.size());
    return command(line.substr(0, end), line.substr(begin));
  }
  return true;
}

bool Chat::command(const std::string& name, const std::string& rest) {
  if (name == "/quit" || name == "/exit") return false;
  if (name == "/help") {
    fmt::print(stderr, "{}", kCommands);
  } else if (name == "/system") {
    conversation_.set_system(rest);
  } else if (name == "/regenerate") {
    if (!conversation_.can_regenerate()) bad_input("/regenerate: nothing was said yet");
    answer([&](const auto& show) { return conversation_.regenerate(generate_, show); });
  } else if (name == "/undo") {
    if (!conversation_.undo()) bad_input("/undo: nothing was said yet");
    tell(fmt::format("({} messages are left)", conversation_.messages().size()));
  } else if (name == "/reset") {
    conversation_.reset();
    tell("(forgotten)");
  } else if (name == "/save") {
    if (rest.empty()) bad_input("/save: the name of the file is missing");
    write_text(rest, conversation_.save().dump(2) + "\n");
    tell(fmt::format("({} messages in {})", conversation_.messages().size(), rest));
  } else if (name == "/load") {
    if (rest.empty()) bad_input("/load: the name of the file is missing");
    conversation_.load(parse_json(read_text(rest), rest), rest);
    tell(fmt::format("({} messages from {})", conversation_.messages().size(), rest));
  } else if (name == "/stats") {
    stats();
  } else {
    bad_input("'{}' is no command; /help names them, and // sends a line that begins with a slash",
              printable(name));
  }
  return true;
}

enum class Read { kLine, kInterrupted, kEnd };

Read read_line(std::string& line) {
  char* buffer = nullptr;
  size_t capacity = 0;
  errno = 0;
  const ssize_t size = getline(&buffer, &capacity, stdin);
  const bool stopped = size < 0 && errno == EINTR;
  line.assign(size > 0 ? buffer : "", size > 0 ? static_cast<size_t>(size) : 0);
  std::free(buffer);
  if (stopped) std::clearerr(stdin);
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return stopped ? Read::kInterrupted : size < 0 ? Read::kEnd : Read::kLine;
}

// In the terminal what goes wrong is told and the conversation goes on; from a file it ends the program.
void converse(Chat& chat, bool interactive) {
  std::string line;
  while (true) {
    if (interactive) {
      fmt::print(stderr, "> ");
      std::fflush(stderr);
      catch_every_interrupt(true);
    }
    const Read read = read_line(line);
    if (interactive) catch_every_interrupt(false);
    if (read == Read::kEnd) break;
    if (read == Read::kInterrupted) {
      fmt::print(stderr, "\n");
      forget_interrupt();
      continue;
    }
    try {
      if (!chat.handle(line)) return;
    } catch (const Error& error) {
      if (!interactive) throw;
      fmt::print(stderr, "{}\n", error.what());
    }
  }
  if (interactive) fmt::print(stderr, "\n");
}

ChatTemplate template_for(const Options& options, const Path& path) {
  if (!options.template_file.empty()) return read_chat_template(options.template_file);
  const auto found = find_chat_template(path);
  if (!found) {
    bad_input(
        "{}: it has no chat template; give one with --template FILE, or let trit run go on "
        "from a text",
        options.model);
  }
  if (!found->note.empty()) fmt::print(stderr, "note: {}\n", found->note);
  return found->chat_template;
}

OrderedJson variables_of(const Options& options) {
  if (options.variables.empty()) return nullptr;
  const Json json = parse_json(options.variables, "--template-variables");
  if (!json.is_object())
    bad_input("--template-variables: '{}' is no JSON object", printable(options.variables));
  return OrderedJson::parse(options.variables);
}

void run(const Options& options) {
  validate(options.generate);
  validate(options.engine);
  const OrderedJson variables = variables_of(options);
  const Path path = resolve_model(options.model);
  const ChatTemplate chat_template = template_for(options, path);
  const Ranks ranks = ranks_of(options.engine);
  Place place(options.engine.device, ranks);
  TokenizerBeside tokenizer(path);
  const Model model = place.open(path);
  if (!leads(ranks)) return follow_rank_0(model.weights(), options.engine, ranks, place);
  const int64_t most = model.config().context, wanted = options.engine.context;
  LocalEngine local(model.weights(), options.engine, ranks, place,
                    wanted > 0 ? std::min(wanted, most) : most);
  Conversation conversation(local.engine(), tokenizer.of(model), chat_template, variables);
  conversation.set_system(options.system);
  const bool interactive = isatty(STDIN_FILENO) != 0 && options.prompt.empty();
  Chat chat(conversation, options.generate, interactive && !options.quiet);
  if (!options.prompt.empty()) {
    catch_interrupts();
    return chat.say(options.prompt);
  }
  if (interactive && !options.quiet) {
    fmt::print(stderr, "{}: {} parameters, a context of {} tokens. /help names the commands.\n",
               options.model, human_count(static_cast<double>(model.config().parameters())),
               conversation.context());
  }
  converse(chat, interactive);
}

}  // namespace

void add_chat_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("chat", "talk with a model");
  command->footer(kExamples);
  command->add_option("model", options->model, "GGUF file or Hugging Face directory")->required();
  add_max_tokens(*command, options->generate);
  options->visit(FlagVisitor(*command));
  command->callback([options] { run(*options); });
}

}  // namespace trit
