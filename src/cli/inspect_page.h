#pragma once

#include <span>
#include <string>

#include "model/summary.h"

namespace trit {

// One HTML page, complete in itself: for every layer and projection the shares of -1, 0 and +1, and the
// scales over the layers.
std::string inspect_page(const std::string& title, std::span<const MatrixSummary> matrices);

}  // namespace trit
