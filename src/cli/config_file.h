#pragma once
// Options of a command from a file: `name = value` lines as TOML or INI write them, for --name value.

#include <CLI/CLI.hpp>

#include <string>

namespace trit {

// Gives the command's options the values of the file; those that the command line gave stay. To be called when the command
// line was parsed. Throws Error naming the file and the option that does not exist or whose value is wrong.
void read_config(CLI::App& command, const std::string& file);

}  // namespace trit
