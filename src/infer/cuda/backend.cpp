#include "infer/cuda/backend.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/cuda/forward.h"

namespace trit {
namespace {

using cuda::DeviceMemory;
using cuda::Graph;
using cuda::PinnedMemory;
using cuda::RowSlots;

// Rows that a graph is recorded for, at most; more run kernel by kernel.
constexpr int64_t kGraphRows = 64;
constexpr int64_t kTopMost = 64;  // of cuda::top_logits

// Of the layers and heads that this rank has.
int64_t bytes_of_page(const cuda::DeviceWeights& w, KvType type) {
  return std::ssize(w.layers) * w.part.kv_heads * cuda::kv_head_bytes(type, w.part.head_dim);
}

cuda::DeviceKvCache cache_view(const cuda::DeviceWeights& w, KvType type, std::byte* memory) {
  const int64_t head = cuda::kv_head_bytes(type, w.part.head_dim), layer = w.part.kv_heads * head;
  cuda::DeviceKvCache cache;
  for (int64_t l = 0; l < std::ssize(w.layers); ++l)
    cache.layers.push_back({type, memory + l * layer, std::ssize(w.layers) * layer, head});
  return cache;
}

class CudaBackend : public Backend {
 public:
  CudaBackend(CudaWeights weights, const CudaBackendOptions& options)
      : weights_here_(std::move(weights)),
        page_bytes_(bytes_of_page(weights_, options.kv_type)),
        pages_(kernels::pages_of(options.positions > 0 ? options.positions : config().context)),
        cache_(pages_ * page_bytes_),
        state_(weights_, cache_view(weights_, options.kv_type, cache_.data()), options.max_rows,
               config().context),
        logits_(head_rows() * config().vocabulary * static_cast<int64_t>(sizeof(float))),
        gathered_(head_rows() * weights_.hidden_width * static_cast<int64_t>(sizeof(float))),
        top_(head_rows() * kTopMost * static_cast<int64_t>(sizeof(TokenLogit))),
        top_host_(std::max(head_rows() * kTopMost, max_rows()) *
                  static_cast<int64_t>(sizeof(TokenLogit))),
        rows_host_(head_rows() * 4),
        failed_host_(4) {
    // Kernels write what the host looks at after every step straight into its memory: a copy would take longer.
    *failed() = 0;
    state_.scratch.not_finite = failed();
  }

  const Config& config() const override { return weights_.config; }
  int64_t pages() const override { return pages_; }
  int64_t page_positions() const override { return kernels::kPagePositions; }
  int64_t page_bytes() const override { return page_bytes_; }
  int64_t max_rows() const override { return state_.max_rows(); }
  BackendMemory memory() const override {
    return {weights_.bytes(), cache_.bytes(),
            state_.bytes() + logits_.bytes() + gathered_.bytes() + top_.bytes() + control_.bytes()};
  }

  void run(const Batch& batch) override {
    require_tokens(batch);
    together([&] { pass(batch); });
    if (std::exchange(*failed(), 0) == 0) return;
    failure("activations are not finite");
  }

  void logits(std::span<const int64_t> rows, Matrix out) override {
    together([&] { copy_logits(rows, out); });
  }

  void top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) override {
    if (k > kTopMost) return Backend::top(rows, k, out);
    together([&] { find_top_in_parts(rows, k, out); });
  }

  void copy_page(PageId from, PageId to) override {
    cuda::copy_on_device(cache_.data() + to * page_bytes_, cache_.data() + from * page_bytes_,
                         page_bytes_, stream_.handle());
  }

 protected:
  void find_losses(std::span<const int64_t> rows, std::span<const int32_t> targets,
                   std::span<float> out) override {
    const auto most = static_cast<size_t>(head_rows());
    const DeviceMemory memory(8 * head_rows());
    auto* on_device = memory.as<int32_t>();
    auto* found = memory.as<float>() + head_rows();
    for (size_t first = 0; first < rows.size(); first += most) {
      const size_t count = std::min(rows.size() - first, most);
      const float* of_rows = logits_of(rows.subspan(first, count));
      const auto bytes = static_cast<int64_t>(4 * count);
      cuda::copy_to_device(on_device, &targets[first], bytes, stream_.handle());
      cuda::token_losses(stream_.handle(), of_rows, static_cast<int64_t>(count),
                         config().vocabulary, on_device, found);
      cuda::copy_to_host(&out[first], found, bytes, stream_.handle());
      stream_.wait();
    }
  }

 private:
  // Does what other ranks wait for: when it fails they would wait for ever, so all end.
  template <class Work>
  void together(const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      if (!weights_.ranks.alone()) fail_job(weights_.ranks.ranks().job()->rank(), error);
      throw;
    }
  }

  void pass(const Batch& batch) {
    const auto rows = std::ssize(batch.tokens);
    const Control control = send(batch);
    // Of a prompt only few logits are wanted, which nobody has said yet.
    const bool of_all = rows <= kGraphRows || control.apart;
    have_best_ = of_all && weights_.ranks.ranks().last_stage();
    have_logits_ = have_best_ && rows <= head_rows();
    step_rows_ = rows;
    if (!of_all)
      queue_pass(rows, control);
    else if (rows <= kGraphRows && weights_.ranks.only_queues())
      graph_for(rows, control).launch(stream_.handle());
    else
      queue_step(rows, control);
    stream_.wait();
  }

  void copy_logits(std::span<const int64_t> rows, Matrix out) {
    for (size_t first = 0; first < rows.size(); first += static_cast<size_t>(head_rows())) {
      const auto part =
          rows.subspan(first, std::min(rows.size() - first, static_cast<size_t>(head_rows())));
      const float* from = logits_of(part);
      cuda::copy_to_host(
          out.row(static_cast<int64_t>(first)), from,
          std::ssize(part) * config().vocabulary * static_cast<int64_t>(sizeof(float)),
          stream_.handle());
      stream_.wait();
    }
  }

  void find_top_in_parts(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) {
    const auto most = static_cast<size_t>(head_rows());
    for (size_t first = 0; first < rows.size(); first += most) {
      const auto part = rows.subspan(first, std::min(rows.size() - first, most));
      find_top(part, k,
               out.subspan(first * static_cast<size_t>(k), part.size() * static_cast<size_t>(k)));
    }
  }

  // What changes from step to step, in the order in which it lies in one piece of memory.
  struct Control {
    int64_t longest = 0, stride = 0;  // a bound on positions, and pages of a table
    int64_t tokens = 0, sequences = 0, positions = 0, tables = 0, tiles = 0, singles = 0, words = 0;
    int64_t tile_count = 0, single_count = 0;
    bool apart = true;  // no two rows are of one sequence
  };

  int32_t* failed() const { return failed_host_.as<int32_t>(); }
  int64_t head_rows() const { return state_.head_rows(); }

  void require_tokens(const Batch& batch) const {
    for (const int32_t token : batch.tokens) {
      if (token < 0 || token >= config().vocabulary)
        bad_input("token {} is outside the vocabulary of {}", token, config().vocabulary);
    }
  }

  Control send(const Batch& batch) {
    const auto rows = std::ssize(batch.tokens);
    TRIT_CHECK(rows > 0 && rows <= max_rows());
    int64_t longest = 0;
    for (const TokenSlot& slot : batch.slots)
      longest = std::max<int64_t>(longest, slot.position + 1);
    Control control;
    control.longest =
        static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(longest, 256))));
    control.stride = kernels::pages_of(control.longest);
    control.sequences = rows;
    control.positions = 2 * rows;
    control.tables = 3 * rows;
    control.tiles = control.tables + std::ssize(batch.tables) * control.stride;
    // A graph of so many rows may be replayed with as many sequences.
    const int64_t room = 6 * rows + std::max(rows, std::ssize(batch.tables)) * control.stride;
    if (state_.reach(control.longest, stream_.handle())) graphs_.clear();
    if (room * 4 > control_.bytes()) {
      graphs_.clear();
      control_ = DeviceMemory(2 * room * 4);
      control_host_ = PinnedMemory(2 * room * 4);
    }
    auto* words = control_host_.as<int32_t>();
    std::copy(batch.tokens.begin(), batch.tokens.end(), words);
    for (int64_t n = 0; n < rows; ++n) {
      words[control.sequences + n] = batch.slots[static_cast<size_t>(n)].sequence;
      words[control.positions + n] = batch.slots[static_cast<size_t>(n)].position;
    }
    for (int64_t s = 0; s < std::ssize(batch.tables); ++s) {
      const PageTable& table = batch.tables[static_cast<size_t>(s)];
      const auto count = std::min(std::ssize(table), control.stride);
      std::copy_n(table.begin(), count, words + control.tables + s * control.stride);
    }
    std::vector<bool> seen(batch.tables.size());
    for (const TokenSlot& slot : batch.slots) {
      auto one = seen[static_cast<size_t>(slot.sequence)];
      if (one) control.apart = false;
      one = true;
    }
    control.words = control.tiles;
    if (rows > kGraphRows) find_tiles(batch, words, control);
    cuda::copy_to_device(control_.data(), words, control.words * 4, stream_.handle());
    return control;
  }

  // Runs of rows of a sequence, cut into tiles for attention; what is shorter is single rows.
  static void find_tiles(const Batch& batch, int32_t* words, Control& control) {
    constexpr int64_t kShortest = 16;
    std::vector<int32_t> singles;
    int32_t* tiles = words + control.tiles;
    const auto rows = std::ssize(batch.slots);
    for (int64_t first = 0, end = 0; first < rows; first = end) {
      const auto same = [&](int64_t n) {
        return batch.slots[static_cast<size_t>(n)].sequence ==
                   batch.slots[static_cast<size_t>(first)].sequence &&
               batch.slots[static_cast<size_t>(n)].position ==
                   batch.slots[static_cast<size_t>(first)].position + (n - first);
      };
      for (end = first + 1; end < rows && end < first + cuda::kPromptRows && same(end);) ++end;
      if (end - first >= kShortest) {
        *tiles++ = static_cast<int32_t>(first);
        *tiles++ = static_cast<int32_t>(end - first);
        ++control.tile_count;
      } else {
        for (int64_t n = first; n < end; ++n) singles.push_back(static_cast<int32_t>(n));
      }
    }
    control.singles = control.tiles + 2 * control.tile_count;
    control.single_count = std::ssize(singles);
    std::ranges::copy(singles, tiles);
    control.words = control.singles + control.single_count;
  }

  void queue_pass(int64_t rows, const Control& control) {
    const cuda::StreamHandle stream = stream_.handle();
    auto* words = control_.as<int32_t>();
    state_.tokens = words + control.tokens;
    RowSlots slots{words + control.sequences, words + control.positions, words + control.tables,
                   control.stride, control.longest};
    slots.apart = control.apart;
    if (control.tile_count > 0) {
      slots.tiles = words + control.tiles;
      slots.singles = words + control.singles;
      slots.tile_count = control.tile_count;
      slots.single_count = control.single_count;
    }
    cuda::forward(stream, weights_, rows, slots, state_);
  }

  // A pass over all that send() laid out, its logits and the largest of each row.
  void queue_step(int64_t rows, const Control& control) {
    queue_pass(rows, control);
    if (!weights_.ranks.ranks().last_stage()) return;
    auto* tokens = top_host_.as<int32_t>();
    const int64_t pieces = (rows + head_rows() - 1) / head_rows();
    for (int64_t i = 0; i < pieces; ++i) {
      const int64_t first = rows * i / pieces, count = rows * (i + 1) / pieces - first;
      queue_logits(state_.a + first * weights_.hidden_width, count);
      queue_top(count, 1, tokens + first, tokens + rows + first);
    }
  }

  const Graph& graph_for(int64_t rows, const Control& control) {
    Graph& graph = graphs_[{rows, control.longest, control.apart}];
    if (!graph) {
      graph = Graph(stream_.handle(), [&](cuda::StreamHandle) { queue_step(rows, control); });
    }
    return graph;
  }

  void queue_logits(const float* hidden, int64_t rows) {
    cuda::logits(stream_.handle(), weights_, hidden, rows, logits_.as<float>(), state_);
  }
  // Of the first rows of logits_, or those from `from` on: [rows, k] tokens and values, words each.
  void queue_top(int64_t rows, int64_t k, int32_t* tokens, int32_t* values,
                 const float* from = nullptr) {
    cuda::top_logits(stream_.handle(), from != nullptr ? from : logits_.as<float>(), rows,
                     config().vocabulary, k, tokens, reinterpret_cast<float*>(values),
                     state_.scratch);
  }

  // The logits of these rows, one after the other on the device: those that the step made, or made now.
  const float* logits_of(std::span<const int64_t> rows) {
    const bool in_order = std::ranges::adjacent_find(
                              rows, [](int64_t a, int64_t b) { return b != a + 1; }) == rows.end();
    if (have_logits_ && in_order) return logits_.as<float>() + rows[0] * config().vocabulary;
    have_logits_ = false;
    const auto count = std::ssize(rows);
    const int64_t width = weights_.hidden_width;
    if (in_order) {
      queue_logits(state_.a + rows[0] * width, count);
      return logits_.as<float>();
    }
    // The caller waits before the next rows are asked for.
    std::ranges::copy(rows, rows_host_.as<int32_t>());
    cuda::gather_rows(stream_.handle(), state_.a, rows_host_.as<int32_t>(), count, width, width,
                      gathered_.as<float>());
    queue_logits(gathered_.as<float>(), count);
    return logits_.as<float>();
  }

  void find_top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) {
    const auto count = std::ssize(rows);
    const auto read = [&](int64_t from, int64_t of, int64_t to) {
      const auto* tokens = top_host_.as<int32_t>();
      const auto* values = reinterpret_cast<const float*>(tokens + of * k);
      for (int64_t i = 0; i < k; ++i)
        out[static_cast<size_t>(to * k + i)] = {values[from * k + i], tokens[from * k + i]};
    };
    // The step has brought the best of each of its rows along.
    if (have_best_ && k == 1) {
      for (int64_t i = 0; i < count; ++i) read(rows[static_cast<size_t>(i)], step_rows_, i);
      return;
    }
    const float* logits = logits_of(rows);
    auto* on_device = top_.as<int32_t>();
    queue_top(count, k, on_device, on_device + count * k, logits);
    cuda::copy_to_host(top_host_.data(), top_.data(), 8 * count * k, stream_.handle());
    stream_.wait();
    have_best_ = false;
    for (int64_t i = 0; i < count; ++i) read(i, count, i);
  }

  cuda::Stream stream_;
  CudaWeights weights_here_;
  const cuda::DeviceWeights& weights_ = *weights_here_;
  int64_t page_bytes_, pages_;
  DeviceMemory cache_;
  cuda::DeviceState state_;
  DeviceMemory logits_, gathered_, top_;
  PinnedMemory top_host_, rows_host_, failed_host_;
  DeviceMemory control_;
  PinnedMemory control_host_;
  std::map<std::tuple<int64_t, int64_t, bool>, Graph> graphs_;
  bool have_logits_ = false;  // of all rows of the last step, in logits_
  bool have_best_ = false;    // of each of its rows the likeliest token, in top_host_
  int64_t step_rows_ = 0;     // of the last step
};

}  // namespace

CudaWeights cuda_weights(const Weights& weights, int device, const Ranks& ranks) {
  cuda::use_device(device);
  const cuda::Stream stream;
  return std::make_shared<const cuda::DeviceWeights>(weights, stream.handle(), ranks);
}

CudaWeights cuda_random_weights(const Config& shape, int device) {
  constexpr uint64_t kSeed = 1;
  cuda::use_device(device);
  const cuda::Stream stream;
  return std::make_shared<const cuda::DeviceWeights>(shape, kSeed, stream.handle());
}

int cuda_devices() { return static_cast<int>(cuda::devices().size()); }

std::unique_ptr<Backend> cuda_backend(CudaWeights weights, const CudaBackendOptions& options) {
  return std::make_unique<CudaBackend>(std::move(weights), options);
}

std::unique_ptr<Backend> cuda_backend(const Weights& weights, const CudaBackendOptions& options) {
  return cuda_backend(cuda_weights(weights, 0), options);
}

CudaDevice cuda_device(int device) {
  cuda::use_device(device);
  for (const cuda::DeviceInfo& info : cuda::devices())
    if (info.index == device) return {info.name, info.memory, cuda::free_memory(), info.bus};
  return {};
}

// Reads memory far larger than the second cache, all of it each time.
double cuda_read_rate(int device) {
  constexpr int kTimes = 12;
  cuda::use_device(device);
  const int64_t bytes = std::min<int64_t>(int64_t{2} << 30, cuda::free_memory() / 2) >> 20 << 20;
  const DeviceMemory memory(bytes), sums(4);
  const cuda::Stream stream;
  cuda::fill(memory.data(), 1, bytes, stream.handle());
  double best = 0;
  for (int i = 0; i < kTimes; ++i) {
    cuda::DeviceTimer one;
    one.start(stream.handle());
    cuda::read_all(stream.handle(), memory.data(), bytes, sums.as<uint32_t>());
    one.stop(stream.handle());
    best = std::max(best, static_cast<double>(bytes) / one.milliseconds() * 1e3);
  }
  return best;
}

}  // namespace trit
