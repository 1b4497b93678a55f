// attention_prompt.cu on Hopper (FlashAttention-3, arXiv 2407.08608): four warps fetch, two groups of four warps have 64
// rows of the tile each. Products are wgmma's, straight from shared memory, 128 positions a step. While a group makes
// weights of a step's scores, its sums of the step before run on, and the other group's products; the groups take
// turns in queueing theirs. A block does several tiles, the next one's queries and pages under way by then.

#include <algorithm>

#include "kernels/cuda/attention_prompt_fetch.h"
#include "kernels/cuda/chain.h"

namespace trit::cuda {
namespace {

using namespace prompt;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// A group's 64 rows: a thread has two of them (halves), 16 warp + lane / 4 and 8 below.
template <int kD>
struct Group {
  float score[64], out[kD / 2];
  uint32_t p[8][4];
  float most[2], sum[2], keep[2];

  // Of a new item's rows.
  __device__ void start() {
#pragma unroll
    for (int half = 0; half < 2; ++half) most[half] = -INFINITY, sum[half] = 0;
  }
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kD / 2; ++i) out[i] = 0;
  }

  // Queues the scores of these keys.
  __device__ void begin_scores(const std::byte* queries, const std::byte* keys) {
    hopper::pin(score);
    hopper::products_begin();
#pragma unroll
    for (int s = 0; s < kD / 16; ++s) {
      const int at = s / 4 * kBlockBytes + s % 4 * 32;
      hopper::multiply_rows(score, hopper::swizzled_rows(queries + at),
                            hopper::swizzled_rows(keys + at), s > 0);
    }
    hopper::products_end();
  }
  __device__ void begin_sums(const std::byte* values) {
#pragma unroll
    for (int j = 0; j < 8; ++j) hopper::pin(p[j]);
    hopper::pin(out);
    hopper::products_begin();
#pragma unroll
    for (int j = 0; j < 8; ++j)
      hopper::add_product(out, p[j], hopper::swizzled_columns(values + j * 2048, kBlockBytes));
    hopper::products_end();
  }
  // The place of the j-th score of a half, j < 32: position 8 (j / 2) + 2 (lane % 4) + j % 2 of the step.
  __device__ static constexpr int at(int half, int j) { return j / 2 * 4 + 2 * half + j % 2; }

  __device__ void mask(int first, int row_position) {
    const int column = first + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 32; ++j) {
        if (column + j / 2 * 8 + j % 2 > row_position + 8 * half) score[at(half, j)] = -INFINITY;
      }
    }
  }
  // Scores become weights; keep: what the sums so far count for.
  __device__ void weigh() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float high = most[half], other = score[at(half, 1)];
#pragma unroll
      for (int j = 0; j < 32; j += 2) {
        high = fmaxf(high, score[at(half, j)]);
        other = fmaxf(other, score[at(half, j + 1)]);
      }
      high = fmaxf(high, other);
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));  // finite: every row sees position 0
      keep[half] = power_of_2(most[half] - high);
      most[half] = high;
      float all = sum[half] * keep[half], more = 0;
#pragma unroll
      for (int j = 0; j < 32; j += 2) {
        float& s = score[at(half, j)];
        float& t = score[at(half, j + 1)];
        s = power_of_2(s - high);
        t = power_of_2(t - high);
        all += s, more += t;
      }
      sum[half] = all + more;
    }
  }
  __device__ void pack_weights() {
#pragma unroll
    for (int i = 0; i < 32; ++i) p[i / 4][i % 4] = pack(score[2 * i], score[2 * i + 1]);
  }
  __device__ void rescale() {
    if (!__any_sync(~0u, keep[0] != 1.0f || keep[1] != 1.0f)) return;
#pragma unroll
    for (int i = 0; i < kD / 2; ++i) out[i] *= keep[i / 2 % 2];
  }
};

template <int kD>
__device__ void multiply_items(const PromptArguments& a, Shared<kD>& shared) {
  const int thread = static_cast<int>(threadIdx.x) - kFetchers, lane = thread % 32;
  const int which = thread / kGroup, items = static_cast<int>(a.items());
  const int row0 = thread / 32 * 16 + lane / 4;  // and 8 below
  const auto freed = [&](uint64_t& barrier) {
    if (lane == 0) hopper::barrier_arrive(&barrier);
  };
  const auto queries_of = [&](int i) { return shared.queries[place_of(i)] + which * 64 * 128; };
  const auto steps_of = [](const PromptItem& item) { return (item.count() - 1) / kStep + 1; };
  Group<kD> group;
  const auto weigh = [&](const PromptItem& item, int step) {
    // The lowest position of the warp's rows: steps that reach past it have scores to hide.
    if ((step + 1) * kStep > item.position + thread / 32 * 16 + 1)
      group.mask(step * kStep, item.position + row0);
    group.weigh();
  };
  const auto finish = [&](const PromptItem& item, const float(&sum)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      finish_row<kD>(a, item, row0 + 8 * half, sum[half],
                     [&](int j) { return group.out[j / 2 * 4 + 2 * half + j % 2]; });
  };
  if (which == 1) hopper::named_arrive(1, 2 * kGroup);  // group 0 has the first turn

  PromptItem item = prompt_item(a, item_of(0));
  hopper::barrier_wait(&shared.query.full[0], 0);
  hopper::barrier_wait(&shared.key.full[0], 0);
  group.begin_scores(queries_of(0), shared.keys[0]);
  hopper::products_wait<0>();
  hopper::pin(group.score);
  freed(shared.key.free[0]);
  group.start();
  group.clear();
  weigh(item, 0);
  group.pack_weights();
  int n = 0;  // steps whose sums are queued
  for (int i = 0, step = 0;; ++n) {
    // Behind a step comes the next one or the first of the next item.
    const int next = place_of(n + 1), now = place_of(n);
    const bool ends = ++step == steps_of(item);
    PromptItem following = item;
    if (ends) {
      freed(shared.query.free[place_of(i)]);
      const int index = item_of(++i);
      if (index >= items) break;
      following = prompt_item(a, index);
      step = 0;
      hopper::barrier_wait(&shared.query.full[place_of(i)], parity_of(i));
    }
    hopper::barrier_wait(&shared.key.full[next], parity_of(n + 1));
    hopper::named_wait(1 + which, 2 * kGroup);
    group.begin_scores(queries_of(i), shared.keys[next]);
    hopper::barrier_wait(&shared.value.full[now], parity_of(n));
    group.begin_sums(shared.values[now]);
    hopper::named_arrive(2 - which, 2 * kGroup);
    hopper::products_wait<1>();
    hopper::pin(group.score);
    freed(shared.key.free[next]);
    const float sum[2] = {group.sum[0], group.sum[1]};
    if (ends) group.start();
    weigh(following, step);
    hopper::products_wait<0>();
    hopper::pin(group.out);
    freed(shared.value.free[now]);
    if (ends) {
      finish(item, sum);
      group.clear();
      item = following;
    } else {
      group.rescale();
    }
    group.pack_weights();
  }
  hopper::barrier_wait(&shared.value.full[place_of(n)], parity_of(n));
  group.begin_sums(shared.values[place_of(n)]);
  hopper::products_wait<0>();
  hopper::pin(group.out);
  finish(item, group.sum);
  if (which == 0) hopper::named_wait(1, 2 * kGroup);  // the turn that group 1 has given back
}

#endif

template <KvType kType, int kD>
__global__ void __launch_bounds__(kThreads, 1)
    prompt_kernel(PromptArguments a, const __grid_constant__ CUtensorMap map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kD>*>(memory);
  constexpr bool kCopies = kType == KvType::kF16;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int i = 0; i < 2; ++i) {
      hopper::barrier_init(&shared.query.full[i], kCopies ? kFetchers - 32 : kFetchers);
      for (Place* place : {&shared.key, &shared.value})
        hopper::barrier_init(&place->full[i], kCopies ? 1 : kFetchers);
      for (Place* place : {&shared.query, &shared.key, &shared.value})
        hopper::barrier_init(&place->free[i], 2 * kGroup / 32);
    }
    hopper::barrier_init(&shared.landed, 1);
    hopper::barrier_init_done();
  }
  wait_for_previous();
  fetch_queries<kD>(a, prompt_item(a, item_of(0)), shared.queries[0], thread, kThreads);
  hopper::show_writes();
  __syncthreads();
  // A multiprocessor has 512 registers for a warp of each group.
  if (thread < kFetchers) {
    hopper::give_registers<kCopies ? 88 : 104>();
    fetch_items<kType, kD>(a, map, shared);
  } else {
    hopper::take_registers<kCopies ? 208 : 200>();
    multiply_items<kD>(a, shared);
  }
#endif
}

template <KvType kType, int kD>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  constexpr int kBytes = (2 + 2 * kStages) * kD / 64 * kBlockBytes + 256;
  CUtensorMap map{};
  if (kType == KvType::kF16)
    map = tensor_map(CU_TENSOR_MAP_DATA_TYPE_FLOAT16, CU_TENSOR_MAP_SWIZZLE_128B,
                     arguments.cache.pages, arguments.shape.D, int64_t{1} << 31,
                     page_form(kType, static_cast<int>(arguments.shape.D)).row_bytes, 64, kPage);
  const auto kernel = prompt_kernel<kType, kD>;
  TRIT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const int64_t blocks = std::min<int64_t>(arguments.items(), device_limits().multiprocessors);
  launch_chained(stream, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), kBytes, kernel,
                 arguments, map);
}

template <KvType kType>
void launch(StreamHandle stream, const PromptArguments& arguments) {
  if (arguments.shape.D <= 64) return launch<kType, 64>(stream, arguments);
  launch<kType, 128>(stream, arguments);
}

}  // namespace

void attention_of_tiles_sm90(StreamHandle stream, const PromptArguments& arguments) {
  if (arguments.cache.type == KvType::kF16) return launch<KvType::kF16>(stream, arguments);
  if (arguments.cache.type == KvType::kInt8) return launch<KvType::kInt8>(stream, arguments);
  launch<KvType::kInt4>(stream, arguments);
}

}  // namespace trit::cuda
