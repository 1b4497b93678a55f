#pragma once
// The state of AdamW beside a checkpoint: trit_state.safetensors.

#include <cstdint>
#include <span>

#include "base/file.h"
#include "base/tensor.h"
#include "train/shares.h"

namespace trit {

// Both moments, laid out as the parameters, and how many steps made them.
void write_training_state(const Path& directory, std::span<const float> first,
                          std::span<const float> second, int64_t steps);
// The same of a model of so many parameters, each moment made when its turn to be written has come.
void write_training_state(const Path& directory, int64_t size, MakeBytes first, MakeBytes second,
                          int64_t steps);
// Fills both and returns the steps. Throws Error when the file does not belong to a model of that size.
int64_t read_training_state(const Path& directory, std::span<float> first, std::span<float> second);
// The same of some stretches of the parameters, one behind the other, of so many.
int64_t read_training_state(const Path& directory, int64_t size, std::span<const Stretch> own,
                            std::span<float> first, std::span<float> second);

}  // namespace trit
