#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu_count.h"
#include "base/error.h"

namespace trit {
namespace {

constexpr int kMaxThreads = 1024;
// Waiting spins this long before it sleeps: waking a sleeping thread takes about as long.
constexpr auto kSpin = std::chrono::microseconds(50);
// The same inside a ParallelSection, where the gap between two loops may hold what one thread does alone.
constexpr auto kSpinInSection = std::chrono::milliseconds(2);

std::atomic<int> sections = 0;  // that live

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// With more threads than CPUs a long spin keeps from its CPU the very thread that it waits for.
std::chrono::nanoseconds spin_time() {
  static const int cpus = available_cpus();
  if (sections.load(std::memory_order_relaxed) > 0 && thread_count() <= cpus) return kSpinInSection;
  return kSpin;
}

int64_t second_cache_bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t bytes = std::max<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), 0);
  return bytes;
#else
  return 0;
#endif
}

// Fetches what a thread will read, a little at a time, while it waits.
class Fetcher {
 public:
  // For thread `self` of `threads`. Goes on where it was when the memory is the same.
  void follow(const ReadAhead& ahead, int self, int threads) {
    if (ahead.parts[0].data() == ahead_.parts[0].data() && threads == threads_) return;
    ahead_ = ahead;
    threads_ = threads;
    next_ = end_ = 0;
    int64_t total = 0;
    for (const auto& part : ahead.parts) total += std::ssize(part);
    if (total == 0 || ahead.index_bytes <= 0) return;
    const int64_t count = (total + ahead.index_bytes - 1) / ahead.index_bytes;
    next_ = count * self / threads * ahead.index_bytes;
    end_ = std::min({total, count * (self + 1) / threads * ahead.index_bytes,
                     next_ + second_cache_bytes() / 2});
  }

  // False when there is nothing left.
  bool fetch_some() {
    if (next_ >= end_) return false;
    constexpr int64_t kLine = 64, kLines = 4;
    int64_t offset = next_;
    size_t part = 0;
    while (part + 1 < ahead_.parts.size() && offset >= std::ssize(ahead_.parts[part]))
      offset -= std::ssize(ahead_.parts[part++]);
    const std::byte* at = ahead_.parts[part].data() + offset;
    for (int64_t i = 0; i < kLines; ++i) __builtin_prefetch(at + i * kLine, 0, 2);
    next_ += kLines * kLine;
    return true;
  }

 private:
  ReadAhead ahead_;
  int threads_ = 0;
  int64_t next_ = 0, end_ = 0;
};

thread_local ReadAhead announced;  // by this thread, for its loops

// Returns a value of `word` that differs from `old`.
uint32_t wait_for_change(const std::atomic<uint32_t>& word, uint32_t old, Fetcher& fetcher) {
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (const uint32_t value = word.load(std::memory_order_acquire); value != old) return value;
      if (!fetcher.fetch_some()) pause();
    }
  } while (std::chrono::steady_clock::now() - begin < spin_time());
  uint32_t value = old;
  while ((value = word.load(std::memory_order_acquire)) == old) word.wait(old);
  return value;
}

thread_local bool inside_body = false;

void run_serially(int64_t count, const std::function<void(int64_t)>& body) {
  for (int64_t i = 0; i < count; ++i) body(i);
}

// The indices that a thread begins with; others help when they are done with theirs.
struct alignas(64) Share {
  std::atomic<int64_t> next = 0;
  int64_t end = 0;
};

// Workers enter a loop through a gate: the caller opens it, works itself, shuts it when no index is
// left, and waits only for the workers that are inside. A worker that the system did not schedule in
// time finds the gate shut and delays nobody.
class ThreadPool {
 public:
  void run(int64_t count, int threads, const std::function<void(int64_t)>& body) {
    const std::lock_guard turn(callers_);
    while (workers_ < threads - 1) add_worker(threads);
    body_ = &body;
    threads_ = threads;
    ahead_ = announced;
    for (int64_t i = 0; i < threads; ++i) {
      shares_[i].next.store(count * i / threads, std::memory_order_relaxed);
      shares_[i].end = count * (i + 1) / threads;
    }
    error_ = nullptr;
    failed_.store(false, std::memory_order_relaxed);

    gate_.store(0, std::memory_order_release);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    work(0);
    uint32_t gate = gate_.fetch_or(kShut, std::memory_order_acq_rel) | kShut;
    thread_local Fetcher fetcher;
    fetcher.follow(ahead_, 0, threads);
    while (gate != kShut) gate = wait_for_change(gate_, gate, fetcher);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  static constexpr uint32_t kShut = uint32_t{1} << 31;  // the bits below count workers inside

  // The first CPU stays for the caller, who is not ours to pin.
  void add_worker(int threads) {
    const std::vector<int> cpus = cpus_to_pin(threads);  // may throw: no worker yet
    const int self = workers_ + 1;
    std::thread worker([this, self] { worker_loop(self); });
    workers_ = self;
    if (!cpus.empty()) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpus[static_cast<size_t>(self)], &set);
      pthread_setaffinity_np(worker.native_handle(), sizeof(set), &set);
    }
    worker.detach();
  }

  void worker_loop(int self) {
    Fetcher fetcher;
    for (uint32_t seen = 0;;) {
      seen = wait_for_change(round_, seen, fetcher);
      if (!enter()) continue;
      if (self < threads_) {
        work(self);
        fetcher.follow(ahead_, self, threads_);
      }
      leave();
    }
  }

  bool enter() {
    uint32_t gate = gate_.load(std::memory_order_relaxed);
    while ((gate & kShut) == 0) {
      if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }

  void leave() {
    if (gate_.fetch_sub(1, std::memory_order_release) == (kShut | 1)) gate_.notify_all();
  }

  // Takes indices, of its own share first, until none is left.
  void work(int self) {
    inside_body = true;
    try {
      for (int i = 0; i < threads_; ++i) work_through(shares_[(self + i) % threads_]);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
  }

  void work_through(Share& share) {
    while (share.next.load(std::memory_order_relaxed) < share.end) {
      const int64_t i = share.next.fetch_add(1, std::memory_order_relaxed);
      if (i >= share.end || failed_.load(std::memory_order_relaxed)) return;
      (*body_)(i);
    }
  }

  std::mutex callers_;
  int workers_ = 0, threads_ = 0;
  ReadAhead ahead_;
  const std::function<void(int64_t)>* body_ = nullptr;
  std::exception_ptr error_;
  std::atomic<bool> failed_ = false;
  std::array<Share, kMaxThreads> shares_;
  alignas(64) std::atomic<uint32_t> gate_ = kShut;
  alignas(64) std::atomic<uint32_t> round_ = 0;
};

// Never destroyed: the detached workers sleep in it until the process ends.
ThreadPool& pool() {
  static auto* const instance = new ThreadPool;
  return *instance;
}

int initial_thread_count() {
  const char* setting = std::getenv("TRIT_THREADS");
  if (setting == nullptr || *setting == '\0') return std::min(available_cores(), kMaxThreads);
  const std::string_view text = setting;
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || end != text.data() + text.size() || count < 1 ||
      count > kMaxThreads) {
    bad_input("TRIT_THREADS is \"{}\", expected 1 to {}", printable(text), kMaxThreads);
  }
  return count;
}

std::atomic<int> chosen_count = 0;  // 0: not yet asked for

}  // namespace

int thread_count() {
  if (const int count = chosen_count.load(std::memory_order_relaxed); count > 0) return count;
  static const int initial = initial_thread_count();
  return initial;
}

void set_thread_count(int count) {
  if (count < 1 || count > kMaxThreads) {
    bad_input("thread count is {}, expected 1 to {}", count, kMaxThreads);
  }
  chosen_count.store(count, std::memory_order_relaxed);
}

void parallel_for(int64_t count, const std::function<void(int64_t)>& body) {
  if (count <= 1 || inside_body) return run_serially(count, body);
  const int threads = static_cast<int>(std::min<int64_t>(count, thread_count()));
  if (threads == 1) return run_serially(count, body);
  struct Inside {
    ~Inside() { inside_body = false; }
  } inside;
  pool().run(count, threads, body);
}

void parallel_ranges(int64_t total, int64_t grain,
                     const std::function<void(int64_t, int64_t)>& body) {
  TRIT_CHECK(grain > 0);
  const int64_t pieces = total / grain + (total % grain != 0);
  parallel_for(pieces, [&](int64_t i) { body(i * grain, std::min(total, (i + 1) * grain)); });
}

void read_ahead(const ReadAhead& ahead) { announced = ahead; }

ParallelSection::ParallelSection() { sections.fetch_add(1, std::memory_order_relaxed); }
ParallelSection::~ParallelSection() { sections.fetch_sub(1, std::memory_order_relaxed); }

}  // namespace trit
