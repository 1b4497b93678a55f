#include "infer/rank_backend.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace trit {
namespace {

enum class Call : int64_t { kRun, kLogits, kTop, kCopyPage, kEnd };

// What rank 0 announces before each call: which, and how much is coming.
struct Header {
  Call call = Call::kEnd;
  int64_t rows = 0, tables = 0,
          pages =
              0;  // of kRun; of kLogits the rows; of kTop the rows and k; of kCopyPage from and to
};

template <class T>
std::span<std::byte> bytes_of(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

// A batch in arrays that can be sent.
struct FlatBatch {
  std::vector<int32_t> tokens;
  std::vector<TokenSlot> slots;
  std::vector<int64_t> table_sizes;
  std::vector<int32_t> pages;

  FlatBatch() = default;
  explicit FlatBatch(const Batch& batch)
      : tokens(batch.tokens.begin(), batch.tokens.end()),
        slots(batch.slots.begin(), batch.slots.end()) {
    for (const PageTable& table : batch.tables) {
      table_sizes.push_back(std::ssize(table));
      pages.insert(pages.end(), table.begin(), table.end());
    }
  }
  Header header() const {
    return {Call::kRun, std::ssize(tokens), std::ssize(table_sizes), std::ssize(pages)};
  }
  void resize(const Header& header) {
    tokens.resize(static_cast<size_t>(header.rows));
    slots.resize(static_cast<size_t>(header.rows));
    table_sizes.resize(static_cast<size_t>(header.tables));
    pages.resize(static_cast<size_t>(header.pages));
  }
  void broadcast(Collectives& job) {
    job.broadcast(bytes_of(tokens), 0);
    job.broadcast(bytes_of(slots), 0);
    job.broadcast(bytes_of(table_sizes), 0);
    job.broadcast(bytes_of(pages), 0);
  }
  void run(Backend& backend) const {
    std::vector<PageTable> tables;
    const int32_t* next = pages.data();
    for (const int64_t size : table_sizes) {
      tables.emplace_back(next, static_cast<size_t>(size));
      next += size;
    }
    backend.run({tokens, slots, tables});
  }
};

// How a rank's part went, of one size for all: empty when it went well.
using Outcome = std::array<char, 512>;

// Runs the batch on this rank; then everybody learns of everybody. Throws the first Error.
void run_together(const Ranks& ranks, Backend& own, const FlatBatch& batch) {
  Outcome mine{};
  try {
    batch.run(own);
  } catch (const Error& error) {
    std::snprintf(mine.data(), mine.size(), "%s", error.what());
  }
  Collectives& job = *ranks.job();
  std::vector<Outcome> all(static_cast<size_t>(job.size()));
  job.all_gather(std::as_bytes(std::span(mine)), bytes_of(all));
  for (const Outcome& outcome : all)
    if (outcome[0] != '\0') throw Error(outcome.data());
}

// What the ranks of the last stage have; from one of them to rank 0.
void to_rank_0(const Ranks& ranks, std::span<std::byte> bytes) {
  if (ranks.stages() == 1) return;
  Collectives& job = *ranks.job();
  const int from = job.size() - ranks.tensor_size();
  if (job.rank() == from) job.send(bytes, 0);
  if (job.rank() == 0) job.receive(bytes, from);
}

void logits_together(const Ranks& ranks, Backend& own, std::span<const int64_t> rows, Matrix out) {
  if (ranks.last_stage()) own.logits(rows, out);
  to_rank_0(ranks, std::as_writable_bytes(std::span(out.data, static_cast<size_t>(out.size()))));
}

void top_together(const Ranks& ranks, Backend& own, std::span<const int64_t> rows, int64_t k,
                  std::span<TokenLogit> out) {
  if (ranks.last_stage()) own.top(rows, k, out);
  to_rank_0(ranks, std::as_writable_bytes(out));
}

int64_t fewest_pages(Collectives& job, int64_t mine) {
  std::vector<int64_t> all(static_cast<size_t>(job.size()));
  job.all_gather(std::as_bytes(std::span(&mine, 1)), bytes_of(all));
  return *std::ranges::min_element(all);
}

void announce(Collectives& job, Header& header) {
  job.broadcast(std::as_writable_bytes(std::span(&header, 1)), 0);
}

}  // namespace

RankBackend::RankBackend(const Ranks& ranks, Backend& own)
    : ranks_(ranks), own_(own), pages_(fewest_pages(*ranks.job(), own.pages())) {}

RankBackend::~RankBackend() {
  Header end;
  announce(*ranks_.job(), end);
}

void RankBackend::run(const Batch& batch) {
  FlatBatch flat(batch);
  Header header = flat.header();
  announce(*ranks_.job(), header);
  flat.broadcast(*ranks_.job());
  run_together(ranks_, own_, flat);
}

void RankBackend::logits(std::span<const int64_t> rows, Matrix out) {
  Header header{.call = Call::kLogits, .rows = std::ssize(rows)};
  announce(*ranks_.job(), header);
  std::vector<int64_t> sent(rows.begin(), rows.end());
  ranks_.job()->broadcast(bytes_of(sent), 0);
  logits_together(ranks_, own_, rows, out);
}

void RankBackend::top(std::span<const int64_t> rows, int64_t k, std::span<TokenLogit> out) {
  Header header{.call = Call::kTop, .rows = std::ssize(rows), .tables = k};
  announce(*ranks_.job(), header);
  std::vector<int64_t> sent(rows.begin(), rows.end());
  ranks_.job()->broadcast(bytes_of(sent), 0);
  top_together(ranks_, own_, rows, k, out);
}

void RankBackend::copy_page(PageId from, PageId to) {
  Header header{.call = Call::kCopyPage, .rows = from, .tables = to};
  announce(*ranks_.job(), header);
  own_.copy_page(from, to);
}

void follow(const Ranks& ranks, Backend& own) {
  Collectives& job = *ranks.job();
  fewest_pages(job, own.pages());
  FlatBatch batch;
  std::vector<int64_t> rows;
  std::vector<float> logits;
  std::vector<TokenLogit> top;
  for (;;) {
    Header header;
    announce(job, header);
    switch (header.call) {
      case Call::kRun:
        batch.resize(header);
        batch.broadcast(job);
        try {
          run_together(ranks, own, batch);
        } catch (const Error&) {
          // Rank 0 has it too, and says what becomes of the sequences.
        }
        break;
      case Call::kLogits:
        rows.resize(static_cast<size_t>(header.rows));
        job.broadcast(bytes_of(rows), 0);
        logits.resize(static_cast<size_t>(header.rows * own.config().vocabulary));
        logits_together(ranks, own, rows, {logits.data(), header.rows, own.config().vocabulary});
        break;
      case Call::kTop:
        rows.resize(static_cast<size_t>(header.rows));
        job.broadcast(bytes_of(rows), 0);
        top.resize(static_cast<size_t>(header.rows * header.tables));
        top_together(ranks, own, rows, header.tables, top);
        break;
      case Call::kCopyPage:
        own.copy_page(static_cast<PageId>(header.rows), static_cast<PageId>(header.tables));
        break;
      case Call::kEnd:
        return;
    }
  }
}

}  // namespace trit
