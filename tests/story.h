#pragma once
// The whole story at the smallest size, made once for all tests of the program: text -> tokenizer -> dataset ->
// trained checkpoint -> GGUF.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/test_folder.h"
#include "tests/process.h"

namespace trit {

class Story : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite() { std::filesystem::remove_all(directory()); }
  static Path directory() { return test_folder() / "story"; }

  static Outcome trit(const std::vector<std::string>& arguments,
                      const Process::Environment& environment = {}) {
    return Process(directory(), arguments, environment).wait();
  }
  static void expect_success(const Outcome& outcome) { ASSERT_EQ(outcome.code, 0) << outcome.err; }
  static std::vector<std::string> train_arguments(const std::string& out, int steps);
};

}  // namespace trit
