#pragma once
// NVIDIA devices behind plain C++: memory, streams, graphs. Without CUDA in the build, or on a machine without a
// device, devices() is empty and everything else throws Error (exit code 1).
//
// Calls that fail throw Error with CUDA's own words. Work is queued on a stream and runs in order; errors of queued
// work come out of a later call.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

struct CUstream_st;
struct CUgraphExec_st;
struct CUevent_st;

namespace trit::cuda {

using StreamHandle = CUstream_st*;  // cudaStream_t

struct DeviceInfo {
  int index = 0;
  std::string name;          // "NVIDIA H200"
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  int64_t memory = 0, l2 = 0;  // bytes
  std::string bus;             // its place on the PCI bus as NVML knows it, "00000000:5D:00.0"
};
bool built();                       // with CUDA
std::vector<DeviceInfo> devices();  // that this build has code for
// Makes it the calling thread's device. Throws Error naming what there is when there is no such device.
void use_device(int index);
int64_t free_memory();         // of it, in bytes
std::string device_address();  // on the host's bus, the same in every process

// Memory of the current device; freed at the end.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(int64_t bytes);  // uninitialised, 256-byte aligned
  std::byte* data() const { return data_.get(); }
  int64_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  int64_t bytes_ = 0;
};

// Page-locked memory of the host, which devices copy from and to without a detour.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(int64_t bytes);
  std::byte* data() const { return data_.get(); }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> data_;
};

class Stream {
 public:
  Stream();
  StreamHandle handle() const { return handle_.get(); }
  void wait() const;  // for all that is queued

 private:
  struct Free {
    void operator()(StreamHandle handle) const;
  };
  std::unique_ptr<CUstream_st, Free> handle_;
};

// Waits for all that is queued on a stream.
void wait(StreamHandle stream);
void copy_to_device(void* to, const void* from, int64_t bytes, StreamHandle stream);
void copy_to_host(void* to, const void* from, int64_t bytes, StreamHandle stream);
void copy_on_device(void* to, const void* from, int64_t bytes, StreamHandle stream);
void fill(void* to, int byte, int64_t bytes, StreamHandle stream);

// What `queue` puts on a stream, recorded once and launched as one piece of work.
class Graph {
 public:
  Graph() = default;
  Graph(StreamHandle stream, const std::function<void(StreamHandle)>& queue);
  explicit operator bool() const { return exec_ != nullptr; }
  void launch(StreamHandle stream) const;

 private:
  struct Free {
    void operator()(CUgraphExec_st* exec) const;
  };
  std::unique_ptr<CUgraphExec_st, Free> exec_;
};

// Milliseconds on the device between two points of a stream.
class DeviceTimer {
 public:
  DeviceTimer();
  void start(StreamHandle stream);
  void stop(StreamHandle stream);
  double milliseconds() const;  // waits for stop()

 private:
  struct Free {
    void operator()(CUevent_st* event) const;
  };
  std::unique_ptr<CUevent_st, Free> start_, stop_;
};

}  // namespace trit::cuda
