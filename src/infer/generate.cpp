#include "infer/generate.h"

#include <algorithm>

#include "base/error.h"
#include "base/timer.h"

namespace trit {

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
  }
  return "?";
}

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

GenerateReport generate(Session& session, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                        const GenerateOptions& options,
                        const std::function<bool(std::string_view)>& on_text) {
  const auto held = static_cast<size_t>(session.position());
  TRIT_CHECK(prompt.size() > held);
  for (const std::string& stop : options.stop) {
    if (stop.empty())
      bad_input("--stop: the empty string would stop at once; give at least one character");
  }
  Sampler sampler(options.sampler);
  StreamDecoder decoder(tokenizer);
  StopFilter filter(options.stop);
  GenerateReport report;
  const std::span<const int32_t> fresh = std::span(prompt).subspan(held);
  report.prompt_tokens = static_cast<int64_t>(fresh.size());

  Timer timer;
  std::span<float> logits = session.feed(fresh);
  report.prompt_seconds = timer.seconds();
  timer.restart();
  std::vector<int32_t> history = std::move(prompt);
  const auto ends = [&](int32_t token) {
    const auto& more = options.end_tokens;
    return token == tokenizer.eos_id() || std::find(more.begin(), more.end(), token) != more.end();
  };
  const auto show = [&](const std::string& text) { return text.empty() || on_text(text); };
  while (true) {
    if (report.generated_tokens >= options.max_tokens) break;
    const int32_t token = sampler.sample(logits, history);
    history.push_back(token);
    report.tokens.push_back(token);
    ++report.generated_tokens;
    if (!options.ignore_end && ends(token)) {
      report.reason = StopReason::kEndOfText;
      break;
    }
    if (!show(filter.push(decoder.push(token)))) {
      report.reason = StopReason::kInterrupted;
      break;
    }
    if (filter.stopped()) {
      report.reason = StopReason::kStopString;
      break;
    }
    if (report.generated_tokens >= options.max_tokens) break;
    if (session.position() == session.context()) {
      report.reason = StopReason::kContextFull;
      break;
    }
    logits = session.feed({&token, 1});
  }
  if (report.reason != StopReason::kStopString && report.reason != StopReason::kInterrupted) {
    show(filter.push(decoder.flush()));
    show(filter.flush());
  }
  report.generate_seconds = timer.seconds();
  return report;
}

}  // namespace trit
