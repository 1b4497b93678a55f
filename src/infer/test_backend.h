#pragma once
// A backend for tests of the engine: a "model" whose logits are a hash of all tokens that a row can see in its
// pages. A wrong page, a position too few or a torn copy changes every token from there on.

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "infer/backend.h"

namespace trit {

class TestBackend : public Backend {
 public:
  static constexpr int32_t kPoison = 13;  // a row of this token fails
  TestBackend(int64_t pages, int64_t page_positions, int64_t max_rows)
      : page_positions_(page_positions), max_rows_(max_rows) {
    config_.vocabulary = 50;
    config_.context = 200;
    memory_.assign(static_cast<size_t>(pages),
                   std::vector<int32_t>(static_cast<size_t>(page_positions), -7));
  }
  const Config& config() const override { return config_; }
  int64_t pages() const override { return std::ssize(memory_); }
  int64_t page_positions() const override { return page_positions_; }
  int64_t page_bytes() const override { return page_positions_ * 4; }
  int64_t max_rows() const override { return max_rows_; }

  void run(const Batch& rows) override {
    TRIT_CHECK(!rows.tokens.empty() && std::ssize(rows.tokens) <= max_rows_);
    hashes.clear();
    for (size_t n = 0; n < rows.tokens.size(); ++n) {
      if (rows.tokens[n] == kPoison) bad_input("poison");
      const auto table = rows.tables[static_cast<size_t>(rows.slots[n].sequence)];
      place(table, rows.slots[n].position) = rows.tokens[n];
      hashes.push_back(kStart);
      for (int64_t p = 0; p <= rows.slots[n].position; ++p)
        hashes.back() = mixed(hashes.back(), place(table, p));
    }
    most_rows = std::max(most_rows, std::ssize(rows.tokens));
    steps.push_back({rows.tokens.begin(), rows.tokens.end()});
  }
  void logits(std::span<const int64_t> rows, Matrix out) override {
    ++full_heads;
    for (int64_t i = 0; i < out.rows; ++i)
      fill(hashes[static_cast<size_t>(rows[static_cast<size_t>(i)])],
           {out.row(i), static_cast<size_t>(out.columns)});
  }
  void top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) override {
    asked.push_back(k);
    Backend::top(rows, k, out);
    --full_heads;
  }
  void copy_page(PageId from, PageId to) override {
    ++copies;
    memory_[static_cast<size_t>(to)] = memory_[static_cast<size_t>(from)];
  }

  // What the model says behind `tokens`, without pages.
  std::vector<float> expected_logits(std::span<const int32_t> tokens) const {
    uint64_t hash = kStart;
    for (const int32_t token : tokens) hash = mixed(hash, token);
    std::vector<float> out(static_cast<size_t>(config_.vocabulary));
    fill(hash, out);
    return out;
  }

  int64_t most_rows = 0, copies = 0, full_heads = 0;
  std::vector<int64_t> asked;               // k of each call of top()
  std::vector<std::vector<int32_t>> steps;  // the tokens of each

 private:
  static constexpr uint64_t kStart = 1469598103934665603u;
  static uint64_t mixed(uint64_t hash, int32_t token) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 29);
  }
  static void fill(uint64_t hash, std::span<float> out) {
    for (size_t v = 0; v < out.size(); ++v)
      out[v] = static_cast<float>(mixed(hash, static_cast<int32_t>(v)) >> 40) / 4e6f;
    out[kPoison] = -100;  // comes from prompts alone
  }
  int32_t& place(std::span<const PageId> table, int64_t position) {
    return memory_[static_cast<size_t>(table[static_cast<size_t>(position / page_positions_)])]
                  [static_cast<size_t>(position % page_positions_)];
  }
  Config config_;
  int64_t page_positions_, max_rows_;
  std::vector<std::vector<int32_t>> memory_;
  std::vector<uint64_t> hashes;
};

}  // namespace trit
