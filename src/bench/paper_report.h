#pragma once
// What a run of `trit bench paper` found, as a list of figures that several runs can add to, and its JSON.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace trit::bench {

// What a figure is of.
enum class PaperMeasure : uint8_t {
  kTokenTime,  // of one sequence, `tokens` in the cache when it begins
  kMemory,     // all that the model takes where it runs while that is measured
  kProcessMemory,  // at most, of a process that opens the model's file on the CPU and generates `tokens`
  kWeightMemory,  // of it
  kCacheMemory,
  kWorkMemory,
  kPrompt,           // speed of a prompt of `tokens`, `rows` a pass
  kBatch,            // speed of `rows` sequences together, all at the end of `tokens`
  kLargestBatch,     // sequences of `tokens` that memory has room for, found by trying
  kLargestByBytes,   // the same: free memory over the bytes of a sequence's cache
  kEnergy,           // of a token, of one sequence, as the meter counts it
  kEnergyAboveIdle,  // the same less what the machine takes at rest
  kPower,            // while that was measured
  kIdlePower,        // at rest, before
  kProduct,          // time of a product alone, `size` "outputs x inputs", of `tokens` rows
  kReadRate,         // of memory, by a kernel that only reads
};
std::string_view to_string(PaperMeasure measure);  // "token_time", ...
std::string_view unit(PaperMeasure measure);       // "ms", "B", "tokens/s", ...

struct PaperFigure {
  std::string size;     // "3B"
  std::string weights;  // "ternary", "float16", "read": a kernel that only reads as many bytes
  PaperMeasure measure = PaperMeasure::kTokenTime;
  int64_t tokens = 0, rows = 1;
  std::string cache;  // its type; empty where there is none
  double value = 0, spread = 0;
  bool same_as(const PaperFigure& other) const;  // but for the value
};

// Why there is no figure.
struct PaperGap {
  std::string size, weights, what, why;
};

struct PaperReport {
  std::string device;                 // "NVIDIA H200"
  std::string host, date, made_from;  // the processor; when it was last added to; commit or version
  std::vector<PaperFigure> figures;
  std::vector<PaperGap> gaps;

  // Null when there is none. The overload takes any cache.
  const PaperFigure* find(const PaperFigure& wanted) const;
  std::vector<std::string> sizes() const;  // of models, in order of their first figures
  // Adds another run's. Its figures take the place of the same ones; gaps of sizes and weights that it has are forgotten. Throws
  // Error when it ran on another device.
  void add(const PaperReport& other);
};

OrderedJson to_json(const PaperReport& report);
std::vector<OrderedJson> rows_of(const PaperReport& report);
// Throws Error naming `where` and the field.
PaperReport paper_report_from(const Json& json, std::string_view where);

}  // namespace trit::bench
