#pragma once
// Options are structs, one per command: a default and a comment on each field, and one visit() that
// names them all; here it makes the command-line flags.

#include <CLI/CLI.hpp>

#include <string>
#include <type_traits>

namespace trit {

// visit(name, field, help) -> --name.
class FlagVisitor {
 public:
  explicit FlagVisitor(CLI::App& app) : app_(app) {}
  template <class T>
  void operator()(const std::string& name, T& field, const std::string& help) {
    if constexpr (std::is_same_v<T, bool>) {
      app_.add_flag("--" + name, field, help);
    } else {
      CLI::Option* option = app_.add_option("--" + name, field, help)->capture_default_str();
      // A list takes one value per flag, so that it does not swallow what stands behind it.
      if (CLI::detail::is_mutable_container<T>::value) option->allow_extra_args(false);
    }
  }

 private:
  CLI::App& app_;
};

}  // namespace trit
