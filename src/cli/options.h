#pragma once
// Options are structs, one per command: a default and a comment on each field, and one visit() that
// names them all; here it makes the command-line flags.

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace trit {

// visit(name, field, help) -> --name. Fields are of the types below; a list takes one value per flag, so that
// it does not swallow what stands behind it.
class FlagVisitor {
 public:
  explicit FlagVisitor(CLI::App& app) : app_(app) {}
  template <class T>
  void operator()(const std::string& name, T& field, const std::string& help);

 private:
  CLI::App& app_;
};

// Defined in options.cpp: what they expand to is most of the time that a command's file takes to compile.
#define TRIT_FLAG(type) \
  extern template void FlagVisitor::operator()(const std::string&, type&, const std::string&)
TRIT_FLAG(bool);
TRIT_FLAG(int);
TRIT_FLAG(int64_t);
TRIT_FLAG(uint64_t);
TRIT_FLAG(double);
TRIT_FLAG(std::string);
TRIT_FLAG(std::vector<std::string>);
#undef TRIT_FLAG

}  // namespace trit
