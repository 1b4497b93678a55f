#pragma once
// Texts that a backend runs from their beginning to their end, for whoever wants something of every token.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "infer/backend.h"

namespace trit {

// What the backend must have room for: the options of Place::backend().
struct WindowRoom {
  int64_t positions = 0, max_rows = 0;
};
WindowRoom room_for_windows(int64_t tokens, int64_t window);

// Runs `tokens`, cut into windows of `window` that know nothing of each other, on a backend with such room, many rows a
// pass. Behind each pass after_pass(first, rows) is called: the pass's rows 0, 1, ... are tokens[first], tokens[first +
// 1], ...; `rows` are their numbers.
void run_windows(
    Backend& backend, std::span<const int32_t> tokens, int64_t window,
    const std::function<void(int64_t first, std::span<const int64_t> rows)>& after_pass);

}  // namespace trit
