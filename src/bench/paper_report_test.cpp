#include "bench/paper_report.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/paper_page.h"

namespace trit::bench {
namespace {

using M = PaperMeasure;

// What one H200 might have given.
PaperReport measured() {
  PaperReport report;
  report.device = "NVIDIA H200";
  report.host = "a processor";
  report.date = "2026-11-25";
  report.made_from = "0123abc";
  report.figures = {
      {"3B", "ternary", M::kTokenTime, 1, 1, "f16", 0.5, 0.001},
      {"3B", "float16", M::kTokenTime, 1, 1, "f16", 2.5, 0.01},
      {"3B", "ternary", M::kMemory, 1, 1, "f16", 1.5e9},
      {"3B", "float16", M::kMemory, 1, 1, "f16", 7.5e9},
      {"3B", "ternary", M::kWeightMemory, 1, 1, "f16", 1.25e9},
      {"3B", "ternary", M::kPrompt, 2048, 2048, "f16", 90000},
      {"3B", "float16", M::kPrompt, 2048, 2048, "f16", 60000},
      {"70B", "ternary", M::kBatch, 512, 780, "f16", 10000},
      {"70B", "ternary", M::kLargestBatch, 512, 1, "f16", 780},
      {"70B", "float16", M::kBatch, 512, 65, "f16", 1250},
      {"70B", "float16", M::kLargestBatch, 512, 1, "f16", 65},
      {"3B", "ternary", M::kEnergy, 1, 1, "f16", 0.2},
      {"3B", "float16", M::kEnergy, 1, 1, "f16", 1.0},
      {"8192x8192", "ternary", M::kProduct, 8192, 1, "", 1000},
      {"4096x4096", "ternary", M::kProduct, 1, 1, "", 3},
      {"4096x4096", "read", M::kProduct, 1, 1, "", 2.5},
      {"", "read", M::kReadRate, 0, 1, "", 4563},
  };
  report.gaps = {{"70B", "float16", "256 sequences of 512", "it needs 42 GiB, 11 GiB are free"}};
  return report;
}

// The line of a table that begins with these cells, without the spaces that fill them.
std::string line(const std::string& page, const std::string& table, const std::string& cells) {
  const size_t at = page.find(table);
  if (at == std::string::npos) return "no table " + table;
  std::string text = page.substr(at, page.find("\n## ", at) - at), squeezed;
  for (const char c : text) {
    if (c != ' ' || (!squeezed.empty() && squeezed.back() != ' ')) squeezed += c;
  }
  const size_t begin = squeezed.find("\n| " + cells);
  if (begin == std::string::npos) return "no line " + cells;
  return squeezed.substr(begin + 1, squeezed.find('\n', begin + 1) - begin - 1);
}

// Goals and PyTorch's figures are an H200's; the paper's, of no device that it names, stand beside any.
TEST(PaperPage, ComparesOthersWithThePaperAlone) {
  PaperReport other = measured();
  other.device = "a processor";
  EXPECT_EQ(line(paper_page(other), "## A token after 1", "3B"),
            "| 3B | 2.500 | 0.500 | 5.00 | 58 | 44 | 2.71 | 5.07 | 1.87 |");
}

// Ratios by hand (3B reads 3.2215e9 weights and a float16 table of 32,000 x 3,200: 6.648 and 1.010 GB); the paper's figures as its Table 1 and Table 3 print them.
TEST(PaperPage, ComparesAndPutsThePaperBeside) {
  const std::string page = paper_page(measured());
  EXPECT_EQ(line(page, "## A token after 1", "3B"),
            "| 3B | 2.500 | 0.500 | 5.00 | 58 | 44 | 2.71 | 5.07 | 1.87 | 2.75 | 0.42 | 5.5 |");
  EXPECT_EQ(line(page, "## Memory", "3B"),
            "| 3B | 1 | 7.50 | 1.50 | 5.00 | 7.89 | 2.22 | 3.55 | 1.250 |");
  EXPECT_EQ(line(page, "## Prompts", "3B"), "| 3B | 2048 | 2048 | 60000 | 90000 | 1.50 |");
  EXPECT_EQ(line(page, "## The largest batch", "70B | sequences"),
            "| 70B | sequences | 65 | 780 | 12.0 | 11.0 | 11 |");
  EXPECT_EQ(line(page, "## The largest batch", "70B | tokens/s"),
            "| 70B | tokens/s | 1250 | 10000 | 8.0 | 8.9 | 9 |");
  EXPECT_EQ(line(page, "## Energy", "3B"), "| 3B | 1.000 | 0.200 | 5.00 | 4 | 1.29 |");
  // 2 x 8192^3 operations in a millisecond; 4096 x 4096 / 4 bytes in 3 us.
  EXPECT_EQ(line(page, "## Products", "8192x8192"),
            "| 8192x8192 | 8192 | 1000.00 | - | - | - | 1100 |");
  EXPECT_EQ(line(page, "## Products", "4096x4096"),
            "| 4096x4096 | 1 | 3.00 | 2.50 | 1.20 | 1398 | - |");
  EXPECT_EQ(page.find("int8"), std::string::npos);
  PaperReport more = measured();
  more.figures.push_back({"3B", "ternary", M::kTokenTime, 1, 1, "int8", 0.25, 0.001});
  const std::string both = paper_page(more);
  EXPECT_EQ(both.find(page.substr(0, page.find("\n# Single"))), 0u);
  EXPECT_EQ(line(both.substr(both.find("# Keys and values cached as int8")), "## A token", "3B"),
            "| 3B | 0.250 | 89 | 2.71 | 5.07 | 1.87 | 2.75 | 0.42 | 5.5 |");
  for (const char* part : {"NVIDIA H200", "0123abc", "2026-11-25", "4563 GB/s",
                           "* 70B float16: 256 sequences of 512: it needs 42 GiB, 11 GiB are free"})
    EXPECT_NE(page.find(part), std::string::npos) << part << "\n" << page;
}

TEST(PaperReport, ComesBackFromItsJson) {
  const PaperReport report = measured();
  const std::string text = to_json(report).dump();
  const PaperReport back = paper_report_from(parse_json(text, "report"), "report");
  EXPECT_EQ(to_json(back).dump(), text);
  ASSERT_EQ(back.figures.size(), report.figures.size());
  EXPECT_EQ(rows_of(back)[0].dump(),
            R"({"size":"3B","weights":"ternary","measure":"token_time","tokens":1,"rows":1,)"
            R"("cache":"f16","value":0.5,"spread":0.001,"unit":"ms"})");
}

TEST(PaperReport, AnotherRunRenewsWhatItMeasured) {
  PaperReport report = measured(), again;
  again.device = report.device;
  again.made_from = "later";
  again.figures = {{"3B", "ternary", M::kTokenTime, 1, 1, "f16", 0.4},
                   {"3B", "ternary", M::kTokenTime, 1, 1, "int8", 0.39},
                   {"70B", "float16", M::kTokenTime, 1, 1, "f16", 33}};
  const size_t before = report.figures.size();
  report.add(again);
  EXPECT_EQ(report.figures.size(), before + 2);
  EXPECT_DOUBLE_EQ(report.find(again.figures[0])->value, 0.4);
  EXPECT_TRUE(report.gaps.empty());  // 70B float16 was tried again
  EXPECT_EQ(report.made_from, "later");
  again.device = "NVIDIA H100";
  EXPECT_THROW(report.add(again), Error);
}

TEST(PaperReport, WhatIsNoReportIsRefused) {
  for (
      const char* text :
      {"[]", "{}", R"({"figures":[],"not_measured":[]})", R"({"figures":[{}],"not_measured":[]})",
       R"({"figures":[{"size":"3B","weights":"ternary","measure":"luck","tokens":1,"rows":1,"cache":"","value":1,"spread":0}],"not_measured":[],"device":"x","host":"","date":"","made_from":""})",
       R"({"figures":[{"size":"3B","weights":"ternary","measure":"energy","tokens":-1,"rows":1,"cache":"","value":1,"spread":0}],"not_measured":[]})"}) {
    EXPECT_THROW(paper_report_from(parse_json(text, "x.json"), "x.json"), Error) << text;
  }
}

}  // namespace
}  // namespace trit::bench
