#pragma once
// For tests alone: what happens to files on their way, and what must come of it.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace trit {

// Runs `parse` on bytes that may be anything. It may succeed, or throw an Error of one line that begins
// with the name "input"; everything else fails the test. Returns the error, empty when there was none.
template <class Parse>
std::string attempt(Parse parse, std::string_view bytes) {
  try {
    parse(std::as_bytes(std::span(bytes)));
    return "";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_TRUE(message.starts_with("input: ")) << message;
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    return message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "no Error: " << error.what();
    return error.what();
  }
}

// attempt() that must give an error with this word.
template <class Parse>
void expect_error(Parse parse, std::string_view bytes, std::string_view word) {
  const std::string message = attempt(parse, bytes);
  EXPECT_NE(message.find(word), message.npos) << "'" << message << "' lacks '" << word << "'";
}

// Every cut of `whole`, and every byte, 4 bytes and 8 bytes of it replaced with what may hurt.
template <class Parse>
void damage_everywhere(Parse parse, const std::string& whole) {
  const auto replace = [&](size_t offset, auto value) {
    if (offset + sizeof value > whole.size()) return;
    std::string bytes = whole;
    std::memcpy(bytes.data() + offset, &value, sizeof value);
    attempt(parse, bytes);
  };
  for (size_t i = 0; i < whole.size(); ++i) {
    attempt(parse, whole.substr(0, i));
    for (const int flip : {0x01, 0x20, 0x80}) replace(i, static_cast<char>(whole[i] ^ flip));
    for (const int byte : {0x00, 0x7F, 0xFF}) replace(i, static_cast<char>(byte));
    for (const uint32_t value : {0u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) replace(i, value);
    for (const uint64_t value : {uint64_t{0}, uint64_t{1} << 32, uint64_t{1} << 60,
                                 (uint64_t{1} << 63) - 1, uint64_t{1} << 63, ~uint64_t{0}}) {
      replace(i, value);
    }
  }
}

// The most memory that this process has had so far, in MiB.
inline long peak_mebibytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

}  // namespace trit
