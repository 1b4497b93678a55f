#include "cli/options.h"

#include <type_traits>

namespace trit {

template <class T>
void FlagVisitor::operator()(const std::string& name, T& field, const std::string& help) {
  if constexpr (std::is_same_v<T, bool>) {
    app_.add_flag("--" + name, field, help);
  } else {
    CLI::Option* option = app_.add_option("--" + name, field, help)->capture_default_str();
    if (CLI::detail::is_mutable_container<T>::value) option->allow_extra_args(false);
  }
}

template void FlagVisitor::operator()(const std::string&, bool&, const std::string&);
template void FlagVisitor::operator()(const std::string&, int&, const std::string&);
template void FlagVisitor::operator()(const std::string&, int64_t&, const std::string&);
template void FlagVisitor::operator()(const std::string&, uint64_t&, const std::string&);
template void FlagVisitor::operator()(const std::string&, double&, const std::string&);
template void FlagVisitor::operator()(const std::string&, std::string&, const std::string&);
template void FlagVisitor::operator()(const std::string&, std::vector<std::string>&,
                                      const std::string&);

}  // namespace trit
