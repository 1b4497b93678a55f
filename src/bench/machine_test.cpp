#include "bench/machine.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/roofline_plot.h"
#include "bench/well_formed.h"

namespace trit::bench {
namespace {

Statistics about(double median) { return statistics({median * 0.9, median, median * 1.1}); }

Machine made_up() {
  Machine m;
  m.cpu = "CPU <A> & \"B\"";
  m.cpus = 2;
  m.caches = {48 << 10, 2 << 20, 0};
  m.rates = {{Measure::kRead, "L1", "1 stream", 1 << 14, 2, about(900)},
             {Measure::kRead, "DRAM", "1 stream", 1 << 30, 2, about(30)},
             {Measure::kRead, "DRAM", "4 streams", 1 << 30, 2, about(34)},
             {Measure::kRead, "DRAM", "4 streams", 1 << 30, 1, about(17)},
             {Measure::kInt8, "tdpbusd", "amx-int8", 0, 2, about(7000)},
             {Measure::kInt8, "vpdpbusd zmm", "avx512vnni", 0, 2, about(940)},
             {Measure::kInt8, "vpdpbusd ymm", "avxvnni", 0, 2, about(510)},
             {Measure::kInt8, "vpmaddubsw + vpaddw ymm", "avx2", 0, 2, about(350)},
             {Measure::kFloat32, "vfmadd231ps zmm", "avx512f", 0, 2, about(230)},
             {Measure::kBarrier, "parallel_for", "thread pool", 0, 2, about(0.7)}};
  m.not_measured = {{"read L3", "none"}};
  return m;
}

TEST(Machine, LimitsAreTheBestRows) {
  const Machine m = made_up();
  EXPECT_DOUBLE_EQ(m.read_limit("DRAM", 2), 34);
  EXPECT_DOUBLE_EQ(m.read_limit("DRAM", 1), 17);
  EXPECT_DOUBLE_EQ(m.read_limit("DRAM", 3), 0);
  EXPECT_DOUBLE_EQ(m.peak(Measure::kInt8, 2), 7000);
  EXPECT_DOUBLE_EQ(m.peak(Measure::kInt8, 2, kernels::Isa::kAmx), 7000);
  EXPECT_DOUBLE_EQ(m.peak(Measure::kInt8, 2, kernels::Isa::kAvx512Vnni), 940);
  EXPECT_DOUBLE_EQ(m.peak(Measure::kInt8, 2, kernels::Isa::kAvxVnni), 510);
  EXPECT_DOUBLE_EQ(m.peak(Measure::kInt8, 2, kernels::Isa::kAvx2), 350);
  EXPECT_DOUBLE_EQ(m.peak(Measure::kInt8, 2, kernels::Isa::kScalar), 0);
}

// What `trit bench roofline -o json` prints: its members and their types.
TEST(Machine, JsonSchema) {
  const OrderedJson json = to_json(made_up());
  EXPECT_TRUE(json["machine"]["cpu"].is_string());
  for (const char* key : {"cpus", "l1_bytes", "l2_bytes", "l3_bytes"})
    EXPECT_TRUE(json["machine"][key].is_number_integer()) << key;
  EXPECT_TRUE(json["seconds"].is_number());
  EXPECT_EQ(json["not_measured"][0]["test"], "read L3");
  EXPECT_TRUE(json["not_measured"][0]["why"].is_string());
  ASSERT_EQ(json["rates"].size(), 10u);
  for (const OrderedJson& row : json["rates"]) {
    for (const char* key : {"test", "detail", "unit"}) EXPECT_TRUE(row[key].is_string()) << key;
    for (const char* key : {"threads", "samples", "bytes"})
      EXPECT_TRUE(row[key].is_number_integer()) << key;
    for (const char* key : {"median", "spread", "least", "largest"})
      EXPECT_TRUE(row[key].is_number()) << key;
  }
  EXPECT_EQ(json["rates"][0]["test"], "read L1");
  EXPECT_EQ(json["rates"][0]["unit"], "GB/s");
  EXPECT_EQ(json["rates"][9]["unit"], "us");
}

TEST(Machine, BytesForPeople) {
  EXPECT_EQ(binary_bytes(0), "0 B");
  EXPECT_EQ(binary_bytes(48 << 10), "48 KiB");
  EXPECT_EQ(binary_bytes(3 << 19), "1.5 MiB");
  EXPECT_EQ(binary_bytes(int64_t{1} << 30), "1 GiB");
}

// Only what holds on any machine: all rows are there, and positive.
TEST(Machine, IsMeasured) {
  MachineOptions options;
  options.threads = {2, 1, 2};
  options.quick = true;
  options.dram_bytes = 16 << 20;
  int64_t told = 0;
  options.progress = [&](int64_t done, int64_t total, const std::string& what) {
    EXPECT_EQ(done, told++);
    EXPECT_LT(done, total);
    EXPECT_FALSE(what.empty());
  };
  const Machine machine = measure_machine(options);
  EXPECT_EQ(told, static_cast<int64_t>(machine.rates.size()));
  for (const MachineRate& r : machine.rates) {
    EXPECT_GT(r.value.median, 0) << r.name;
    EXPECT_LE(r.value.least, r.value.median) << r.name;
    EXPECT_EQ(r.value.samples, 3) << r.name;
    EXPECT_TRUE(r.threads == 1 || r.threads == 2);
  }
  for (const int threads : {1, 2}) EXPECT_GT(machine.read_limit("DRAM", threads), 0);
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_GT(machine.peak(Measure::kFloat32, 1) + machine.peak(Measure::kInt8, 1), 0);
#endif
}

TEST(RooflinePlot, IsWellFormed) {
  const std::vector<PlotPoint> points = {{"3B up & <x>, batch 1", "two-bit & <tiles>", 4, 130},
                                         {"3B up, batch 64", "two-bit & <tiles>", 256, 800, true},
                                         {"head", "f16", 0.5, 0}};
  const std::string svg = roofline_svg(made_up(), 2, points);
  EXPECT_EQ(xml_error(svg), "");
  EXPECT_NE(svg.find("3B up &amp; &lt;x&gt;, batch 1: 130.00 GMAC/s"), std::string::npos);
  EXPECT_NE(svg.find("two-bit &amp; &lt;tiles&gt;</text>"), std::string::npos);
  EXPECT_NE(svg.find("vpdpbusd zmm"), std::string::npos);
  EXPECT_NE(svg.find("DRAM 34 GB/s"), std::string::npos);
  EXPECT_NE(svg.find("CPU &lt;A&gt; &amp; &quot;B&quot;"), std::string::npos);
  const std::string page = roofline_page(made_up(), 2, points);
  EXPECT_EQ(xml_error(page), "");
  EXPECT_NE(page.find(svg), std::string::npos);
  EXPECT_EQ(xml_error(roofline_svg(Machine{}, 1, {})), "");  // nothing measured
}

// Lines are told apart by their dashes too: no two lines have the same.
TEST(RooflinePlot, LinesDifferInDashes) {
  const std::string svg = roofline_svg(made_up(), 2, {});
  std::vector<std::string> dashes;
  for (size_t at = 0; (at = svg.find("stroke-dasharray=\"", at)) != std::string::npos;) {
    at += 18;
    dashes.push_back(svg.substr(at, svg.find('"', at) - at));
  }
  EXPECT_EQ(dashes.size(), 7u);  // five instructions, two levels of memory
  std::ranges::sort(dashes);
  EXPECT_EQ(std::ranges::adjacent_find(dashes), dashes.end());
}

TEST(RooflinePlot, RefusesOtherFiles) {
  EXPECT_THROW(write_roofline("roof.png", "--plot", made_up(), 2, {}), Error);
}

TEST(WellFormed, SeesWhatIsNot) {
  EXPECT_EQ(xml_error("<a b=\"1\"><c/>x &amp; y</a>"), "");
  for (const char* text : {"<a>", "<a></b>", "<a b=1></a>", "<a>&</a>", "<a>x < y</a>",
                           "<a b=\"<\"/>", "<a/><b/>", "<a b=\"1\" b=\"2\"/>", "x", "<a>\x01</a>"})
    EXPECT_NE(xml_error(text), "") << text;
}

}  // namespace
}  // namespace trit::bench
