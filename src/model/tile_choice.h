#pragma once
// Which form of tiles a matrix gets when a model is opened to be run.

#include <cstdint>

#include "quant/tiles.h"

namespace trit {

// TRIT_TILES=2-bit or base-3 decides for all; otherwise what measured faster on this machine.
TileForm choose_tile_form(int64_t outputs, int64_t inputs);

}  // namespace trit
