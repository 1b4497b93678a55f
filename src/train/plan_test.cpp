#include "train/plan.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

Hardware plain() { return {"plain", 1e9, 0.5, 10, 1e6, 4, "a test"}; }

RunOptions nano() {
  RunOptions o;
  o.preset = "nano";
  o.sequence_length = 64;
  o.batch = 8;
  o.steps = 100;
  return o;
}

// By hand, for C = 96, F = 256, 3 heads of 32, L = 4, V = 1000, tied, 64 tokens: a layer has 4 x 96^2 + 3 x 96 x 256 = 110,592
// linear weights and gains of 2 x 96 + 96 + 256 = 544. Two ranks share four parts of two sequences.
TEST(Plan, IsWhatHandsCompute) {
  const Plan p = make_plan(nano(), plain(), {.ranks = 2, .vocabulary = 1000});
  EXPECT_EQ(p.linear_parameters, 442'368);
  EXPECT_EQ(p.parameters, 442'368 + 96'000 + 4 * 544 + 96);  // 540,640
  EXPECT_EQ(p.tokens, 51'200);
  EXPECT_EQ(p.micro_tokens, 128);
  EXPECT_EQ(p.masters, 4.0 * 540'640);
  EXPECT_EQ(p.levels, 110'592);
  EXPECT_EQ(p.gradients, 8.0 * 540'640);  // two parts: a sum and one that waits
  EXPECT_EQ(p.moments, 4.0 * 540'640);    // half of eight bytes each
  // x a q k v o h f of 96, s of 96, log sums of 3, gate up m n of 256: 1891 floats of a token in a layer.
  EXPECT_EQ(p.activations, 128.0 * 4 * 1891 * 4);
  // dx, dnormed and a branch, dq do ds, dk dv of 96; dn dm dup of 256; logits.
  EXPECT_EQ(p.backward, 128.0 * 1536 * 4 + 128.0 * 1000 * 4);
  // 6 (442,368 + 96,000 + 4 x 64 x 96)
  EXPECT_EQ(p.token_operations, 3'377'664);
  EXPECT_NEAR(p.hours, 172.9363968 / 3600, 1e-12);
  EXPECT_NEAR(p.joules, 3458.727936, 1e-9);
  EXPECT_NEAR(p.tokens_per_second, 51'200 / 172.9363968, 1e-9);
}

TEST(Plan, RecomputingKeepsInputsAndTakesAThirdMore) {
  const Plan p = make_plan(nano(), plain(), {.ranks = 2, .vocabulary = 1000, .recompute = true});
  EXPECT_EQ(p.activations, 128.0 * 4 * (4 * 96 + 1891));
  EXPECT_NEAR(p.hours, 172.9363968 * 4 / 3 / 3600, 1e-12);
}

// PyTorch's step of the 1.3B LLaMA on an H200: 62,220 tokens/s were counted as 52.1 % of 989.4 TFLOP/s.
TEST(Plan, CountsOperationsAsMeasurementsDo) {
  RunOptions o;
  o.preset = "1.3B";
  o.family = "llama";
  o.sequence_length = 2048;
  Hardware h200 = hardware("h200");
  h200.reached = 0.521;
  EXPECT_NEAR(make_plan(o, h200, {}).tokens_per_second, 62'220, 0.01 * 62'220);
  EXPECT_EQ(make_plan(o, h200, {}).levels, 0);
}

TEST(Plan, SaysWhatDoesNotFit) {
  const Plan p = make_plan(nano(), plain(), {.ranks = 2, .vocabulary = 1000});
  EXPECT_NE(to_text(p).find("more than the 1.0 MB that it has"), std::string::npos) << to_text(p);
  EXPECT_EQ(to_json(p)["rank_bytes"]["total"], p.memory());
}

std::string error_of(const std::string& name) {
  try {
    hardware(name);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(Hardware, IsReadFromAFile) {
  const Path file = test_folder() / "hardware.json";
  write_text(
      file,
      R"({"name": "box", "peak": 1e12, "reached": 0.4, "watts": 65, "memory": 16e9, "float_bytes": 4})");
  const Hardware box = hardware(file.string());
  EXPECT_EQ(box.name, "box");
  EXPECT_EQ(box.watts, 65);
  EXPECT_EQ(box.float_bytes, 4);
  write_text(file, R"({"name": "box", "peak": 1e12, "reached": 4, "watts": 65})");
  EXPECT_NE(error_of(file.string()).find("reached is 4; it must be a number from"),
            std::string::npos);
  write_text(file, R"({"name": "box", "peak": 1e12, "reached": 0.4})");
  EXPECT_NE(error_of(file.string()).find("watts is missing"), std::string::npos);
  EXPECT_NE(error_of("h300").find("'h300' is neither cpu, h100 or h200 nor a file"),
            std::string::npos);
}

}  // namespace
}  // namespace trit
