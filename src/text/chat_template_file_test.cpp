#include "text/chat_template_file.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_folder.h"
#include "formats/gguf.h"

namespace trit {
namespace {

Path folder(const std::string& name) {
  const Path path = test_folder() / ("chat_" + name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

Path gguf(const std::string& chat_template) {
  const Path path = folder("gguf") / "model.gguf";
  GgufWriter writer;
  writer.set("general.architecture", std::string("trit"));
  if (!chat_template.empty()) writer.set("tokenizer.chat_template", chat_template);
  writer.write(path);
  return path;
}

std::string source(const Path& path) {
  const auto found = find_chat_template(path);
  return found ? found->chat_template.source() : "none";
}

std::string error_of(const Path& path) {
  try {
    return "no error, but " + source(path);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(ChatTemplateFile, ADirectoryKeepsItInAFileOfItsOwnOrInTheConfig) {
  const Path path = folder("directory");
  EXPECT_EQ(source(path), "none");
  write_text(path / "tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(source(path), "none");
  write_text(path / "tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(source(path), "config");
  write_text(path / "tokenizer_config.json",
             R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                   {"name": "default", "template": "plain"}]})");
  EXPECT_EQ(source(path), "plain");
  write_text(path / "chat_template.jinja", "file");
  EXPECT_EQ(source(path), "file");
}

TEST(ChatTemplateFile, NamesWhatIsWrong) {
  const Path path = folder("wrong");
  write_text(
      path / "tokenizer_config.json",
      R"({"chat_template": [{"name": "a", "template": "x"}, {"name": "b", "template": "y"}]})");
  EXPECT_NE(error_of(path).find("no entry named 'default', but: a, b"), std::string::npos);
  write_text(path / "tokenizer_config.json", R"({"chat_template": 7})");
  EXPECT_NE(error_of(path).find("tokenizer_config.json"), std::string::npos);
  write_text(path / "tokenizer_config.json", R"({"chat_template": "{{ 1"})");
  EXPECT_NE(error_of(path).find("tokenizer_config.json: chat_template:1:3: "), std::string::npos)
      << error_of(path);
}

TEST(ChatTemplateFile, GgufKeepsItInItsMetadata) {
  EXPECT_EQ(source(gguf("")), "none");
  EXPECT_EQ(source(gguf("{{ messages }}")), "{{ messages }}");
}

// What the true template writes is documented with the model: "Role: content<|eot_id|>" for each message,
// without line breaks, content stripped, "Assistant: " at the end.
TEST(ChatTemplateFile, ThePlaceholderOfBitnetIsReplaced) {
  const auto found = find_chat_template(gguf(
      "{% for message in messages %}{{ 'Human: ' + message['content'] + '\\n\\nBITNETAssistant: ' "
      "}}{% endfor %}"));
  ASSERT_TRUE(found.has_value());
  EXPECT_NE(found->note.find("placeholder"), std::string::npos);
  ChatOptions options;
  options.bos_token = "<|begin_of_text|>";
  EXPECT_EQ(
      found->chat_template.render(
          {{"system", "Be brief."}, {"user", " Hi\n"}, {"assistant", "Hello."}, {"user", "Bye"}},
          options),
      "<|begin_of_text|>System: Be brief.<|eot_id|>User: Hi<|eot_id|>"
      "Assistant: Hello.<|eot_id|>User: Bye<|eot_id|>Assistant: ");
}

}  // namespace
}  // namespace trit
