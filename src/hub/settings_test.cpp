#include "hub/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

// The variables as a test sets them; none of them is left behind.
class Settings : public testing::Test {
 protected:
  static constexpr const char* kNames[] = {
      "HF_ENDPOINT",    "HF_TOKEN",     "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH",
      "HF_HOME",        "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE",  "XDG_CACHE_HOME",
      "HF_HUB_OFFLINE", "HOME",         "TRANSFORMERS_OFFLINE"};
  void SetUp() override {
    for (const char* name : kNames) unsetenv(name);
    set("HOME", test_folder() / "home");
  }
  void TearDown() override { SetUp(); }
  static void set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }
};

TEST_F(Settings, DefaultsAreThoseOfThePythonLibrary) {
  const HubSettings settings = hub_settings();
  EXPECT_EQ(settings.endpoint, "https://huggingface.co");
  EXPECT_EQ(settings.token, "");
  EXPECT_EQ(settings.cache, test_folder() / "home/.cache/huggingface/hub");
  EXPECT_FALSE(settings.offline);
}

TEST_F(Settings, TheNearestVariableNamesTheCache) {
  set("XDG_CACHE_HOME", "/xdg");
  EXPECT_EQ(hub_cache_folder(), "/xdg/huggingface/hub");
  set("HF_HOME", "~/hf");
  EXPECT_EQ(hub_cache_folder(), test_folder() / "home/hf/hub");
  set("HF_HUB_CACHE", "/cache");
  EXPECT_EQ(hub_cache_folder(), "/cache");
  set("HF_HUB_CACHE", "");
  EXPECT_EQ(hub_cache_folder(), test_folder() / "home/hf/hub");
}

TEST_F(Settings, TheTokenComesFromTheVariableOrElseTheFile) {
  const Path home = test_folder() / "with_token";
  std::filesystem::create_directories(home);
  write_text(home / "token", "hf_file\n");
  set("HF_HOME", home);
  EXPECT_EQ(hub_settings().token, "hf_file");
  set("HF_TOKEN", " hf_variable\n");
  EXPECT_EQ(hub_settings().token, "hf_variable");
}

TEST_F(Settings, ATokenCannotBringAHeaderLine) {
  set("HF_TOKEN", "secret\r\nX-Evil: 1");
  try {
    hub_settings();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("HF_TOKEN"), std::string::npos);
  }
}

TEST_F(Settings, Endpoints) {
  set("HF_ENDPOINT", "http://127.0.0.1:8080//");
  EXPECT_EQ(hub_settings().endpoint, "http://127.0.0.1:8080");
  for (const char* wrong : {"ftp://host", "host", "https://", "http://a b", "file:///etc/passwd"}) {
    set("HF_ENDPOINT", wrong);
    EXPECT_THROW(hub_settings(), Error) << wrong;
  }
}

TEST_F(Settings, Offline) {
  for (const char* yes : {"1", "true", "YES", "on"}) {
    set("HF_HUB_OFFLINE", yes);
    EXPECT_TRUE(hub_settings().offline) << yes;
  }
  set("HF_HUB_OFFLINE", "0");
  EXPECT_FALSE(hub_settings().offline);
}

}  // namespace
}  // namespace trit
