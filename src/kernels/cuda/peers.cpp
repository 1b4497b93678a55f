#include "kernels/cuda/peers.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/error.h"
#include "kernels/cuda/check.h"

namespace trit::cuda {
namespace {

constexpr int64_t kCounterBytes = 256;

// How others reach a rank's inbox.
struct Door {
  std::array<char, 256> host{};
  std::array<char, 32> device{};
  int64_t process = 0;
  void* inbox = nullptr;  // for those of the same process
  cudaIpcMemHandle_t handle{};
};

template <class T>
std::vector<T> gathered(Collectives& group, const T& mine) {
  std::vector<T> all(static_cast<size_t>(group.size()));
  group.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

bool succeeds(cudaError_t error) {
  if (error != cudaSuccess) cudaGetLastError();  // it is not to come out of a later call
  return error == cudaSuccess;
}

bool reaches(const Door& door, int* device) {
  int here = 0, can = 0;
  return succeeds(cudaGetDevice(&here)) &&
         succeeds(cudaDeviceGetByPCIBusId(device, door.device.data())) &&
         succeeds(cudaDeviceCanAccessPeer(&can, here, *device)) && can != 0;
}

}  // namespace

std::unique_ptr<Peers> Peers::connect(Collectives& group) {
  if (group.size() > kMostPeers) return nullptr;
  std::unique_ptr<Peers> peers(new Peers(group));
  const bool open = peers->open(group);
  const std::vector<char> all = gathered(group, static_cast<char>(open));
  if (std::ranges::find(all, char{0}) != all.end()) return nullptr;
  return peers;
}

Peers::Peers(Collectives& group) : memory_(inbox_bytes(group.size()) + kCounterBytes) {
  inboxes_.ranks = group.size();
  inboxes_.rank = group.rank();
  inboxes_.counters = reinterpret_cast<uint32_t*>(memory_.data() + inbox_bytes(group.size()));
  const Stream stream;
  fill(memory_.data(), 0, memory_.bytes(), stream.handle());
  stream.wait();
}

bool Peers::open(Collectives& group) {
  Door mine;
  host_name().copy(mine.host.data(), mine.host.size() - 1);
  device_address().copy(mine.device.data(), mine.device.size() - 1);
  mine.process = getpid();
  mine.inbox = memory_.data();
  const bool shown = succeeds(cudaIpcGetMemHandle(&mine.handle, memory_.data()));
  const std::vector<Door> doors = gathered(group, mine);
  bool all = shown;
  for (int r = 0; r < group.size(); ++r) {
    const Door& door = doors[static_cast<size_t>(r)];
    void* inbox = door.inbox;
    int device = 0;
    if (r == group.rank()) {
    } else if (door.host != mine.host || !reaches(door, &device)) {
      all = false;
    } else if (door.process == mine.process) {
      const cudaError_t error = cudaDeviceEnablePeerAccess(device, 0);
      all = (succeeds(error) || error == cudaErrorPeerAccessAlreadyEnabled) && all;
    } else if (succeeds(
                   cudaIpcOpenMemHandle(&inbox, door.handle, cudaIpcMemLazyEnablePeerAccess))) {
      opened_.push_back(inbox);
    } else {
      all = false;
    }
    inboxes_.of[r] = static_cast<std::byte*>(inbox);
  }
  return all;
}

Peers::~Peers() {
  for (void* inbox : opened_) cudaIpcCloseMemHandle(inbox);
}

}  // namespace trit::cuda
