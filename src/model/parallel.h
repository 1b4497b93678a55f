#pragma once
// One model over several ranks, for more speed or because one machine has no room for it.
//
// Tensor parallelism: every rank of a tensor group has some rows of every matrix: the heads of attention, the columns of
// the feed-forward part and the outputs of o_proj, down_proj and the head are divided among them. What a
// row of activations is made of is gathered before it is normed and quantised, so every rank sees whole rows and
// each number is computed by one rank exactly as one rank alone would: the results are the same bit for bit.
// (Cutting o_proj and down_proj by columns instead would exchange as much: their inputs are normed and quantised
// by whole rows, which must be gathered anyway.)
//
// Pipeline parallelism: the layers are divided among stages; a stage hands its rows of the residual stream on.
//
// Rank r of a job of T x P ranks is rank r % T of the tensor group of stage r / T.

#include <cstdint>
#include <memory>

#include "base/collectives.h"
#include "model/model.h"

namespace trit {

// What the ranks of a group have of `total` things: [begin, end).
struct Share {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};
Share share_of(int64_t total, int rank, int size);

// A rank's place in the job.
class Ranks {
 public:
  // Alone.
  Ranks() = default;
  // Of `job`, which must outlive it, cut into `stages` stages. Throws Error when the sizes do not divide.
  Ranks(Collectives& job, int stages);

  int tensor_rank() const { return tensor_ ? tensor_->rank() : 0; }
  int tensor_size() const { return tensor_ ? tensor_->size() : 1; }
  int stage() const { return stage_; }
  int stages() const { return stages_; }
  bool first_stage() const { return stage_ == 0; }
  bool last_stage() const { return stage_ + 1 == stages_; }
  Collectives* job() const { return job_; }  // null when alone
  Collectives* tensor() const { return tensor_.get(); }

  // Layers of this stage.
  Share layers(int64_t all) const { return share_of(all, stage_, stages_); }

  // full [N, C] from everybody's part [N, their share of C], in order of rank. When alone they are the same memory.
  void gather_columns(ConstMatrix part, Matrix full, Workspace& workspace) const;
  // Rows of the residual stream from one stage to the next. receive_rows throws Error when the stage before failed.
  void send_rows(ConstMatrix rows) const;
  void receive_rows(Matrix rows) const;
  // Tells the next stage that there will be no rows this time.
  void send_failure() const;

 private:
  Collectives* job_ = nullptr;
  std::unique_ptr<Collectives> tensor_;
  int stage_ = 0, stages_ = 1;
};

const Ranks& alone();
// This process's place in the job that mpirun started; alone without it.
Ranks ranks_of_job(int stages);
// Rank 0 has the engine, reads the prompt and prints; the others follow.
inline bool leads(const Ranks& ranks) { return ranks.job() == nullptr || ranks.job()->rank() == 0; }

// Sizes of what a rank computes: heads, kv_heads and ffn of its part. Throws Error that names the field which
// does not divide.
Config part_of(const Config& config, const Ranks& ranks);
// Views of a rank's rows of every matrix; layers of other stages are left as they are. weights.config stays the whole
// model's. For levels in the canonical packing (not in tiles).
Weights part_of(const Weights& weights, const Ranks& ranks);

}  // namespace trit
