#include <nccl.h>

#include <exception>
#include <span>

#include "base/error.h"
#include "kernels/cuda/collectives.h"

namespace trit::cuda {
namespace {

void check(ncclResult_t code, const char* call) {
  if (code != ncclSuccess && code != ncclInProgress)
    failure("NCCL: {}: {} ({})", call, ncclGetErrorString(code), ncclGetLastError(nullptr));
}

class NcclCollectives : public DeviceCollectives {
 public:
  explicit NcclCollectives(Collectives& group) {
    ncclUniqueId id{};
    if (group.rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    group.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
    check(ncclCommInitRank(&group_, group.size(), id, group.rank()), "ncclCommInitRank");
  }
  // On the way out of an error others may wait for what will never come.
  ~NcclCollectives() override {
    if (std::uncaught_exceptions() > 0)
      ncclCommAbort(group_);
    else
      ncclCommDestroy(group_);
  }
  NcclCollectives(const NcclCollectives&) = delete;
  bool only_queues() const override { return true; }

  void all_gather(StreamHandle stream, const void* mine, void* all, int64_t bytes) override {
    check(ncclAllGather(mine, all, static_cast<size_t>(bytes), ncclInt8, group_, stream),
          "ncclAllGather");
  }
  void send(StreamHandle stream, const void* from, int64_t bytes, int to) override {
    check(ncclSend(from, static_cast<size_t>(bytes), ncclInt8, to, group_, stream), "ncclSend");
  }
  void receive(StreamHandle stream, void* to, int64_t bytes, int from) override {
    check(ncclRecv(to, static_cast<size_t>(bytes), ncclInt8, from, group_, stream), "ncclRecv");
  }

 private:
  ncclComm_t group_ = nullptr;
};

}  // namespace

bool nccl_built() { return true; }
std::unique_ptr<DeviceCollectives> nccl_collectives(Collectives& group) {
  return std::make_unique<NcclCollectives>(group);
}

}  // namespace trit::cuda
