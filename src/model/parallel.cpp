#include "model/parallel.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"
#include "quant/packing.h"

namespace trit {
namespace {

enum class Message : int32_t { kRows, kFailed };

template <class T>
std::span<std::byte> bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}
std::span<const std::byte> bytes_of(ConstMatrix m) {
  return std::as_bytes(std::span(m.data, static_cast<size_t>(m.size())));
}
std::span<std::byte> bytes_of(Matrix m) {
  return std::as_writable_bytes(std::span(m.data, static_cast<size_t>(m.size())));
}

void require_divisible(std::string_view field, int64_t value, int ranks) {
  if (value % ranks != 0)
    bad_input(
        "tensor parallelism over {} ranks: the model has {} {}, which they cannot share evenly",
        ranks, value, field);
}

// Some outputs of a layer.
void keep_rows(Linear& layer, const Share& rows) {
  layer.outputs = rows.size();
  TRIT_CHECK(layer.tiles == nullptr);
  if (layer.packed) layer.packed += rows.begin * packed_row_bytes(layer.inputs);
  if (layer.run_scales) layer.run_scales += rows.begin * runs(layer.inputs);
  if (layer.dense.data) layer.dense.data = layer.dense.row(rows.begin, layer.inputs);
}

}  // namespace

Share share_of(int64_t total, int rank, int size) {
  return {total * rank / size, total * (rank + 1) / size};
}

Ranks::Ranks(Collectives& job, int stages) : job_(&job), stages_(stages) {
  if (stages < 1 || job.size() % stages != 0)
    bad_input("{} pipeline stages: the job has {} ranks, which must be a multiple of them", stages,
              job.size());
  stage_ = job.rank() / (job.size() / stages);
  tensor_ = job.split(stage_);
}

void Ranks::gather_columns(ConstMatrix part, Matrix full, Workspace& workspace) const {
  const int size = tensor_size();
  if (size == 1) {
    TRIT_CHECK(part.data == full.data);
    return;
  }
  // Every rank sends as much: shares that are one column short are filled up.
  const int64_t N = full.rows, widest = (full.columns + size - 1) / size;
  float* mine = workspace.get<float>("gather_part", N * widest);
  float* all = workspace.get<float>("gather_all", N * widest * size);
  for (int64_t n = 0; n < N; ++n) {
    std::copy_n(part.row(n), part.columns, mine + n * widest);
    std::fill_n(mine + n * widest + part.columns, widest - part.columns, 0.0f);
  }
  tensor_->all_gather(bytes_of(ConstMatrix{mine, N, widest}),
                      bytes_of(Matrix{all, N * size, widest}));
  parallel_for(N, [&](int64_t n) {
    for (int r = 0; r < size; ++r) {
      const Share share = share_of(full.columns, r, size);
      std::copy_n(all + (r * N + n) * widest, share.size(), full.row(n) + share.begin);
    }
  });
}

void Ranks::send_rows(ConstMatrix rows) const {
  Message message = Message::kRows;
  const int to = job_->rank() + tensor_size();
  job_->send(bytes_of(message), to);
  job_->send(bytes_of(rows), to);
}

void Ranks::send_failure() const {
  Message message = Message::kFailed;
  job_->send(bytes_of(message), job_->rank() + tensor_size());
}

void Ranks::receive_rows(Matrix rows) const {
  Message message{};
  const int from = job_->rank() - tensor_size();
  job_->receive(bytes_of(message), from);
  if (message == Message::kFailed) failure("an earlier stage of the pipeline failed");
  job_->receive(bytes_of(rows), from);
}

const Ranks& alone() {
  static const Ranks one;
  return one;
}

Ranks ranks_of_job(int stages) {
  return world().size() == 1 && stages == 1 ? Ranks() : Ranks(world(), stages);
}

Config part_of(const Config& config, const Ranks& ranks) {
  Config part = config;
  const int size = ranks.tensor_size();
  require_divisible("heads", config.heads, size);
  require_divisible("key/value heads", config.kv_heads, size);
  part.heads /= size;
  part.kv_heads /= size;
  part.ffn = share_of(config.ffn, ranks.tensor_rank(), size).size();
  return part;
}

Weights part_of(const Weights& weights, const Ranks& ranks) {
  Weights part = weights;
  const Config& c = weights.config;
  const int rank = ranks.tensor_rank(), size = ranks.tensor_size();
  const auto share = [&](int64_t total) { return share_of(total, rank, size); };
  part_of(c, ranks);  // the check
  const Share layers = ranks.layers(c.layers);
  for (int64_t l = layers.begin; l < layers.end; ++l) {
    for (Linear& linear : part.layers[static_cast<size_t>(l)].projections)
      keep_rows(linear, share(linear.outputs));
  }
  keep_rows(part.head, share(c.vocabulary));
  return part;
}

}  // namespace trit
