#include "cli/config_file.h"

#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace trit {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

// Not among the file's: what it would start anew.
bool belongs_to_the_command_line(const CLI::ConfigItem& item) {
  return item.name == "config" || item.name == "resume" || item.name == "help";
}

}  // namespace

void read_config(CLI::App& command, const std::string& file) {
  std::istringstream text(read_text(file, kMaxBytes));
  CLI::ConfigTOML format;
  std::vector<CLI::ConfigItem> items;
  try {
    items = format.from_config(text);
  } catch (const CLI::Error& error) {
    bad_input("{}: {}", file, printable(error.what()));
  }
  for (const CLI::ConfigItem& item : items) {
    if (item.name == "++" || item.name == "--") continue;  // where a section begins and ends
    CLI::Option* option =
        item.parents.empty() ? command.get_option_no_throw("--" + item.name) : nullptr;
    if (option == nullptr || belongs_to_the_command_line(item))
      bad_input("{}: '{}' is no option that a file can give (see trit {} --help)", file,
                printable(item.fullname()), command.get_name());
    if (option->count() > 0) continue;
    try {
      if (option->get_expected_min() == 0)
        option->add_result(format.to_flag(item));
      else
        option->add_result(item.inputs);
      option->run_callback();
    } catch (const CLI::Error& error) {
      bad_input("{}: {}: {}", file, item.name, printable(error.what()));
    }
  }
}

}  // namespace trit
