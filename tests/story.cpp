#include "tests/story.h"

namespace trit {
namespace {

// Forty short documents that are easy to predict.
std::string corpus() {
  const std::vector<std::string> who = {"cat", "dog", "king", "bird", "child"};
  const std::vector<std::string> where = {"house",  "garden", "forest", "river",
                                          "castle", "field",  "town",   "hill"};
  std::string text;
  for (const std::string& a : who) {
    for (const std::string& b : where) {
      for (const std::string& c : who) {
        text += "The " + a + " went to the " + b + ". There it met a " + c +
                ". \"Hello,\" said the " + c + ". They ";
        text += "sat by the " + b + " and told stories.\n";
      }
      text += "<|endoftext|>\n";
    }
  }
  return text;
}

}  // namespace

std::vector<std::string> Story::train_arguments(const std::string& out, int steps) {
  return {"train",
          "--data",
          "data",
          "--out",
          out,
          "--preset",
          "nano",
          "--layers",
          "2",
          "--hidden",
          "48",
          "--heads",
          "3",
          "--ffn",
          "96",
          "--sequence-length",
          "32",
          "--batch",
          "8",
          "--steps",
          std::to_string(steps),
          "--lr",
          "5e-3",
          "--save-every",
          "7",
          "--eval-every",
          "20"};
}

void Story::SetUpTestSuite() {
  std::filesystem::remove_all(directory());
  std::filesystem::create_directories(directory());
  write_text(directory() / "text.txt", corpus());
  expect_success(trit({"tokenizer", "train", "text.txt", "--vocab-size", "320", "--out", "tok"}));
  expect_success(trit({"data", "build", "text.txt", "--tokenizer", "tok", "--out", "data",
                       "--valid-fraction", "0.2"}));
  expect_success(trit(train_arguments("run", 60)));
  expect_success(trit({"convert", "run/checkpoint", "model.gguf"}));
}

}  // namespace trit
