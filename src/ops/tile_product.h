#pragma once
// Products of layers that are in tiles (quant/tiles.h), in pieces of rows that the threads take in turn. Sums become
// floats while they are in a cache: float(sum) * (step * scale), as ops/linear.h has it.

#include <span>

#include "ops/glu.h"
#include "ops/linear.h"

namespace trit {

// y = input W^T for each, in one loop over all their rows.
void tiles_forward(std::span<const LinearOutput> outputs, const LinearInput& input,
                   Workspace& workspace);

// Whether gated_tiles_forward takes these two: of one shape and form, over the same input.
bool multiply_gated(const Linear& gate, const Linear& up);

// y = act(input gate^T) * (input up^T), the bits of tiles_forward and glu_forward: gate's and up's rows go through the
// activation while they are in a cache, and y alone is written.
void gated_tiles_forward(Activation activation, const Linear& gate, const Linear& up,
                         const LinearInput& input, Matrix y, Workspace& workspace);

// Tells waiting threads (read_ahead) that a product of one token with these layers, up to three, or with a head comes
// behind the loop that is next. Layers not in tiles are left out.
void announce_product(std::span<const Linear* const> layers);

}  // namespace trit
