// trit completion and trit man: made from the program's own options, so that they are never out of date.

#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "cli/commands.h"

namespace trit {
namespace {

// Long and short names of a command's options, and its subcommands: what may follow it.
std::string words_after(const CLI::App& command) {
  std::string words;
  for (const CLI::App* sub : command.get_subcommands({})) words += sub->get_name() + " ";
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
    for (const std::string& name : option->get_snames()) words += "-" + name + " ";
  }
  if (!words.empty()) words.pop_back();
  return words;
}

// Calls visit(path, command) for the program ("trit") and each command below it ("trit data build").
template <class Visit>
void for_each_command(const CLI::App& command, const std::string& path, const Visit& visit) {
  visit(path, command);
  for (const CLI::App* sub : command.get_subcommands({}))
    for_each_command(*sub, path + " " + sub->get_name(), visit);
}

std::string bash_completion(const CLI::App& program) {
  std::string cases, names;
  for_each_command(program, "trit", [&](const std::string& path, const CLI::App& command) {
    cases += fmt::format("    '{}') words='{}' ;;\n", path, words_after(command));
    if (path != "trit") names += (names.empty() ? "" : "|") + command.get_name();
  });
  return R"(# bash completion for trit: source <(trit completion bash)
_trit() {
  local path='trit' word words='' current="${COMP_WORDS[COMP_CWORD]}"
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in )" +
         names + R"() path="$path $word" ;; esac
  done
  case "$path" in
)" + cases +
         R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "${#COMPREPLY[@]}" -eq 0 ] || [ "${current#-}" = "$current" ]; then
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _trit trit
)";
}

std::string zsh_completion(const CLI::App& program) {
  return "#compdef trit\n# zsh completion for trit: source <(trit completion zsh)\nautoload -U "
         "bashcompinit\nbashcompinit\n" +
         bash_completion(program);
}

std::string fish_completion(const CLI::App& program) {
  std::string script = "# fish completion for trit: trit completion fish | source\n";
  for_each_command(program, "", [&](const std::string& path, const CLI::App& command) {
    std::string condition = "__fish_use_subcommand";
    for (size_t begin = 1; begin < path.size();) {
      const size_t end = std::min(path.find(' ', begin), path.size());
      const std::string seen = "__fish_seen_subcommand_from " + path.substr(begin, end - begin);
      condition = begin == 1 ? seen : condition + "; and " + seen;
      begin = end + 1;
    }
    for (const CLI::App* sub : command.get_subcommands({})) {
      script += fmt::format("complete -c trit -n '{}' -a {} -d '{}'\n", condition, sub->get_name(),
                            sub->get_description());
    }
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames())
        script += fmt::format("complete -c trit -n '{}' -l {}\n", condition, name);
    }
  });
  return script;
}

// Text as roff wants it: no line may begin with a dot or a quote, no bare backslash or hyphen.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
      out += c;
    }
  }
  return out;
}

std::string man_page(const CLI::App& program) {
  std::string page = fmt::format(".TH TRIT 1 \"\" \"trit {}\" \"User Commands\"\n", TRIT_VERSION);
  page += ".SH NAME\ntrit \\- train, convert, run and compare 1.58\\-bit language models\n";
  page += ".SH SYNOPSIS\n.B trit\n.I COMMAND\n[\\fIOPTIONS\\fR]\n";
  page += ".SH DESCRIPTION\n" + roff(program.get_description()) + "\n";
  for_each_command(program, "trit", [&](const std::string& path, const CLI::App& command) {
    page += path == "trit"
                ? ".SH OPTIONS\n"
                : fmt::format(".SH {}\n{}.\n", roff(path), roff(command.get_description()));
    for (const CLI::Option* option : command.get_options()) {
      page += fmt::format(".TP\n.B {}\n{}", roff(option->get_name(option->get_positional())),
                          roff(option->get_description()));
      if (!option->get_default_str().empty())
        page += fmt::format(" (default {})", roff(option->get_default_str()));
      page += "\n";
    }
    if (!command.get_footer().empty()) page += ".nf\n" + roff(command.get_footer()) + ".fi\n";
  });
  page +=
      ".SH EXIT STATUS\n0 success; 1 failure; 2 wrong usage or wrong input; 130 stopped by "
      "Ctrl\\-C.\n";
  return page;
}

std::string completion(const CLI::App& program, const std::string& shell) {
  if (shell == "bash") return bash_completion(program);
  if (shell == "zsh") return zsh_completion(program);
  if (shell == "fish") return fish_completion(program);
  bad_input("completion: '{}' is no shell it knows; it must be bash, zsh or fish",
            printable(shell));
}

}  // namespace

void add_completion_command(CLI::App& program) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      program.add_subcommand("completion", "print a completion script: bash, zsh or fish");
  command->footer(
      "\nExamples:\n  source <(trit completion bash)\n  trit completion fish | source\n");
  command->add_option("shell", *shell, "bash, zsh or fish")->required();
  command->callback([&program, shell] { fmt::print("{}", completion(program, *shell)); });
}

void add_man_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("man", "print the manual page");
  command->footer("\nExample:\n  trit man | man -l -\n");
  command->callback([&program] { fmt::print("{}", man_page(program)); });
}

}  // namespace trit
