#pragma once
// Which form of tiles a matrix gets when a model is opened to be run: measured, not believed. The form of 1.6 bits
// moves fewer bytes and costs more instructions, so which one is faster for one token depends on the machine,
// the number of threads and the length of a row.

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/file.h"
#include "quant/tiles.h"

namespace trit {

// Seconds that the product with one token took, from memory, for the same matrix in either form.
struct TileTimes {
  double two_bit = 0, base3 = 0;
};
// With today's kernels and threads, rows of `inputs` inputs; the medians of a few runs over some twenty megabytes
// that were driven out of the caches before. About 40 ms.
TileTimes measure_tile_forms(int64_t inputs);

// Choices that are measured once for a machine and kept in a file. A file that cannot be read, or is of another
// machine, is measured anew; one that cannot be written is done without.
class TileChoices {
 public:
  using Measure = std::function<TileTimes(int64_t inputs)>;
  TileChoices(Path file, std::string machine, Measure measure = measure_tile_forms);
  // kBase3 unless it took longer.
  TileForm choose(int64_t inputs);

 private:
  void save() const;
  Path file_;
  std::string machine_;
  Measure measure_;
  std::map<int64_t, TileTimes> times_;
};

// The choice for a matrix of a model whose packed levels take `model_bytes` in all, for this machine, its kernels
// and number of threads. TRIT_TILES=2-bit or base-3 decides for all matrices; else a model that stays in the caches
// (below 16 MB) gets two bits, which cost fewer instructions, and others what TileChoices says, in tiles.json of
// trit's cache folder ($XDG_CACHE_HOME/trit or ~/.cache/trit).
TileForm choose_tile_form(int64_t inputs, int64_t model_bytes);

}  // namespace trit
