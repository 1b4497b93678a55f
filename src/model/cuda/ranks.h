#pragma once
// model/parallel.h on devices: what ranks exchange stays in their devices' memory.
//
// A rank's part of a row of activations is written with its columns filled up to a multiple of 16, the same for
// all ranks, so that parts of many rows are gathered as they lie.

#include <memory>

#include "kernels/cuda/collectives.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/peers.h"
#include "model/parallel.h"

namespace trit::cuda {

class DeviceRanks {
 public:
  // Of the calling thread's device; `ranks`, where there is a job, must outlive it. All ranks of the job make it
  // together.
  explicit DeviceRanks(const Ranks& ranks);
  DeviceRanks(const DeviceRanks&) = delete;

  bool alone() const { return ranks_->tensor_size() * ranks_->stages() == 1; }
  bool divides_rows() const {
    return ranks_->tensor_size() > 1;
  }  // of matrices, among a tensor group
  // Whether exchanges only queue work, so that a pass can be recorded in a graph.
  bool only_queues() const {
    return (!tensor_ || tensor_->only_queues()) && (!job_ || job_->only_queues());
  }
  const Ranks& ranks() const { return *ranks_; }

  // Columns of a part of `columns`, filled up.
  int64_t part_stride(int64_t columns) const;
  // full [T, columns] (rows full_stride apart) = or += everybody's part [T, part_stride(columns)], by way of
  // `all` [tensor_size, T, part_stride(columns)]. Only where divides_rows().
  void gather_columns(StreamHandle stream, const float* part, float* all, int64_t T,
                      int64_t columns, Epilogue epilogue, float* full, int64_t full_stride) const;
  // Rows from the stage before, and to the next.
  void receive_rows(StreamHandle stream, float* rows, int64_t count) const;
  void send_rows(StreamHandle stream, const float* rows, int64_t count) const;

 private:
  void connect() const;
  const Ranks* ranks_ = &trit::alone();
  std::unique_ptr<Peers> peers_;                     // of the tensor group, for few rows
  std::unique_ptr<DeviceCollectives> tensor_, job_;  // of the tensor group, and of the stages
};

}  // namespace trit::cuda
