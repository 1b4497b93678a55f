#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "base/error.h"
#include "base/timer.h"
#include "report/parts.h"

namespace trit::report {
namespace {

constexpr const char* kForm = "trit report part 1";

// As a shell takes it.
std::string typed(const Arguments& arguments) {
  std::string line = "trit";
  for (const std::string& a : arguments) {
    const bool plain = !a.empty() && a.find_first_not_of(
                                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                         "0123456789-_./,=:@+") == std::string::npos;
    if (plain) {
      line += fmt::format(" {}", a);
      continue;
    }
    line += " '";
    for (const char c : a) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += "'";
  }
  return line;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  const size_t begin = text.find_last_of("\r\n");
  if (begin != std::string_view::npos) text.remove_prefix(begin + 1);
  if (text.starts_with("trit: ")) text.remove_prefix(6);
  return std::string(text);
}

OrderedJson to_json(const PartResult& part) {
  return {{"form", kForm},        {"part", part.name},       {"commands", part.commands},
          {"date", part.date},    {"seconds", part.seconds}, {"why", part.why},
          {"result", part.result}};
}

// What lies in the file, when it is this part's, from these commands, and went well. Another file is written over.
bool reuse(const Path& file, PartResult& part) {
  if (!std::filesystem::exists(file)) return false;
  try {
    const Json json = parse_json(read_text(file), file.string());
    if (json_string(json, "form", file.string()) != kForm || json["result"].is_null() ||
        json["commands"] != Json(part.commands))
      return false;
    part.date = json_string(json, "date", file.string());
    part.seconds = json_number(json, "seconds", file.string());
    part.result = json["result"];
    return true;
  } catch (const Error&) {
    return false;
  }
}

void run_part(const Part& part, const RunCommand& run, PartResult& result) {
  const Timer timer;
  Outcome outcome;
  for (const Arguments& command : part.commands) {
    outcome = run(command);
    if (outcome.code != 0) break;
  }
  std::error_code ignored;
  for (const Path& path : part.leftovers) std::filesystem::remove_all(path, ignored);
  result.seconds = timer.seconds();
  result.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  if (outcome.code != 0) {
    const std::string said = last_line(outcome.err);
    result.why = said.empty() ? fmt::format("it ended with code {}", outcome.code) : said;
    return;
  }
  try {
    result.result = parse_json(outcome.out, part.name);
  } catch (const Error& e) {
    result.why = e.what();
  }
}

}  // namespace

std::vector<PartResult> collect(const ReportOptions& options, const RunCommand& run,
                                const std::function<void(const std::string&)>& progress) {
  const Path parts = options.out / "parts", work = options.out / "work";
  std::filesystem::create_directories(parts);
  std::filesystem::remove_all(work);  // of a run that was killed
  std::filesystem::create_directories(work);
  std::vector<PartResult> results;
  for (const Part& part : parts_of(options, work)) {
    PartResult result;
    result.name = part.name;
    for (const Arguments& command : part.commands) result.commands.push_back(typed(command));
    const Path file = parts / fmt::format("{}.json", part.name);
    if (!reuse(file, result)) {
      if (progress) progress(part.name);
      run_part(part, run, result);
      write_text(file, to_json(result).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
    }
    results.push_back(std::move(result));
  }
  std::filesystem::remove_all(work);
  return results;
}

}  // namespace trit::report
