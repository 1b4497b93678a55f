// Milliseconds of a step of many sequences, a token of each with its likeliest successor, and of prompts in pieces, of
// models of random weights on an NVIDIA device.
//
//   cuda_batch [--llama] [--kv TYPE] [--layers N] [--at POSITION] [--sequences N,..] [--prompt N --pieces N,..] 700M ...
//
// --layers: with so many layers in place of the model's. All sequences have keys and values of their own.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "infer/cpu_backend.h"
#include "infer/cuda/backend.h"

namespace trit {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Options {
  Family family = Family::kBitNet;
  KvType kv = KvType::kF16;
  int64_t layers = 0, at = 510, prompt = 0;
  std::vector<int64_t> sequences, pieces;
};

std::vector<int64_t> numbers(const std::string& text) {
  std::vector<int64_t> all;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    all.push_back(std::stol(text.substr(at, end - at)));
    at = end + 1;
  }
  return all;
}

// Milliseconds: the median of a few, when all are warm.
template <class Call>
double time_of(int times, const Call& call) {
  std::vector<double> all;
  for (int i = 0; i < times + 2; ++i) {
    const double begin = seconds();
    call();
    if (i >= 2) all.push_back(seconds() - begin);
  }
  std::ranges::nth_element(all, all.begin() + times / 2);
  return all[static_cast<size_t>(times) / 2] * 1e3;
}

class Runs {
 public:
  Runs(const Config& config, CudaWeights weights, const Options& options, int64_t sequences,
       int64_t positions, int64_t rows)
      : vocabulary_(config.vocabulary), pages_each_((positions + 63) / 64) {
    backend_ = cuda_backend(
        std::move(weights),
        {.kv_type = options.kv, .positions = sequences * pages_each_ * 64, .max_rows = rows});
    pages_.resize(static_cast<size_t>(sequences * pages_each_));
    std::iota(pages_.begin(), pages_.end(), 0);
    for (int64_t s = 0; s < sequences; ++s)
      tables_.push_back(PageTable(pages_).subspan(static_cast<size_t>(s * pages_each_),
                                                  static_cast<size_t>(pages_each_)));
  }

  // Positions [first, first + count) of one sequence.
  void prompt(int64_t first, int64_t count) {
    slots_.clear();
    for (int64_t i = 0; i < count; ++i) slots_.push_back({0, static_cast<int32_t>(first + i)});
    run({count - 1});
  }
  void token_of_each(int64_t position) {
    slots_.clear();
    std::vector<int64_t> rows(tables_.size());
    std::iota(rows.begin(), rows.end(), 0);
    for (size_t s = 0; s < tables_.size(); ++s)
      slots_.push_back({static_cast<int32_t>(s), static_cast<int32_t>(position)});
    run(rows);
  }
  // Every sequence gets copies of what the first one has.
  void spread() {
    for (size_t s = 1; s < tables_.size(); ++s)
      for (size_t i = 0; i < tables_[0].size(); ++i)
        backend_->copy_page(tables_[0][i], tables_[s][i]);
  }

 private:
  void run(const std::vector<int64_t>& rows) {
    tokens_.clear();
    for (size_t i = 0; i < slots_.size(); ++i)
      tokens_.push_back(static_cast<int32_t>(++count_ * 7919 % vocabulary_));
    backend_->run({tokens_, slots_, tables_});
    best_.resize(rows.size());
    backend_->top(rows, 1, best_);
  }

  int64_t vocabulary_, pages_each_, count_ = 0;
  std::unique_ptr<Backend> backend_;
  std::vector<int32_t> pages_, tokens_;
  std::vector<PageTable> tables_;
  std::vector<TokenSlot> slots_;
  std::vector<TokenLogit> best_;
};

void run(const std::string& name, const Options& options) {
  Config c = as_family(preset(name), options.family);
  c.context = std::max<int64_t>({c.context, options.at + 8, options.prompt});
  if (name == "70B") c.kv_heads = 8;
  if (options.layers > 0) c.layers = options.layers;
  const CudaWeights weights = cuda_random_weights(c, 0);
  const auto say = [&](const std::string& what, int64_t tokens, double ms) {
    fmt::print("{:5} {:7} {:4} {} layers, {}: {:.3f} ms, {:.0f} tokens/s\n", name,
               to_string(options.family), to_string(options.kv), c.layers, what, ms,
               static_cast<double>(tokens) / ms * 1e3);
    std::fflush(stdout);
  };
  for (const int64_t sequences : options.sequences) {
    Runs runs(c, weights, options, sequences, options.at + 2, std::max<int64_t>(sequences, 512));
    for (int64_t first = 0; first < options.at; first += 512)
      runs.prompt(first, std::min<int64_t>(512, options.at - first));
    runs.spread();
    say(fmt::format("{} sequences at {}", sequences, options.at), sequences,
        time_of(7, [&] { runs.token_of_each(options.at); }));
  }
  for (const int64_t piece : options.pieces) {
    Runs runs(c, weights, options, 1, options.prompt, piece);
    say(fmt::format("a prompt of {} in pieces of {}", options.prompt, piece), options.prompt,
        time_of(5, [&] {
          for (int64_t first = 0; first < options.prompt; first += piece)
            runs.prompt(first, std::min(piece, options.prompt - first));
        }));
  }
}

}  // namespace
}  // namespace trit

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  trit::Options options;
  try {
    for (size_t i = 0; i < words.size(); ++i) {
      const auto next = [&] { return i + 1 < words.size() ? words[++i] : std::string(); };
      if (words[i] == "--llama")
        options.family = trit::Family::kLlama;
      else if (words[i] == "--kv")
        options.kv = trit::kv_type_from(next());
      else if (words[i] == "--layers")
        options.layers = std::stol(next());
      else if (words[i] == "--at")
        options.at = std::stol(next());
      else if (words[i] == "--prompt")
        options.prompt = std::stol(next());
      else if (words[i] == "--sequences")
        options.sequences = trit::numbers(next());
      else if (words[i] == "--pieces")
        options.pieces = trit::numbers(next());
      else
        trit::run(words[i], options);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
