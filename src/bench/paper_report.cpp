#include "bench/paper_report.h"

#include <algorithm>

#include "base/error.h"

namespace trit::bench {
namespace {

struct MeasureRow {
  PaperMeasure measure;
  std::string_view name, unit;
};
constexpr MeasureRow kMeasures[] = {
    {PaperMeasure::kTokenTime, "token_time", "ms"},
    {PaperMeasure::kMemory, "memory", "B"},
    {PaperMeasure::kProcessMemory, "process_memory", "B"},
    {PaperMeasure::kWeightMemory, "weight_memory", "B"},
    {PaperMeasure::kCacheMemory, "cache_memory", "B"},
    {PaperMeasure::kWorkMemory, "work_memory", "B"},
    {PaperMeasure::kPrompt, "prompt", "tokens/s"},
    {PaperMeasure::kBatch, "batch", "tokens/s"},
    {PaperMeasure::kLargestBatch, "largest_batch", "sequences"},
    {PaperMeasure::kLargestByBytes, "largest_batch_by_bytes", "sequences"},
    {PaperMeasure::kEnergy, "energy", "J"},
    {PaperMeasure::kEnergyAboveIdle, "energy_above_idle", "J"},
    {PaperMeasure::kPower, "power", "W"},
    {PaperMeasure::kIdlePower, "idle_power", "W"},
    {PaperMeasure::kProduct, "product", "us"},
    {PaperMeasure::kReadRate, "read_rate", "GB/s"},
};

const MeasureRow& row_of(PaperMeasure measure) {
  return *std::ranges::find(kMeasures, measure, &MeasureRow::measure);
}

PaperMeasure measure_from(std::string_view name, std::string_view where) {
  for (const MeasureRow& row : kMeasures) {
    if (row.name == name) return row.measure;
  }
  bad_input("{}: measure is '{}', which no run of this trit makes", where, printable(name));
}

PaperFigure figure_from(const Json& json, std::string_view where) {
  constexpr int64_t kMost = int64_t{1} << 32;
  PaperFigure f;
  f.size = json_string(json, "size", where);
  f.weights = json_string(json, "weights", where);
  f.measure = measure_from(json_string(json, "measure", where), where);
  f.tokens = json_int(json, "tokens", where, 0, kMost);
  f.rows = json_int(json, "rows", where, 0, kMost);
  f.cache = json_string(json, "cache", where);
  f.value = json_number(json, "value", where);
  f.spread = json_number(json, "spread", where);
  return f;
}

const Json& array(const Json& json, const char* key, std::string_view where) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_array())
    bad_input("{}: it has no list '{}', so it is no report of trit bench paper", where, key);
  return json[key];
}

}  // namespace

std::string_view to_string(PaperMeasure measure) { return row_of(measure).name; }
std::string_view unit(PaperMeasure measure) { return row_of(measure).unit; }

bool PaperFigure::same_as(const PaperFigure& o) const {
  return size == o.size && weights == o.weights && measure == o.measure && tokens == o.tokens &&
         rows == o.rows && cache == o.cache;
}

const PaperFigure* PaperReport::find(const PaperFigure& wanted) const {
  const auto at =
      std::ranges::find_if(figures, [&](const PaperFigure& f) { return f.same_as(wanted); });
  return at == figures.end() ? nullptr : &*at;
}

std::vector<std::string> PaperReport::sizes() const {
  std::vector<std::string> names;
  for (const PaperFigure& f : figures) {
    const bool of_model = f.measure != PaperMeasure::kProduct && !f.size.empty();
    if (of_model && std::ranges::find(names, f.size) == names.end()) names.push_back(f.size);
  }
  return names;
}

void PaperReport::add(const PaperReport& other) {
  if (!figures.empty() && other.device != device)
    bad_input("the report is of {}, this run of {}; they cannot be put together", device,
              other.device);
  std::erase_if(gaps, [&](const PaperGap& gap) {
    const auto same = [&](const auto& x) { return x.size == gap.size && x.weights == gap.weights; };
    return std::ranges::any_of(other.figures, same) || std::ranges::any_of(other.gaps, same);
  });
  for (const PaperFigure& f : other.figures) {
    const auto at =
        std::ranges::find_if(figures, [&](const PaperFigure& old) { return old.same_as(f); });
    if (at == figures.end())
      figures.push_back(f);
    else
      *at = f;
  }
  gaps.insert(gaps.end(), other.gaps.begin(), other.gaps.end());
  device = other.device;
  host = other.host;
  date = other.date;
  made_from = other.made_from;
}

std::vector<OrderedJson> rows_of(const PaperReport& report) {
  std::vector<OrderedJson> rows;
  for (const PaperFigure& f : report.figures) {
    rows.push_back({{"size", f.size},
                    {"weights", f.weights},
                    {"measure", to_string(f.measure)},
                    {"tokens", f.tokens},
                    {"rows", f.rows},
                    {"cache", f.cache},
                    {"value", f.value},
                    {"spread", f.spread},
                    {"unit", unit(f.measure)}});
  }
  return rows;
}

OrderedJson to_json(const PaperReport& report) {
  OrderedJson gaps = OrderedJson::array();
  for (const PaperGap& gap : report.gaps) {
    gaps.push_back(
        {{"size", gap.size}, {"weights", gap.weights}, {"what", gap.what}, {"why", gap.why}});
  }
  return {{"device", report.device},       {"host", report.host},        {"date", report.date},
          {"made_from", report.made_from}, {"figures", rows_of(report)}, {"not_measured", gaps}};
}

PaperReport paper_report_from(const Json& json, std::string_view where) {
  PaperReport report;
  for (const Json& figure : array(json, "figures", where))
    report.figures.push_back(figure_from(figure, where));
  for (const Json& gap : array(json, "not_measured", where)) {
    report.gaps.push_back({json_string(gap, "size", where), json_string(gap, "weights", where),
                           json_string(gap, "what", where), json_string(gap, "why", where)});
  }
  report.device = json_string(json, "device", where);
  report.host = json_string(json, "host", where);
  report.date = json_string(json, "date", where);
  report.made_from = json_string(json, "made_from", where);
  return report;
}

}  // namespace trit::bench
