// What a token is made of: the kernels of a step of a model of random weights in a CUDA graph, each timed by leaving it out.
//
//   cuda_token [--llama] [--at POSITION] [--rows N] [--whole] 700M 3B ...
//
// The step of a token (embedding, layers, head, largest logit) is recorded as the engine does it. Then the same chain is
// built again without the kernels of one place in the layer, and the difference in time is what they cost in their
// place; beside it stands the time of that place's kernels alone, behind each other. Results are nonsense then, times are
// not: no kernel looks at what it multiplies. --whole: only the whole step.

#include <cuda_runtime.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda_weights.h"
#include "infer/cuda/backend.h"
#include "kernels/cuda/check.h"
#include "model/cuda/forward.h"

namespace trit::cuda {
namespace {

using Executable = std::unique_ptr<CUgraphExec_st, void (*)(cudaGraphExec_t)>;

// The kernels of a recorded chain, in order.
class Chain {
 public:
  Chain(const Stream& stream, const std::function<void(StreamHandle)>& queue) {
    TRIT_CUDA(cudaStreamBeginCapture(stream.handle(), cudaStreamCaptureModeThreadLocal));
    queue(stream.handle());
    TRIT_CUDA(cudaStreamEndCapture(stream.handle(), &graph_));
    size_t count = 0;
    TRIT_CUDA(cudaGraphGetRootNodes(graph_, nullptr, &count));
    cudaGraphNode_t node = nullptr;
    TRIT_CUDA(cudaGraphGetRootNodes(graph_, &node, &count));
    while (node != nullptr) {
      nodes_.push_back(node);
      cudaGraphNode_t next = nullptr;
      count = 1;
      cudaGraphEdgeData edge{};
      TRIT_CUDA(cudaGraphNodeGetDependentNodes(node, &next, &edge, &count));
      node = count > 0 ? next : nullptr;
    }
  }
  ~Chain() { cudaGraphDestroy(graph_); }

  int64_t size() const { return std::ssize(nodes_); }
  std::string name(int64_t i) const {
    cudaKernelNodeParams params{};
    TRIT_CUDA(cudaGraphKernelNodeGetParams(nodes_[static_cast<size_t>(i)], &params));
    return short_name(params);
  }

 private:
  std::string short_name(const cudaKernelNodeParams& params) const {
    const char* name = nullptr;
    TRIT_CUDA(cudaFuncGetName(&name, params.func));
    int status = 0;
    char* plain = abi::__cxa_demangle(name, nullptr, nullptr, &status);
    std::string text = status == 0 ? plain : name;
    std::free(plain);
    for (const char* noise : {"void ", "trit::cuda::", "(anonymous namespace)::", "small::"})
      for (size_t at; (at = text.find(noise)) != text.npos;)
        text.erase(at, std::string(noise).size());
    text = text.substr(0, text.find('('));
    return text + " " + std::to_string(params.gridDim.x * params.gridDim.y * params.gridDim.z) +
           " x " + std::to_string(params.blockDim.x);
  }

 public:
  // The chain of the kernels that `keeps` takes.
  Executable without(const std::function<bool(int64_t)>& keeps) const {
    cudaGraph_t graph = nullptr;
    TRIT_CUDA(cudaGraphCreate(&graph, 0));
    cudaGraphNode_t last = nullptr;
    for (int64_t i = 0; i < size(); ++i) {
      if (!keeps(i)) continue;
      cudaKernelNodeParams params{};
      const cudaGraphNode_t from = nodes_[static_cast<size_t>(i)];
      TRIT_CUDA(cudaGraphKernelNodeGetParams(from, &params));
      cudaGraphNode_t node = nullptr;
      TRIT_CUDA(cudaGraphAddKernelNode(&node, graph, nullptr, 0, &params));
      TRIT_CUDA(cudaGraphKernelNodeCopyAttributes(node, from));
      if (last != nullptr) {
        cudaGraphEdgeData edge{};
        edge.from_port = cudaGraphKernelNodePortProgrammatic;
        edge.type = cudaGraphDependencyTypeProgrammatic;
        TRIT_CUDA(cudaGraphAddDependencies(graph, &last, &node, &edge, 1));
      }
      last = node;
    }
    cudaGraphExec_t exec = nullptr;
    TRIT_CUDA(cudaGraphInstantiate(&exec, graph, 0));
    TRIT_CUDA(cudaGraphDestroy(graph));
    return Executable(exec, [](cudaGraphExec_t e) { cudaGraphExecDestroy(e); });
  }

 private:
  cudaGraph_t graph_ = nullptr;
  std::vector<cudaGraphNode_t> nodes_;
};

// Microseconds of a launch of each, taken in turn, since a device's speed changes with time; medians.
std::vector<double> times_of(const Stream& stream, const std::vector<cudaGraphExec_t>& graphs) {
  constexpr size_t kTimes = 21;
  std::vector<std::vector<double>> us(graphs.size());
  for (size_t i = 0; i < kTimes + 2; ++i) {
    for (size_t g = 0; g < graphs.size(); ++g) {
      DeviceTimer timer;
      timer.start(stream.handle());
      TRIT_CUDA(cudaGraphLaunch(graphs[g], stream.handle()));
      timer.stop(stream.handle());
      if (i >= 2) us[g].push_back(1e3 * timer.milliseconds());
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& of : us) {
    std::ranges::nth_element(of, of.begin() + kTimes / 2);
    medians.push_back(of[kTimes / 2]);
  }
  return medians;
}

void run(const std::string& name, Family family, int64_t position, int64_t rows, bool parts) {
  Config c = as_family(preset(name), family);
  c.context = 4096;
  std::vector<uint8_t> memory;
  const Stream stream;
  const DeviceWeights weights(bench::weights_of(c, memory), stream.handle());
  const int64_t head_bytes = kv_head_bytes(KvType::kF16, c.head_dim), pages = (position + 64) / 64;
  const int64_t page_bytes = c.layers * c.kv_heads * head_bytes;
  const DeviceMemory cache(rows * pages * page_bytes);
  fill(cache.data(), 0, cache.bytes(), stream.handle());
  DeviceKvCache kv;
  for (int64_t l = 0; l < c.layers; ++l)
    kv.layers.push_back(
        {KvType::kF16, cache.data() + l * c.kv_heads * head_bytes, page_bytes, head_bytes});
  DeviceState state(weights, kv, rows, c.context);
  state.reach(position + 1, stream.handle());
  std::vector<int32_t> words;  // tokens, sequences, positions, tables
  for (int64_t t = 0; t < rows; ++t) words.push_back(static_cast<int32_t>(1000 + 77 * t));
  for (int64_t t = 0; t < rows; ++t) words.push_back(static_cast<int32_t>(t));
  for (int64_t t = 0; t < rows; ++t) words.push_back(static_cast<int32_t>(position));
  for (int64_t i = 0; i < rows * pages; ++i) words.push_back(static_cast<int32_t>(i));
  const DeviceMemory control(std::ssize(words) * 4), top(rows * 8), out(rows * c.vocabulary * 4);
  copy_to_device(control.data(), words.data(), control.bytes(), stream.handle());
  stream.wait();
  state.tokens = control.as<int32_t>();
  RowSlots slots{state.tokens + rows, state.tokens + 2 * rows, state.tokens + 3 * rows, pages,
                 std::max<int64_t>(256, position + 1)};
  slots.apart = true;  // as the engine says of one row a sequence

  int64_t layers = 0, all = 0;
  const auto queue = [&](StreamHandle s, bool whole) {
    forward(s, weights, rows, slots, state);
    if (!whole) return;
    logits(s, weights, state.a, rows, out.as<float>(), state);
    top_logits(s, out.as<float>(), rows, c.vocabulary, 1, top.as<int32_t>(), top.as<float>() + rows,
               state.scratch);
  };
  layers = Chain(stream, [&](StreamHandle s) { queue(s, false); }).size() - 2;
  const Chain chain(stream, [&](StreamHandle s) { queue(s, true); });
  all = chain.size();
  const int64_t each = layers / c.layers;
  const Executable whole = chain.without([](int64_t) { return true; });
  const auto total = [&] { return times_of(stream, {whole.get()})[0]; };
  for (int i = 0; i < 20; ++i) total();  // clocks rise
  std::printf("%s %s, %ld row(s) at %ld: %.1f us, %ld kernels, %ld a layer\n", name.c_str(),
              std::string(to_string(family)).c_str(), static_cast<long>(rows),
              static_cast<long>(position), total(), static_cast<long>(all),
              static_cast<long>(each));
  std::fflush(stdout);
  if (!parts) return;
  const auto show = [&](const char* where, int64_t first, int64_t count, int64_t step) {
    const auto of_it = [&](int64_t i) {
      return i >= first && (i - first) % step == 0 && (i - first) / step < count;
    };
    const Executable others = chain.without([&](int64_t i) { return !of_it(i); });
    const Executable only = chain.without(of_it);
    const std::vector<double> us = times_of(stream, {whole.get(), others.get(), only.get()});
    std::printf("  %-6s %-44s costs %6.2f us each, alone %6.2f\n", where, chain.name(first).c_str(),
                (us[0] - us[1]) / static_cast<double>(count), us[2] / static_cast<double>(count));
    std::fflush(stdout);
  };
  show("begin", 0, 1, 1);
  for (int64_t i = 0; i < each; ++i) show("layer", 1 + i, c.layers, each);
  for (int64_t i = 1 + layers; i < all; ++i) show("end", i, 1, 1);
}

}  // namespace
}  // namespace trit::cuda

int main(int argc, char** argv) {
  trit::Family family = trit::Family::kBitNet;
  long position = 64, rows = 1;
  bool parts = true;
  try {
    std::printf("%s\n", trit::cuda::devices().at(0).name.c_str());
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (word == "--llama")
        family = trit::Family::kLlama;
      else if (word == "--at" && i + 1 < argc)
        position = std::atol(argv[++i]);
      else if (word == "--rows" && i + 1 < argc)
        rows = std::atol(argv[++i]);
      else if (word == "--whole")
        parts = false;
      else
        trit::cuda::run(word, family, position, rows, parts);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
