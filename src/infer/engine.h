#pragma once
// Many sequences of different lengths advance together, one step at a time.
//
//   Engine engine(backend);
//   const RequestId id = engine.submit({.prompt = tokens, .max_tokens = 100});
//   while (!engine.idle())
//     for (const Event& event : engine.step()) ...
//
// A step runs a row for every sequence that generates, and beside them a piece of the prompts that are not
// through yet. The tokens of a request depend on it alone: not on what else runs, on how its prompt was cut, on what
// was found in the cache, or on whether it had to stand back in between.
//
// Sequences take pages of the cache as they grow. When there are none, the youngest stands back: its pages are
// given to the others, and it is run again later from the tokens that it had. The oldest is never held up,
// so every request that submit() takes comes to its end.
//
// Not thread-safe: one thread submits, steps and cancels.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "infer/backend.h"
#include "infer/sampler.h"
#include "infer/sequence_pages.h"

namespace trit {

enum class StopReason : uint8_t {
  kLength,
  kEndOfText,
  kStopString,
  kContextFull,
  kInterrupted,
  kFailed
};
std::string_view to_string(StopReason reason);  // "length", "end of text", ...

using RequestId = int64_t;

struct Request {
  std::vector<int32_t> prompt;      // at least one token
  int64_t max_tokens = 256;         // to be sampled; 0: the prompt is run and that is all
  std::vector<int32_t> end_tokens;  // the sequence ends when one of these is sampled
  SamplerOptions sampler;
  // For evaluation: gets the logits [V] after position observe_from and after each later one, once each and in
  // order, before the next token is sampled from them. May not call the engine.
  std::function<void(int64_t position, std::span<const float> logits)> observe;
  int64_t observe_from = 0;
  // For evaluation: what the model thinks of targets[i] behind the prompt's first
  // prompt.size() - targets.size() + i + 1 tokens. Needs max_tokens 0; the scores come with the request's end.
  std::vector<int32_t> targets;
  bool compare_greedy = false;  // find out TokenScore::greedy too
};

// Of one target.
struct TokenScore {
  float loss = 0;       // -log p, in nats
  bool greedy = false;  // it is the first token of the largest logit
};

// A sampled token, or the end of a request, or both at once.
struct Event {
  RequestId id = 0;
  int32_t token = -1;  // -1: none
  std::optional<StopReason> end = {};
  int64_t reused = 0;                   // tokens of the prompt that were found in the cache
  std::string error = {};               // with kFailed
  std::vector<TokenScore> scores = {};  // of Request::targets
};

struct EngineOptions {
  int64_t context = 0;         // positions of a sequence, at most; 0: the model's
  int64_t max_sequences = 64;  // that run at once; the others wait
  // Rows of prompts in a step, at most, while other sequences generate: what bounds the time between two tokens.
  int64_t prompt_rows_beside = 64;
  bool prefix_cache =
      true;  // look for what earlier sequences computed, and leave it for later ones
};

struct EngineStatus {
  int64_t running = 0, waiting = 0;                          // sequences
  int64_t pages = 0, held_pages = 0, cached_pages = 0;       // cached: held by nobody, findable
  int64_t steps = 0, rows = 0, reused = 0, preemptions = 0;  // since the beginning
};

class Engine {
 public:
  // The backend must outlive the engine and serve no other.
  explicit Engine(Backend& backend, const EngineOptions& options = {});

  // Throws Error when the prompt is empty, has a token that the model does not, or leaves no position of
  // context() free, when targets are no tokens, more than the prompt's or beside max_tokens, and when the sampler's options
  // are out of range.
  RequestId submit(Request request);
  // Ends a request without an event; false when it is unknown or has ended. What it computed stays in the
  // prefix cache.
  bool cancel(RequestId id);
  // Nothing is running or waiting.
  bool idle() const { return running_.empty() && waiting_.empty(); }

  // Runs one step and returns what came of it, valid until the next call. A sequence whose activations are not
  // finite ends with kFailed; the others go on.
  std::span<const Event> step();

  // Positions that a sequence can have: the option's, the model's or the whole cache's, whatever is least.
  int64_t context() const { return context_; }
  EngineStatus status() const;
  // Drops what is kept for later sequences.
  void forget_prefixes() { pool_.forget(); }

 private:
  struct Sequence {
    Sequence(RequestId number, Request r, PagePool& pool)
        : id(number),
          request(std::move(r)),
          tokens(request.prompt),
          pages(pool),
          sampler(request.sampler) {}
    RequestId id;
    Request request;
    std::vector<int32_t> tokens;  // the prompt and what was sampled
    int64_t computed = 0;         // tokens whose keys and values are in the pages
    int64_t observed = 0;         // positions before this one need not be observed any more
    int64_t reused = -1;          // -1: it never ran
    SequencePages pages;
    Sampler sampler;
    int32_t sampled = -1;
    std::vector<TokenScore> scores;  // of the first targets
    // There are targets left; the next is scored behind this position.
    bool scores_more() const { return scores.size() < request.targets.size(); }
    int64_t unscored() const {
      return std::ssize(request.prompt) - std::ssize(request.targets) + std::ssize(scores);
    }
    int64_t size() const { return std::ssize(tokens); }
    std::span<const int32_t> computed_tokens() const {
      return std::span(tokens).first(static_cast<size_t>(computed));
    }
    int64_t left() const { return size() - computed; }
    bool generates() const { return size() > std::ssize(request.prompt) && left() == 1; }
  };
  // By age, the oldest first.
  using Sequences = std::map<RequestId, Sequence>;
  // The next rows of a sequence.
  struct Part {
    Sequence* sequence;
    int64_t rows;
  };
  // A row of the step whose logits somebody needs.
  struct Wanted {
    Sequence* sequence;
    int64_t row, position;
    bool observe, sample;
    int64_t needed;  // logits, the largest; 0: all of them
  };

  // A row of the step behind which a target of the sequence is scored.
  struct Scored {
    Sequence* sequence;
    int64_t row;
    size_t target;
  };

  void plan();
  bool admit(Sequence& sequence);
  bool schedule(Sequence& sequence, int64_t rows);
  void preempt(Sequence& sequence);
  std::span<const int32_t> reusable(const Sequence& sequence) const;
  bool is_coming(const Sequence& sequence) const;

  void run(std::span<const Part> parts);
  void advance(std::span<const Part> parts);
  void read_logits(std::span<const Wanted> wanted);
  void read_largest(std::span<const Wanted> wanted);
  void read_scores(std::span<const Scored> scored);

  void accept(Sequence& sequence);
  void fail(Sequence& sequence, std::string error);
  void end(Sequence& sequence, Event event);
  void release(Sequence& sequence);

  Backend& backend_;
  EngineOptions options_;
  PagePool pool_;
  int64_t context_;
  Sequences running_, waiting_;
  RequestId next_ = 0;
  EngineStatus totals_;
  // Of the step that runs.
  std::vector<Part> parts_;
  std::vector<Event> events_;
  std::vector<int32_t> tokens_;
  std::vector<TokenSlot> slots_;
  std::vector<PageTable> tables_;
  std::vector<Wanted> wanted_;
  std::vector<Scored> scored_;
  std::vector<int64_t> rows_;
  Buffer<float> logits_;
  std::vector<TokenLogit> largest_;
  std::vector<int32_t> targets_;
  std::vector<float> losses_;
};

}  // namespace trit
