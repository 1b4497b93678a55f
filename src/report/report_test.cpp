#include "report/report.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_folder.h"
#include "bench/well_formed.h"

namespace trit::report {
namespace {

using M = bench::PaperMeasure;

// What parts might have printed.
std::vector<PartResult> parts() {
  bench::PaperReport ternary;
  ternary.device = ternary.host = "A <processor> & more";
  ternary.date = "2026-11-25";
  ternary.made_from = "trit 0.1.0";
  ternary.figures = {{"3B", "ternary", M::kTokenTime, 1, 1, "f16", 30},
                     {"3B", "ternary", M::kMemory, 1, 1, "f16", 1.1e9},
                     {"3B", "ternary", M::kBatch, 64, 4, "f16", 60}};
  ternary.gaps = {{"3B", "ternary", "energy", "RAPL: no processor's counter below /sys"}};
  bench::PaperReport full = ternary;
  full.gaps = {};
  full.figures = {{"3B", "float16", M::kTokenTime, 1, 1, "f16", 210},
                  {"3B", "float16", M::kMemory, 1, 1, "f16", 7.0e9},
                  {"3B", "float16", M::kBatch, 64, 4, "f16", 15}};
  const auto json = [](const std::string& text) { return parse_json(text, "test"); };
  const auto part = [](const char* name, Json result) {
    return PartResult{
        name, {fmt::format("trit {} <FILE>", name)}, "2026-11-25", 1, std::move(result), ""};
  };
  std::vector<PartResult> all;
  all.push_back(part("machine", json(R"({"machine": {"cpu": "X", "cpus": 2, "l1_bytes": 49152},
    "rates": [{"test": "read DRAM", "detail": "4 streams", "threads": 2, "median": 33.5, "spread": 0.1,
    "unit": "GB/s"}]})")));
  all.push_back(part("model-speed", json(R"({"model": {"stored_bytes": 2290000,
    "peak_memory_bytes": 20000000}, "results": [{"median_ts": 9000.0, "spread_ts": 10.0},
    {"median_ts": 6000.0, "spread_ts": 5.0, "ms_per_token": 0.1667}]})")));
  for (const auto& [kv, value] : {std::pair("f32", "46.444"), {"int8", "46.5"}, {"int4", "48.0"}})
    all.push_back(part(fmt::format("model-perplexity-{}", kv).c_str(),
                       json(fmt::format(R"({{"perplexity": {}, "tokens": 240320}})", value))));
  all.push_back(
      part("model-tasks", json(R"({"tasks": [{"task": "arc_easy", "acc": 0.26, "acc_norm": 0.30,
    "acc_stderr": 0.009}]})")));
  all.push_back(part("speed-3B-ternary", json(bench::to_json(ternary).dump())));
  all.push_back(part("memory-3B-ternary", json(R"({"model": {"peak_memory_bytes": 1200000000}})")));
  all.push_back(part("speed-3B-float16", json(bench::to_json(full).dump())));
  PartResult failed = part("twin-rounded-ternary", nullptr);
  failed.why = "no room";
  all.push_back(failed);
  return all;
}

ReportData data() {
  ReportOptions options;
  options.quick = true;
  options.out = test_folder() / "page";
  options.model = "models/tales & more.gguf";
  options.twin = "twin.gguf";
  options.dataset = "data";
  options.data = "eval";
  options.sizes = {"3B"};
  ReportData made = report_data(options, parts());
  made.version = "0.1.0";
  made.date = "2026-11-25";
  made.threads = 2;
  return made;
}

const Section& section(const Document& page, const std::string& id) {
  for (const Section& s : page.sections) {
    if (s.id == id) return s;
  }
  throw Error("no section " + id);
}

// Rows of a section's n-th table in which `key` is that.
std::vector<OrderedJson> rows(const Section& section, size_t number, const char* key,
                              const std::string& value) {
  std::vector<OrderedJson> found;
  for (const Block& block : section.blocks) {
    if (const auto* table = std::get_if<Table>(&block); table != nullptr && number-- == 0) {
      for (const OrderedJson& row : table->rows) {
        if (row.contains(key) && row[key] == value) found.push_back(row);
      }
    }
  }
  return found;
}

TEST(Report, IsOneWellFormedPage) {
  const std::string html = to_html(document(data()));
  EXPECT_EQ(bench::xml_error(html), "");
  EXPECT_EQ(html.find("src="), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("tales &amp; more.gguf"), std::string::npos);
  EXPECT_EQ(html.find("<FILE>"), std::string::npos);
}

TEST(Report, KeepsWordsApart) {
  const Document page{"a\nb", {{"s", "t", {Paragraph{"to\nwork <in>"}}}}};
  EXPECT_NE(to_html(page).find("<p>to work &lt;in&gt;</p>"), std::string::npos);
}

// Paper's Table 1, 3B: 7.89 and 2.22 GB, 5.07 and 1.87 ms, 10.04 and 9.91. Here 7.0 / 1.2 = 5.83 and 210 / 30 = 7.
TEST(Report, PutsFiguresBesideThePapers) {
  const Section costs = section(document(data()), "table-1");
  const auto found = rows(costs, 0, "size", "3B");
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0]["gb"], 7.89);
  EXPECT_EQ(found[1]["ms"], 1.87);
  EXPECT_EQ(found[1]["ppl"], 9.91);
  EXPECT_EQ(found[3]["source"], "here");
  EXPECT_NEAR(found[3]["gb"].get<double>(), 1.2, 1e-9);  // the process, not the 1.1 within it
  EXPECT_NEAR(found[3]["gb_ratio"].get<double>(), 5.8333, 1e-3);
  EXPECT_NEAR(found[3]["ms_ratio"].get<double>(), 7, 1e-9);
  EXPECT_FALSE(found[3].contains("ppl"));
}

// Table 2, LLaMA 700M and b1.58 3B; here acc alone. Table 4: the mean of acc and acc_norm.
TEST(Report, ScoresAsThePaperCounts) {
  const Document page = document(data());
  const Section two = section(page, "table-2");
  EXPECT_EQ(rows(two, 0, "model", "LLaMA 700M").at(0)["winogrande"], 54.8);
  EXPECT_EQ(rows(two, 0, "model", "BitNet b1.58 3B").at(0)["average"], 50.2);
  EXPECT_EQ(rows(two, 0, "source", "here").at(0)["arc_easy"], "26.0 ± 0.9");
  EXPECT_FALSE(rows(two, 0, "source", "here").at(0).contains("average"));
  EXPECT_EQ(rows(section(page, "table-4"), 0, "source", "here").at(0)["arc_easy"], "28.0 ± 0.9");
}

// The printed ratios of Figure 3.
TEST(Report, ModelsThePapersEnergy) {
  const Section energy = section(document(data()), "figure-3");
  EXPECT_NEAR(rows(energy, 0, "size", "70B (8192 x 80)").at(0)["ratio7"].get<double>(), 41.2, 0.06);
  EXPECT_NEAR(rows(energy, 0, "size", "1.3B (2048 x 24)").at(0)["ratio7"].get<double>(), 18.6,
              0.06);
  EXPECT_EQ(rows(energy, 0, "size", "1.3B (2048 x 24)").at(0)["paper_ratio"], 18.6);
}

TEST(Report, SaysWhatWasNotMeasured) {
  const std::string text = to_markdown(document(data()));
  for (const char* wanted :
       {"**Not measured**: joules a token, here: RAPL: no processor's counter below /sys",
        "**Not measured**: the twin, rounded: no room",
        "**Not measured**: a model trained with binary weights",
        "**Not measured**: perplexity and accuracy of 700M to 70B"})
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted;
  ReportData nothing;
  nothing.machines.resize(1);
  EXPECT_NE(to_markdown(document(nothing)).find("no evaluation data was given (--data DIR)"),
            std::string::npos);
  EXPECT_EQ(bench::xml_error(to_html(document(nothing))), "");
}

// 46.5 / 46.444 = 1.00121.
TEST(Report, ComparesCaches) {
  const auto found = rows(section(document(data()), "cache"), 0, "kv", "int8");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NEAR(found[0]["ratio"].get<double>(), 1.00121, 1e-5);
}

TEST(Report, WritesItsFiles) {
  const Path page = write_report(data());
  EXPECT_EQ(page, test_folder() / "page/report.html");
  for (const char* name : {"report.md", "report.json", "latency.svg", "memory.svg", "energy.svg"})
    EXPECT_TRUE(std::filesystem::exists(page.parent_path() / name)) << name;
  const Json json = parse_json(read_text(page.parent_path() / "report.json"), "report.json");
  EXPECT_EQ(json["parts"].size(), parts().size());
  EXPECT_EQ(bench::paper_report_from(json["machines"][0], "here").figures.size(), 7u);
}

TEST(Report, RefusesAnotherFile) {
  ReportOptions options;
  const Path file = test_folder() / "other.json";
  write_text(file, "{}");
  options.from = {file.string()};
  EXPECT_THROW(report_data(options, {}), Error);
}

}  // namespace
}  // namespace trit::report
