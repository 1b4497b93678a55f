#include "hub/settings.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"

namespace trit {
namespace {

constexpr std::string_view kEndpoint = "https://huggingface.co";
constexpr size_t kMaxTokenBytes = 4096;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// "~/x" is x in the home folder.
Path expanded(const std::string& path) {
  if (path == "~" || path.starts_with("~/")) return Path(variable("HOME") + path.substr(1));
  return path;
}

Path home_folder() {
  if (const std::string home = variable("HF_HOME"); !home.empty()) return expanded(home);
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return expanded(cache) / "huggingface";
  if (variable("HOME").empty())
    bad_input("HOME: it is not set; HF_HOME must name the folder of the Hugging Face cache");
  return expanded("~/.cache/huggingface");
}

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

// A token becomes a header line: what would end the line must not be in it. The error never shows it.
std::string checked_token(std::string_view text, std::string_view where) {
  std::string token = trimmed(text);
  if (!std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7F; }))
    bad_input("{}: the token has a space or another byte that no token has", where);
  return token;
}

std::string find_token() {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (std::string token = checked_token(variable(name), name); !token.empty()) return token;
  }
  const std::string named = variable("HF_TOKEN_PATH");
  const Path file = named.empty() ? home_folder() / "token" : expanded(named);
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return {};
  return checked_token(read_text(file, kMaxTokenBytes), file.string());
}

}  // namespace

std::string checked_endpoint(std::string_view endpoint, std::string_view where) {
  std::string_view url = endpoint;
  while (url.ends_with('/')) url.remove_suffix(1);
  const bool plain =
      std::ranges::all_of(url, [](char c) { return c > 0x20 && c < 0x7F && c != '?' && c != '#'; });
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  if (scheme == 0 || url.size() == scheme || !plain) {
    bad_input("{}: '{}' is no endpoint; it must be a URL like {}", where, printable(endpoint),
              kEndpoint);
  }
  return std::string(url);
}

Path hub_cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string folder = variable(name); !folder.empty()) return expanded(folder);
  }
  return home_folder() / "hub";
}

HubSettings hub_settings() {
  HubSettings settings;
  const std::string endpoint = variable("HF_ENDPOINT");
  settings.endpoint = checked_endpoint(endpoint.empty() ? kEndpoint : endpoint, "HF_ENDPOINT");
  settings.token = find_token();
  settings.cache = hub_cache_folder();
  settings.offline =
      is_true(variable("HF_HUB_OFFLINE")) || is_true(variable("TRANSFORMERS_OFFLINE"));
  return settings;
}

}  // namespace trit
