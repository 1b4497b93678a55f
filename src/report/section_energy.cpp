// Figure 3: energy, modelled and measured.

#include <fmt/format.h>

#include "bench/paper_bench.h"
#include "bench/paper_model.h"
#include "bench/paper_page.h"
#include "energy/energy.h"
#include "report/chart.h"
#include "report/published.h"
#include "report/report.h"

namespace trit::report {
namespace {

using M = bench::PaperMeasure;
constexpr int64_t kTokens = 512;

// A block of the paper's figure: four h x h projections and a feed-forward part of 8 h^2.
EnergyShape figure_shape(const PublishedEnergy& p) {
  return {p.layers, 12 * p.hidden * p.hidden * p.layers, 18 * p.hidden * p.layers, p.hidden};
}

double float_joules(const EnergyShape& shape, const ProcessEnergy& process) {
  return float_pass_energy(shape, kTokens, process.fp16).total();
}
double ternary_joules(const EnergyShape& shape, const ProcessEnergy& process) {
  return bitnet_pass_energy(shape, kTokens, process).total();
}

Table paper_shapes() {
  Table table;
  table.columns = {{"size", "size"},
                   {"paper_float", "paper: LLaMA, J", 3},
                   {"paper_ternary", "paper: b1.58, J", 4},
                   {"paper_ratio", "times less", 1},
                   {"float7", "7 nm: LLaMA, J", 3},
                   {"ternary7", "b1.58, J", 4},
                   {"ratio7", "times less", 1},
                   {"float45", "45 nm: LLaMA, J", 2},
                   {"ternary45", "b1.58, J", 3},
                   {"ratio45", "times less", 1}};
  for (const PublishedEnergy& p : published_energies()) {
    const EnergyShape shape = figure_shape(p);
    const double f7 = float_joules(shape, kEnergy7nm), t7 = ternary_joules(shape, kEnergy7nm);
    const double f45 = float_joules(shape, kEnergy45nm), t45 = ternary_joules(shape, kEnergy45nm);
    table.rows.push_back({{"size", fmt::format("{} ({} x {})", p.size, p.hidden, p.layers)},
                          {"paper_float", p.float_joules},
                          {"paper_ternary", p.ternary_joules},
                          {"paper_ratio", p.ratio},
                          {"float7", f7},
                          {"ternary7", t7},
                          {"ratio7", f7 / t7},
                          {"float45", f45},
                          {"ternary45", t45},
                          {"ratio45", f45 / t45}});
  }
  return table;
}

// A generated token of the presets: arithmetic of one position, and every weight read once.
Table token_model() {
  Table table;
  table.columns = {{"size", "size"},
                   {"float_math", "LLaMA: arithmetic, mJ", 3},
                   {"float_least", "reading, mJ: from", 0},
                   {"float_most", "to", 0},
                   {"ternary_math", "b1.58: arithmetic, mJ", 3},
                   {"ternary_least", "reading, mJ: from", 0},
                   {"ternary_most", "to", 0},
                   {"ratio", "both together: times less", 1}};
  for (const char* size : {"700M", "1.3B", "3B", "7B", "13B", "70B"}) {
    const Config full = bench::paper_config(size, false), ternary = bench::paper_config(size, true);
    const double f = float_pass_energy(energy_shape(full), 1, kEnergy7nm.fp16).total();
    const double t = bitnet_pass_energy(energy_shape(ternary), 1, kEnergy7nm).total();
    const auto reading = [](const Config& c) {
      return traffic_energy(static_cast<double>(bench::PaperModel::read_bytes(c)));
    };
    const TrafficEnergy fr = reading(full), tr = reading(ternary);
    table.rows.push_back({{"size", size},
                          {"float_math", f * 1e3},
                          {"float_least", fr.least * 1e3},
                          {"float_most", fr.most * 1e3},
                          {"ternary_math", t * 1e3},
                          {"ternary_least", tr.least * 1e3},
                          {"ternary_most", tr.most * 1e3},
                          {"ratio", (f + fr.least) / (t + tr.least)}});
  }
  return table;
}

Chart chart() {
  Chart c{"Energy of 512 tokens, arithmetic at 7 nm (modelled)", "J", {}, {}};
  Series paper_float{"LLaMA, paper", {}}, paper_ternary{"BitNet b1.58, paper", {}},
      ours_float{"LLaMA, trit's model", {}}, ours_ternary{"BitNet b1.58, trit's model", {}};
  for (const PublishedEnergy& p : published_energies()) {
    c.places.emplace_back(p.size);
    paper_float.values.emplace_back(p.float_joules);
    paper_ternary.values.emplace_back(p.ternary_joules);
    ours_float.values.emplace_back(float_joules(figure_shape(p), kEnergy7nm));
    ours_ternary.values.emplace_back(ternary_joules(figure_shape(p), kEnergy7nm));
  }
  c.series = {paper_float, paper_ternary, ours_float, ours_ternary};
  return c;
}

// What each machine's meters counted, or why there is nothing.
void add_measured(const ReportData& data, std::vector<Block>& blocks) {
  for (size_t i = 0; i < data.machines.size(); ++i) {
    bool found = false;
    for (const std::string& cache : bench::caches_of(data.machines[i])) {
      for (const bench::PaperTable& table : bench::paper_tables(data.machines[i], cache)) {
        if (table.title != bench::kEnergyTitle) continue;
        found = true;
        blocks.emplace_back(Paragraph{
            fmt::format("Measured, {}, {} cache. {}", machine_name(data, i), cache, table.text)});
        blocks.emplace_back(Table{table.columns, table.rows});
      }
    }
    if (found) continue;
    std::string why = "nothing was measured there";
    for (const bench::PaperGap& gap : data.machines[i].gaps) {
      if (gap.what == "energy") why = gap.why;
    }
    blocks.emplace_back(Missing{fmt::format("joules a token, {}", machine_name(data, i)), why});
  }
}

}  // namespace

std::vector<Block> energy_section(const ReportData& data) {
  std::vector<Block> blocks;
  blocks.emplace_back(Paragraph{fmt::format(
      "Modelled, as the paper's: additions and multiplications of the matrix products of a pass "
      "over "
      "512 tokens, each at its energy (BitNet, arXiv 2310.11453, Table 2). A multiply-add in "
      "float16 takes {:.1f} times an int8 addition at 7 nm (the paper: 71.4), {:.1f} times at 45 "
      "nm. "
      "In brackets the shapes that the paper's figure fits; its 3B is not that of Table 1.",
      matmul_energy_ratio(kEnergy7nm), matmul_energy_ratio(kEnergy45nm))});
  blocks.emplace_back(paper_shapes());
  blocks.emplace_back(Drawing{
      "energy", "The paper's curves as drawn, and the same from the formula.", chart_svg(chart())});
  blocks.emplace_back(Paragraph{
      "Modelled with what the paper leaves out: a generated token reads every weight from memory, "
      "at "
      "1.3 to 2.6 nJ for 64 bits of DRAM (Horowitz, ISSCC 2014). Reading is most of it, so one "
      "sequence saves what the weights shrink by; the arithmetic's factor is that of large "
      "batches."});
  blocks.emplace_back(token_model());
  add_measured(data, blocks);
  blocks.emplace_back(data.commands({"speed-"}));
  return blocks;
}

}  // namespace trit::report
