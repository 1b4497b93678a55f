#include "infer/engine.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"

namespace trit {
namespace {

constexpr int64_t kHeadRows = 64;      // rows whose logits are there at once, at most
constexpr int64_t kMostLargest = 256;  // who needs more of a row's largest logits gets all of them

void require_targets(const Request& request, int64_t vocabulary) {
  if (request.targets.empty()) return;
  if (request.targets.size() > request.prompt.size() || request.max_tokens > 0) {
    bad_input(
        "targets: there are {}, for a prompt of {} tokens and max_tokens {}; it must be one per "
        "token of the prompt at "
        "most, and max_tokens 0",
        request.targets.size(), request.prompt.size(), request.max_tokens);
  }
  for (const int32_t token : request.targets) {
    if (token < 0 || token >= vocabulary)
      bad_input("targets: there is no token {}; the vocabulary has {}", token, vocabulary);
  }
}

}  // namespace

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::kLength:
      return "length";
    case StopReason::kEndOfText:
      return "end of text";
    case StopReason::kStopString:
      return "stop string";
    case StopReason::kContextFull:
      return "context full";
    case StopReason::kInterrupted:
      return "interrupted";
    case StopReason::kFailed:
      return "failure";
  }
  return "?";
}

Engine::Engine(Backend& backend, const EngineOptions& options)
    : backend_(backend),
      options_(options),
      pool_(backend.pages(), backend.page_positions()),
      context_(std::min(pool_.pages() * pool_.page_positions(), backend.config().context)) {
  if (options.context > 0) context_ = std::min(context_, options.context);
  TRIT_CHECK(options.max_sequences > 0 && options.prompt_rows_beside > 0);
  options_.max_sequences = std::min(options.max_sequences, backend.max_rows());
}

RequestId Engine::submit(Request request) {
  const int64_t count = std::ssize(request.prompt), vocabulary = backend_.config().vocabulary;
  if (count == 0) bad_input("prompt: it has no tokens; it must have at least one");
  if (count > context_) {
    bad_input("prompt: it has {} tokens; the context has room for {}", count, context_);
  }
  for (const int32_t token : request.prompt) {
    if (token < 0 || token >= vocabulary) {
      bad_input("prompt: there is no token {}; the vocabulary has {}", token, vocabulary);
    }
  }
  if (request.max_tokens < 0)
    bad_input("max_tokens: {} is negative; it must be 0 or more", request.max_tokens);
  require_targets(request, vocabulary);
  Sequence sequence(next_, std::move(request), pool_);
  sequence.observed = sequence.request.observe_from;
  waiting_.emplace(next_, std::move(sequence));
  return next_++;
}

bool Engine::cancel(RequestId id) {
  if (const auto found = running_.find(id); found != running_.end()) {
    release(found->second);
    running_.erase(found);
    return true;
  }
  return waiting_.erase(id) > 0;
}

EngineStatus Engine::status() const {
  EngineStatus status = totals_;
  status.running = std::ssize(running_);
  status.waiting = std::ssize(waiting_);
  status.pages = pool_.pages();
  status.held_pages = pool_.pages() - pool_.available();
  status.cached_pages = pool_.cached();
  return status;
}

std::span<const Event> Engine::step() {
  const ParallelSection awake;
  events_.clear();
  plan();
  if (!parts_.empty()) run(parts_);
  totals_.steps += parts_.empty() ? 0 : 1;
  return events_;
}

// ---- Which rows run ----

// Sequences that generate come first, a row each; what is left of the step goes to prompts, the oldest first.
// Pages are given in the order of age, so whoever has to stand back has no rows in this step yet.
void Engine::plan() {
  parts_.clear();
  const int64_t generating =
      std::ranges::count_if(running_, [](const auto& entry) { return entry.second.generates(); });
  int64_t prompt_rows = backend_.max_rows() - generating;
  if (generating > 0) prompt_rows = std::min(prompt_rows, options_.prompt_rows_beside);
  for (auto it = running_.begin(); it != running_.end(); ++it) {
    Sequence& s = it->second;
    const int64_t rows = s.generates() ? 1 : std::min(s.left(), prompt_rows);
    if (!schedule(s, rows)) break;
    if (!s.generates()) prompt_rows -= rows;
  }
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (prompt_rows == 0 || std::ssize(running_) == options_.max_sequences) break;
    const auto next = std::next(it);
    if (!options_.prefix_cache || !is_coming(it->second)) {
      if (!admit(it->second)) break;
      Sequence& s = running_.insert(waiting_.extract(it)).position->second;
      const int64_t rows = std::min(s.left(), prompt_rows);
      TRIT_CHECK(schedule(s, rows));  // admit() saw to it that there are pages
      prompt_rows -= rows;
    }
    it = next;
  }
}

// Gives the sequence its next rows and the pages for them. False when it had to stand back itself.
bool Engine::schedule(Sequence& s, int64_t rows) {
  if (rows == 0) return true;
  while (!s.pages.reserve(s.computed + rows)) {
    Sequence& youngest = running_.rbegin()->second;
    const bool itself = &youngest == &s;
    preempt(youngest);
    if (itself) return false;
  }
  parts_.push_back({&s, rows});
  return true;
}

void Engine::preempt(Sequence& s) {
  ++totals_.preemptions;
  release(s);
  s.computed = 0;
  waiting_.insert(running_.extract(s.id));
}

// The first tokens that need not be computed when the cache has them: of the last one the logits are needed.
std::span<const int32_t> Engine::reusable(const Sequence& s) const {
  int64_t count = s.size() - 1;
  if (s.request.observe) count = std::min(count, s.observed);
  if (s.scores_more()) count = std::min(count, s.unscored());
  return std::span(s.tokens).first(static_cast<size_t>(count));
}

// A running sequence is about to compute a page that this one needs and nobody has yet: it pays to wait.
bool Engine::is_coming(const Sequence& s) const {
  const auto mine = reusable(s);
  return std::ranges::any_of(running_, [&](const auto& entry) {
    const Sequence& other = entry.second;
    if (other.generates()) return false;
    const auto differs =
        std::mismatch(mine.begin(), mine.end(), other.tokens.begin(), other.tokens.end()).first;
    const int64_t common =
        (differs - mine.begin()) / pool_.page_positions() * pool_.page_positions();
    return other.computed < common;
  });
}

// Takes what the cache has of a sequence, when there is room for all of its tokens and a page for each
// sequence that runs already.
bool Engine::admit(Sequence& s) {
  TRIT_CHECK(s.pages.size() == 0 && s.computed == 0);
  int64_t have = options_.prefix_cache ? s.pages.adopt_full_pages(reusable(s)) : 0;
  if (pool_.pages_for(s.size()) - s.pages.size() + std::ssize(running_) > pool_.available()) {
    s.pages.truncate(0);
    return false;
  }
  if (options_.prefix_cache) {
    have = s.pages.adopt_part(reusable(s),
                              [&](PageId from, PageId to) { backend_.copy_page(from, to); });
  }
  s.computed = have;
  if (s.reused < 0) {
    s.reused = have;
    totals_.reused += have;
  }
  return true;
}

// ---- A step ----

void Engine::run(std::span<const Part> parts) {
  tokens_.clear();
  slots_.clear();
  tables_.clear();
  for (const auto& [s, rows] : parts) {
    for (int64_t p = s->computed; p < s->computed + rows; ++p) {
      tokens_.push_back(s->tokens[static_cast<size_t>(p)]);
      slots_.push_back({static_cast<int32_t>(tables_.size()), static_cast<int32_t>(p)});
    }
    tables_.push_back(s->pages.pages());
  }
  try {
    backend_.run({tokens_, slots_, tables_});
  } catch (const Error& error) {
    // Whose fault it is shows when each runs alone: a row does not depend on others.
    if (parts.size() == 1) return fail(*parts[0].sequence, error.what());
    for (const Part& part : parts) run({&part, 1});
    return;
  }
  totals_.rows += std::ssize(tokens_);
  advance(parts);
}

void Engine::advance(std::span<const Part> parts) {
  wanted_.clear();
  scored_.clear();
  int64_t row = 0;
  for (const auto& [s, rows] : parts) {
    for (int64_t i = 0; i < rows; ++i, ++row, ++s->computed) {
      if (s->scores_more() && s->computed == s->unscored()) {
        scored_.push_back({s, row, s->scores.size()});
        s->scores.emplace_back();
      }
      const bool sample = s->left() == 1 && s->request.max_tokens > 0;
      const bool observe = s->request.observe && s->computed >= s->observed;
      if (!sample && !observe) continue;
      int64_t needed = observe ? 0 : std::min(s->sampler.needed(), backend_.config().vocabulary);
      if (needed > kMostLargest) needed = 0;
      wanted_.push_back({s, row, s->computed, observe, sample, needed});
    }
    if (options_.prefix_cache) s->pages.publish_full_pages(s->computed_tokens());
  }
  const auto largest = std::stable_partition(wanted_.begin(), wanted_.end(),
                                             [](const Wanted& w) { return w.needed == 0; });
  const auto in_groups = [](std::span<const Wanted> all, auto read) {
    for (size_t begin = 0; begin < all.size(); begin += kHeadRows)
      read(all.subspan(begin, std::min<size_t>(kHeadRows, all.size() - begin)));
  };
  in_groups({wanted_.begin(), largest}, [&](auto group) { read_logits(group); });
  in_groups({largest, wanted_.end()}, [&](auto group) { read_largest(group); });
  read_scores(scored_);
  for (const auto& [s, rows] : parts) {
    if (s->left() > 0) continue;
    if (s->request.max_tokens == 0) {
      end(*s, {.end = StopReason::kLength});
    } else {
      accept(*s);
    }
  }
}

void Engine::read_logits(std::span<const Wanted> wanted) {
  const int64_t vocabulary = backend_.config().vocabulary, count = std::ssize(wanted);
  rows_.clear();
  for (const Wanted& w : wanted) rows_.push_back(w.row);
  if (std::ssize(logits_) < count * vocabulary)
    logits_ = Buffer<float>(static_cast<size_t>(count * vocabulary));
  const Matrix logits{logits_.data(), count, vocabulary};
  backend_.logits(rows_, logits);
  const auto row = [&](int64_t i) {
    return std::span(logits.row(i), static_cast<size_t>(vocabulary));
  };
  for (int64_t i = 0; i < count; ++i) {
    const Wanted& w = wanted[static_cast<size_t>(i)];
    if (!w.observe) continue;
    w.sequence->request.observe(w.position, row(i));
    w.sequence->observed = w.position + 1;
  }
  parallel_for(count, [&](int64_t i) {
    const Wanted& w = wanted[static_cast<size_t>(i)];
    if (w.sample) w.sequence->sampled = w.sequence->sampler.sample(row(i), w.sequence->tokens);
  });
}

void Engine::read_largest(std::span<const Wanted> wanted) {
  const int64_t k = std::ranges::max(wanted, {}, &Wanted::needed).needed,
                count = std::ssize(wanted);
  rows_.clear();
  for (const Wanted& w : wanted) rows_.push_back(w.row);
  largest_.resize(static_cast<size_t>(count * k));
  backend_.top(rows_, k, largest_);
  for (int64_t i = 0; i < count; ++i) {
    Sequence& s = *wanted[static_cast<size_t>(i)].sequence;
    const auto best =
        std::span(largest_).subspan(static_cast<size_t>(i * k), static_cast<size_t>(k));
    s.sampled = s.sampler.sample(best, s.tokens);
  }
}

void Engine::read_scores(std::span<const Scored> scored) {
  if (scored.empty()) return;
  rows_.clear();
  targets_.clear();
  for (const Scored& s : scored) {
    rows_.push_back(s.row);
    targets_.push_back(s.sequence->request.targets[s.target]);
  }
  losses_.resize(scored.size());
  backend_.losses(rows_, targets_, losses_);
  largest_.resize(scored.size());
  const bool compare = std::ranges::any_of(
      scored, [](const Scored& s) { return s.sequence->request.compare_greedy; });
  if (compare) backend_.top(rows_, 1, largest_);
  for (size_t i = 0; i < scored.size(); ++i) {
    scored[i].sequence->scores[scored[i].target] = {losses_[i],
                                                    compare && largest_[i].token == targets_[i]};
  }
}

// ---- Ends ----

void Engine::accept(Sequence& s) {
  const int32_t token = s.sampled;
  s.tokens.push_back(token);
  std::optional<StopReason> reason;
  if (std::ranges::find(s.request.end_tokens, token) != s.request.end_tokens.end()) {
    reason = StopReason::kEndOfText;
  } else if (s.size() - std::ssize(s.request.prompt) == s.request.max_tokens) {
    reason = StopReason::kLength;
  } else if (s.size() > context_) {
    reason = StopReason::kContextFull;
  }
  if (reason) return end(s, {.token = token, .end = reason});
  events_.push_back({.id = s.id, .token = token, .reused = s.reused});
}

void Engine::fail(Sequence& s, std::string error) {
  s.pages.truncate(0);  // what its last rows left there is not for others
  s.computed = 0;
  end(s, {.end = StopReason::kFailed, .error = std::move(error)});
}

void Engine::end(Sequence& s, Event event) {
  event.id = s.id;
  event.reused = s.reused;
  if (event.end != StopReason::kFailed) event.scores = std::move(s.scores);
  release(s);
  running_.erase(s.id);
  events_.push_back(std::move(event));
}

void Engine::release(Sequence& s) {
  if (options_.prefix_cache) {
    s.pages.publish_and_release(s.computed_tokens());
  } else {
    s.pages.truncate(0);
  }
}

}  // namespace trit
