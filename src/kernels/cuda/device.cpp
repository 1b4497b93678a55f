#include "kernels/cuda/device.h"

#include "base/error.h"
#include "kernels/cuda/check.h"

namespace trit::cuda {

void call_failed(cudaError_t error, const char* call, const char* file, int line) {
  failure("CUDA: {} ({}, {}:{})", cudaGetErrorString(error), call, file, line);
}

void columns_refused(const char* what, long columns, long most) {
  bad_input("{} has {} columns; the kernels for NVIDIA devices take up to {}", what, columns, most);
}

void scratch_too_small(const char* what, long bytes, long needed) {
  failure("{}: {} bytes of scratch memory, {} are needed", what, bytes, needed);
}

bool built() { return true; }

std::vector<DeviceInfo> devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return {};
  }
  std::vector<DeviceInfo> all;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    TRIT_CUDA(cudaGetDeviceProperties(&p, i));
    if (p.major < 8) continue;
    all.push_back(
        {.index = i,
         .name = p.name,
         .major = p.major,
         .minor = p.minor,
         .multiprocessors = p.multiProcessorCount,
         .memory = static_cast<int64_t>(p.totalGlobalMem),
         .l2 = p.l2CacheSize,
         .bus = fmt::format("{:08X}:{:02X}:{:02X}.0", p.pciDomainID, p.pciBusID, p.pciDeviceID)});
  }
  return all;
}

void use_device(int index) {
  const std::vector<DeviceInfo> all = devices();
  std::string names;
  for (const DeviceInfo& device : all) {
    if (device.index == index) {
      TRIT_CUDA(cudaSetDevice(index));
      return;
    }
    names += fmt::format("{}cuda:{} ({})", names.empty() ? "" : ", ", device.index, device.name);
  }
  if (all.empty())
    failure(
        "cuda:{}: this machine has no NVIDIA device of compute capability 8.0 or more with a "
        "driver",
        index);
  bad_input("cuda:{}: there is no such device; there are {}", index, names);
}

int64_t free_memory() {
  size_t left = 0, all = 0;
  TRIT_CUDA(cudaMemGetInfo(&left, &all));
  return static_cast<int64_t>(left);
}

std::string device_address() {
  int device = 0;
  char address[32] = "";
  TRIT_CUDA(cudaGetDevice(&device));
  TRIT_CUDA(cudaDeviceGetPCIBusId(address, sizeof address, device));
  return address;
}

DeviceMemory::DeviceMemory(int64_t bytes) : bytes_(bytes) {
  void* p = nullptr;
  const cudaError_t error = cudaMalloc(&p, static_cast<size_t>(bytes > 0 ? bytes : 1));
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    failure("the device has {:.2f} GB of memory free, {:.2f} GB are needed",
            1e-9 * static_cast<double>(free_memory()), 1e-9 * static_cast<double>(bytes));
  }
  TRIT_CUDA(error);
  data_.reset(static_cast<std::byte*>(p));
}
void DeviceMemory::Free::operator()(std::byte* p) const { cudaFree(p); }

PinnedMemory::PinnedMemory(int64_t bytes) {
  void* p = nullptr;
  TRIT_CUDA(cudaMallocHost(&p, static_cast<size_t>(bytes > 0 ? bytes : 1)));
  data_.reset(static_cast<std::byte*>(p));
}
void PinnedMemory::Free::operator()(std::byte* p) const { cudaFreeHost(p); }

Stream::Stream() {
  cudaStream_t stream = nullptr;
  TRIT_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  handle_.reset(stream);
}
void Stream::wait() const { cuda::wait(handle()); }
void wait(StreamHandle stream) { TRIT_CUDA(cudaStreamSynchronize(stream)); }
void Stream::Free::operator()(StreamHandle handle) const { cudaStreamDestroy(handle); }

void copy_to_device(void* to, const void* from, int64_t bytes, StreamHandle stream) {
  TRIT_CUDA(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream));
}
void copy_to_host(void* to, const void* from, int64_t bytes, StreamHandle stream) {
  TRIT_CUDA(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream));
}
void copy_on_device(void* to, const void* from, int64_t bytes, StreamHandle stream) {
  TRIT_CUDA(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream));
}
void fill(void* to, int byte, int64_t bytes, StreamHandle stream) {
  TRIT_CUDA(cudaMemsetAsync(to, byte, static_cast<size_t>(bytes), stream));
}

Graph::Graph(StreamHandle stream, const std::function<void(StreamHandle)>& queue) {
  // A failed recording must not leave the stream in capture.
  TRIT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    queue(stream);
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  TRIT_CUDA(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  TRIT_CUDA(error);
  exec_.reset(exec);
}
void Graph::launch(StreamHandle stream) const { TRIT_CUDA(cudaGraphLaunch(exec_.get(), stream)); }
void Graph::Free::operator()(CUgraphExec_st* exec) const { cudaGraphExecDestroy(exec); }

DeviceTimer::DeviceTimer() {
  cudaEvent_t start = nullptr, stop = nullptr;
  TRIT_CUDA(cudaEventCreate(&start));
  start_.reset(start);
  TRIT_CUDA(cudaEventCreate(&stop));
  stop_.reset(stop);
}
void DeviceTimer::start(StreamHandle stream) { TRIT_CUDA(cudaEventRecord(start_.get(), stream)); }
void DeviceTimer::stop(StreamHandle stream) { TRIT_CUDA(cudaEventRecord(stop_.get(), stream)); }
double DeviceTimer::milliseconds() const {
  TRIT_CUDA(cudaEventSynchronize(stop_.get()));
  float ms = 0;
  TRIT_CUDA(cudaEventElapsedTime(&ms, start_.get(), stop_.get()));
  return static_cast<double>(ms);
}
void DeviceTimer::Free::operator()(CUevent_st* event) const { cudaEventDestroy(event); }

}  // namespace trit::cuda
