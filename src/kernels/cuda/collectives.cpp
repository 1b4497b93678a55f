#include "kernels/cuda/collectives.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace trit::cuda {
namespace {

class HostCollectives : public DeviceCollectives {
 public:
  explicit HostCollectives(Collectives& group) : group_(group) {}
  bool only_queues() const override { return false; }

  void all_gather(StreamHandle stream, const void* mine, void* all, int64_t bytes) override {
    reserve(stream, bytes * (group_.size() + 1));
    copy_to_host(memory_.data(), mine, bytes, stream);
    wait(stream);
    std::byte* gathered = memory_.data() + bytes;
    const int64_t total = bytes * group_.size();
    group_.all_gather(here(memory_.data(), bytes), here(gathered, total));
    copy_to_device(all, gathered, total, stream);
  }
  void send(StreamHandle stream, const void* from, int64_t bytes, int to) override {
    reserve(stream, bytes);
    copy_to_host(memory_.data(), from, bytes, stream);
    wait(stream);
    group_.send(here(memory_.data(), bytes), to);
  }
  void receive(StreamHandle stream, void* to, int64_t bytes, int from) override {
    reserve(stream, bytes);
    wait(stream);  // it may still copy what came before
    group_.receive(here(memory_.data(), bytes), from);
    copy_to_device(to, memory_.data(), bytes, stream);
  }

 private:
  static std::span<std::byte> here(std::byte* at, int64_t bytes) {
    return {at, static_cast<size_t>(bytes)};
  }
  void reserve(StreamHandle stream, int64_t bytes) {
    if (bytes <= room_) return;
    wait(stream);
    room_ = 0;
    memory_ = PinnedMemory(bytes);
    room_ = bytes;
  }
  Collectives& group_;
  PinnedMemory memory_;
  int64_t room_ = 0;
};

Exchange allowed_exchange() {
  const char* wish = std::getenv("TRIT_EXCHANGE");
  const std::string_view way = wish == nullptr ? "peers" : wish;
  if (way == "peers") return Exchange::kPeers;
  if (way == "nccl") return Exchange::kNccl;
  if (way == "host") return Exchange::kHost;
  bad_input("TRIT_EXCHANGE: '{}' is none; there are peers, nccl and host", printable(way));
}

}  // namespace

std::unique_ptr<DeviceCollectives> host_collectives(Collectives& group) {
  return std::make_unique<HostCollectives>(group);
}

Exchange agreed_exchange(Collectives& job) {
  struct Mine {
    std::array<char, 256> host{};
    std::array<char, 32> device{};
    Exchange allowed = allowed_exchange();
  } mine;
  host_name().copy(mine.host.data(), mine.host.size() - 1);
  device_address().copy(mine.device.data(), mine.device.size() - 1);
  std::vector<Mine> all(static_cast<size_t>(job.size()));
  job.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  Exchange best = mine.allowed;
  std::set<std::pair<std::array<char, 256>, std::array<char, 32>>> devices;
  for (const Mine& one : all) {
    best = std::min(best, one.allowed);
    if (!devices.emplace(one.host, one.device).second) return Exchange::kHost;
  }
  return best;
}

}  // namespace trit::cuda
