#pragma once
// A model divided among the ranks of a job (model/parallel.h), as one backend. Rank 0 has the engine and calls; the
// others follow.
//
//   if (ranks.job()->rank() != 0) return follow(ranks, backend);   // until rank 0 is done
//   RankBackend all(ranks, backend);
//   Engine engine(all);

#include "infer/backend.h"
#include "model/parallel.h"

namespace trit {

class RankBackend : public Backend {
 public:
  // On rank 0. `own` runs this rank's part; both must outlive it. Its end lets the others go.
  RankBackend(const Ranks& ranks, Backend& own);
  ~RankBackend() override;
  RankBackend(const RankBackend&) = delete;

  const Config& config() const override { return own_.config(); }
  int64_t pages() const override { return pages_; }  // of the rank that has fewest
  int64_t page_positions() const override { return own_.page_positions(); }
  int64_t page_bytes() const override { return own_.page_bytes(); }
  int64_t max_rows() const override { return own_.max_rows(); }
  // Throws the Error of the lowest rank that failed; all ranks can go on.
  void run(const Batch& batch) override;
  void logits(std::span<const int64_t> rows, Matrix out) override;
  void top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) override;
  void copy_page(PageId from, PageId to) override;
  BackendMemory memory() const override { return own_.memory(); }  // of this rank

 private:
  const Ranks& ranks_;
  Backend& own_;
  int64_t pages_;
};

// On the other ranks: does what rank 0 calls for until its RankBackend ends.
void follow(const Ranks& ranks, Backend& own);

}  // namespace trit
