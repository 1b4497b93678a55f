#include "infer/generate.h"

#include <algorithm>
#include <list>

#include "base/error.h"
#include "base/timer.h"

namespace trit {

std::string StopFilter::push(std::string_view text) {
  held_ += text;
  size_t match = std::string::npos;
  for (const std::string& stop : stops_) match = std::min(match, held_.find(stop));
  if (match != std::string::npos) {
    stopped_ = true;
    std::string shown = held_.substr(0, match);
    held_.clear();
    return shown;
  }
  // Keep the longest end of the text that is the beginning of a stop string.
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length) {
      if (held_.ends_with(std::string_view(stop).substr(0, length))) keep = length;
    }
  }
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return shown;
}

std::string TextStream::push(const Event& event) {
  std::string text;
  if (event.token >= 0 && event.end != StopReason::kEndOfText)
    text = filter_.push(decoder_.push(event.token));
  if (event.end && !filter_.stopped()) text += filter_.push(decoder_.flush()) + filter_.flush();
  end_ = filter_.stopped() ? StopReason::kStopString : event.end;
  return text;
}

Request request_for(std::vector<int32_t> prompt, const Tokenizer& tokenizer,
                    const GenerateOptions& options) {
  for (const std::string& stop : options.stop) {
    if (stop.empty())
      bad_input("--stop: an empty string would stop at once; give at least one character");
  }
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = options.max_tokens;
  request.sampler = options.sampler;
  if (!options.ignore_end) {
    request.end_tokens = options.end_tokens;
    if (tokenizer.eos_id() >= 0) request.end_tokens.push_back(tokenizer.eos_id());
  }
  return request;
}

namespace {

// One request of generate_samples(). However that ends, the request does too.
class Generation {
 public:
  Generation(Engine& engine, const Tokenizer& tokenizer, const std::vector<int32_t>& prompt,
             const GenerateOptions& options)
      : engine_(engine),
        id_(engine.submit(request_for(prompt, tokenizer, options))),
        prompt_(std::ssize(prompt)),
        text_(tokenizer, options) {}
  Generation(const Generation&) = delete;
  ~Generation() { engine_.cancel(id_); }

  RequestId id() const { return id_; }
  bool ended() const { return end_.has_value(); }
  std::string take(const Event& event);
  void interrupt() { end_ = end_.value_or(StopReason::kInterrupted); }
  GenerateReport report();

 private:
  Engine& engine_;
  RequestId id_;
  int64_t prompt_;
  TextStream text_;
  std::optional<StopReason> end_;
  GenerateReport report_;
  Timer timer_;
};

std::string Generation::take(const Event& event) {
  if (event.end == StopReason::kFailed) throw Error(event.error);
  if (report_.prompt_seconds == 0) {
    report_.prompt_seconds = timer_.seconds();
    report_.reused_tokens = event.reused;
    report_.prompt_tokens = prompt_ - event.reused;
  }
  if (event.token >= 0) report_.tokens.push_back(event.token);
  std::string piece = text_.push(event);
  end_ = text_.end();
  report_.generate_seconds = timer_.seconds() - report_.prompt_seconds;
  if (end_) engine_.cancel(id_);  // when the text is at an end and the request is not
  return piece;
}

GenerateReport Generation::report() {
  report_.generated_tokens = std::ssize(report_.tokens);
  report_.later_tokens = std::max<int64_t>(report_.generated_tokens - 1, 0);
  report_.reason = *end_;
  return std::move(report_);
}

}  // namespace

std::vector<GenerateReport> generate_samples(
    Engine& engine, const Tokenizer& tokenizer, const std::vector<int32_t>& prompt,
    const GenerateOptions& options, int64_t count,
    const std::function<bool(int64_t, std::string_view)>& on_text) {
  std::list<Generation> running;
  GenerateOptions seeded = options;
  for (int64_t i = 0; i < count; ++i, ++seeded.sampler.seed)
    running.emplace_back(engine, tokenizer, prompt, seeded);
  const auto all_ended = [&] { return std::ranges::all_of(running, &Generation::ended); };
  while (!all_ended()) {
    const std::span<const Event> events = engine.step();
    bool go_on = true;
    int64_t i = 0;
    for (Generation& generation : running) {
      const auto event = std::ranges::find(events, generation.id(), &Event::id);
      const bool mine = event != events.end() && !generation.ended();
      go_on = on_text(i++, mine ? generation.take(*event) : "") && go_on;
    }
    if (!go_on) std::ranges::for_each(running, &Generation::interrupt);
  }
  std::vector<GenerateReport> reports;
  for (Generation& generation : running) reports.push_back(generation.report());
  return reports;
}

GenerateReport generate(Engine& engine, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                        const GenerateOptions& options,
                        const std::function<bool(std::string_view)>& on_text) {
  const auto show = [&](int64_t, std::string_view piece) { return on_text(piece); };
  return std::move(generate_samples(engine, tokenizer, prompt, options, 1, show)[0]);
}

}  // namespace trit
