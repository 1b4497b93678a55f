#pragma once
// A known-answer test of the chosen kernels on the weights that were just loaded.

#include "kernels/kernels.h"
#include "model/model.h"

namespace trit {

// Multiplies a few rows of the first, a middle and the last layer's matrices, and of the head, with fixed
// activations, by `chosen` and by the scalar kernels, which are the specification. Throws Error (a failure
// of the machine, exit code 1) naming the kernel's instruction set and the matrix when a bit differs.
// Of a model in tiles each projection is tried in one of the three. Takes a few milliseconds.
void check_kernels(const Weights& weights, const kernels::Table& chosen, kernels::Isa isa);

}  // namespace trit
