#include "hub/choose.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace trit {
namespace {

using Names = std::vector<std::string>;

RepoListing listing(Names files) {
  std::ranges::sort(files);
  return {std::string(40, 'c'), std::move(files)};
}

std::string error_of(const RepoListing& files, const std::string& repo) {
  try {
    choose_files(files, parse_repo(repo));
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(Choose, WhatTritReadsAndNothingElse) {
  // The files of microsoft/bitnet-b1.58-2B-4T, and others that repositories often have.
  const RepoListing files =
      listing({".gitattributes", "LICENSE", "README.md", "config.json", "configuration_bitnet.py",
               "generation_config.json", "model.safetensors", "modeling_bitnet.py",
               "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
               "pytorch_model.bin", "onnx/model.onnx", "tokenizer.model", "chat_template.jinja"});
  EXPECT_EQ(choose_files(files, parse_repo("org/name")),
            (Names{"config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
                   "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
                   "model.safetensors"}));
}

TEST(Choose, TheIndexComesFirst) {
  const RepoListing files =
      listing({"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"});
  EXPECT_EQ(choose_files(files, parse_repo("org/name")),
            (Names{"model.safetensors.index.json", "config.json"}));
}

TEST(Choose, TheOneGgufFileOrTheNamedOne) {
  EXPECT_EQ(choose_files(listing({"README.md", "a.gguf"}), parse_repo("org/name")),
            (Names{"a.gguf"}));
  const RepoListing two = listing({"a.gguf", "sub/b.gguf", "config.json"});
  EXPECT_EQ(choose_files(two, parse_repo("org/name:sub/b.gguf")), (Names{"sub/b.gguf"}));
  const std::string several = error_of(two, "org/name");
  EXPECT_NE(several.find("2 GGUF files"), std::string::npos) << several;
  EXPECT_NE(several.find("a.gguf, sub/b.gguf"), std::string::npos) << several;
  const std::string missing = error_of(two, "org/name:c.gguf");
  EXPECT_NE(missing.find("'c.gguf'"), std::string::npos) << missing;
  EXPECT_NE(missing.find("sub/b.gguf"), std::string::npos) << missing;
  const RepoListing both = listing({"a.gguf", "b.gguf", "config.json", "model.safetensors"});
  EXPECT_EQ(choose_files(both, parse_repo("org/name")).back(), "model.safetensors");
}

TEST(Choose, NothingToRead) {
  EXPECT_NE(error_of(listing({"config.json", "pytorch_model.bin"}), "org/name").find("nothing"),
            std::string::npos);
  Names many;
  for (int i = 0; i < 1000; ++i) many.push_back(fmt::format("{}.gguf", i));
  EXPECT_LT(error_of(listing(many), "org/name").size(), 2000u);
}

TEST(Choose, ShardsOfAnIndex) {
  EXPECT_EQ(shards_of(R"({"weight_map": {"a": "2.safetensors", "b": "1.safetensors",
                                          "c": "2.safetensors"}})",
                      "index"),
            (Names{"1.safetensors", "2.safetensors"}));
  for (const char* wrong : {"", "[]", "{}", R"({"weight_map": 3})", R"({"weight_map": ["a"]})",
                            R"({"weight_map": {"a": 1}})", R"({"weight_map": {"a": "../x"}})",
                            R"({"weight_map": {"a": "/x"}})", R"({"weight_map": {"a": ""}})"})
    EXPECT_THROW(shards_of(wrong, "index"), Error) << wrong;
}

}  // namespace
}  // namespace trit
