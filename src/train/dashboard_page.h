#pragma once

#include <string_view>

namespace trit {

// dashboard.html; the build makes it a string.
std::string_view dashboard_page();

}  // namespace trit
