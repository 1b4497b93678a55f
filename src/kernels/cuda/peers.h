#pragma once
// The quick way for few rows: devices of one host that reach each other's memory (NVLink, PCIe) write their columns into
// it with one kernel, which also puts what arrives in its place. NCCL takes a kernel for that alone and
// longer for each.
//
// Each device has an inbox: two halves that are used in turn, in each room for a part from every rank. A value travels as
// eight bytes with the number of the exchange beside it, which tells the reader that it has come, so nothing else is
// waited for. A half is free again when its turn comes: this rank is past the exchange in between, so it has had the
// others' parts of it, which they send when they have read the half before.

#include <memory>
#include <vector>

#include "base/collectives.h"
#include "kernels/cuda/kernels.h"

namespace trit::cuda {

inline constexpr int kMostPeers = 8;
inline constexpr int64_t kPeerFloats = int64_t{1} << 18;  // of a part, at most

// What the kernel knows: of every rank its inbox, [2][ranks][kPeerFloats] pairs of a value and a number, zero at first.
struct PeerInboxes {
  std::byte* of[kMostPeers] = {};
  int ranks = 0, rank = 0;
  uint32_t* counters = nullptr;  // [2] exchanges so far, and blocks that have ended
};
constexpr int64_t inbox_bytes(int ranks) { return 2 * ranks * kPeerFloats * 8; }

// Queues an exchange: part [T, part_stride] with T * part_stride <= kPeerFloats, part_stride a multiple of 4 that all
// ranks give; full as place_columns() leaves it. (peers.cu)
void exchange_columns(StreamHandle stream, const PeerInboxes& inboxes, const float* part,
                      int64_t part_stride, int64_t T, int64_t columns, Epilogue epilogue,
                      float* full, int64_t full_stride);

class Peers {
 public:
  // Null on all ranks when one of them does not reach another's device (it is on another host, hidden, or too many are
  // there). All ranks call it together, each with a device of its own.
  static std::unique_ptr<Peers> connect(Collectives& group);
  ~Peers();
  Peers(const Peers&) = delete;
  const PeerInboxes& inboxes() const { return inboxes_; }

 private:
  explicit Peers(Collectives& group);
  bool open(Collectives& group);
  DeviceMemory memory_;
  PeerInboxes inboxes_;
  std::vector<void*> opened_;  // of other processes
};

}  // namespace trit::cuda
