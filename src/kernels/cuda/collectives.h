#pragma once
// base/collectives.h for the memory of devices: what the ranks of a group exchange, in the order of a stream.
//
// Over NCCL calls only queue, and can be recorded in a graph. Where there is none (a build without it, ranks that share
// a device, which NCCL refuses) bytes go through page-locked memory of the host and the group's own Collectives, and
// a call waits for the stream.
//
// Every rank of a group makes the same calls in the same order, each from one stream.

#include <cstdint>
#include <memory>

#include "base/collectives.h"
#include "kernels/cuda/device.h"

namespace trit::cuda {

class DeviceCollectives {
 public:
  virtual ~DeviceCollectives() = default;
  // Whether calls only queue work.
  virtual bool only_queues() const = 0;
  // all [ranks * bytes]: everybody's `mine` [bytes] in order of rank.
  virtual void all_gather(StreamHandle stream, const void* mine, void* all, int64_t bytes) = 0;
  virtual void send(StreamHandle stream, const void* from, int64_t bytes, int to) = 0;
  virtual void receive(StreamHandle stream, void* to, int64_t bytes, int from) = 0;
};

// The ways that there are, each with those before it: kPeers needs memory that devices reach (peers.h), kNccl a device
// for each rank.
enum class Exchange : uint8_t { kHost, kNccl, kPeers };
// The best that all ranks of the job, which call it together, allow: kHost where two share a device, and no more than
// TRIT_EXCHANGE says. Throws Error when that is none of host, nccl and peers.
Exchange agreed_exchange(Collectives& job);

// Of the current device. `group` must outlive it.
std::unique_ptr<DeviceCollectives> nccl_collectives(Collectives& group);
std::unique_ptr<DeviceCollectives> host_collectives(Collectives& group);
bool nccl_built();

}  // namespace trit::cuda
