#include "model/cuda/ranks.h"

#include "base/error.h"
#include "quant/mma_tiles.h"

namespace trit::cuda {

DeviceRanks::DeviceRanks(const Ranks& ranks) {
  if (ranks.job() == nullptr) return;
  ranks_ = &ranks;
  const Exchange way = agreed_exchange(*ranks.job());
  const auto make = way == Exchange::kHost || !nccl_built() ? host_collectives : nccl_collectives;
  if (divides_rows() && way == Exchange::kPeers) peers_ = Peers::connect(*ranks.tensor());
  if (divides_rows()) tensor_ = make(*ranks.tensor());
  if (ranks.stages() > 1) job_ = make(*ranks.job());
  connect();
}

// NCCL connects two devices when they first meet, which a recording is no place for.
void DeviceRanks::connect() const {
  const Stream stream;
  const DeviceMemory memory(16 * (ranks_->tensor_size() + 1));
  auto* words = memory.as<float>();
  fill(words, 0, memory.bytes(), stream.handle());
  if (tensor_) tensor_->all_gather(stream.handle(), words, words + 4, 16);
  if (job_ && !ranks_->first_stage()) receive_rows(stream.handle(), words, 1);
  if (job_ && !ranks_->last_stage()) send_rows(stream.handle(), words, 1);
  stream.wait();
}

int64_t DeviceRanks::part_stride(int64_t columns) const {
  const int64_t size = ranks_->tensor_size();
  return mma_tiles((columns + size - 1) / size) * kMmaRows;
}

void DeviceRanks::gather_columns(StreamHandle stream, const float* part, float* all, int64_t T,
                                 int64_t columns, Epilogue epilogue, float* full,
                                 int64_t full_stride) const {
  const int64_t stride = part_stride(columns), size = ranks_->tensor_size(), bytes = 4 * T * stride;
  if (peers_ && T * stride <= kPeerFloats) {
    exchange_columns(stream, peers_->inboxes(), part, stride, T, columns, epilogue, full,
                     full_stride);
    return;
  }
  // One row of even parts arrives as it should stand.
  if (T == 1 && stride * size == columns && epilogue == Epilogue::kStore) {
    tensor_->all_gather(stream, part, full, bytes);
    return;
  }
  tensor_->all_gather(stream, part, all, bytes);
  place_columns(stream, all, stride, size, T, columns, epilogue, full, full_stride);
}

void DeviceRanks::receive_rows(StreamHandle stream, float* rows, int64_t count) const {
  job_->receive(stream, rows, 4 * count, ranks_->job()->rank() - ranks_->tensor_size());
}

void DeviceRanks::send_rows(StreamHandle stream, const float* rows, int64_t count) const {
  job_->send(stream, rows, 4 * count, ranks_->job()->rank() + ranks_->tensor_size());
}

}  // namespace trit::cuda
