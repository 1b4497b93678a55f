// GGUF files that are cut, changed or lie: named errors, no crash, no memory that the file does not
// justify.

#include <gtest/gtest.h>

#include "base/file.h"
#include "formats/damage.h"
#include "formats/gguf.h"

namespace trit {
namespace {

const auto parse = [](std::span<const std::byte> bytes) {
  const Gguf file = Gguf::parse(bytes, "input");
  for (const GgufTensor& tensor : file.tensors()) {
    EXPECT_TRUE(tensor.data.empty() ||
                (tensor.data.data() >= bytes.data() &&
                 tensor.data.data() + tensor.data.size() <= bytes.data() + bytes.size()));
  }
};

template <class T>
std::string number(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(const std::string& content) { return number<uint64_t>(content.size()) + content; }

std::string head(uint64_t tensors, uint64_t pairs, uint32_t version = 3) {
  return "GGUF" + number(version) + number(tensors) + number(pairs);
}

// An entry of the tensor list.
std::string entry(const std::string& name, const std::vector<uint64_t>& shape, uint32_t type,
                  uint64_t offset) {
  std::string bytes = text(name) + number(static_cast<uint32_t>(shape.size()));
  for (const uint64_t size : shape) bytes += number(size);
  return bytes + number(type) + number(offset);
}

// A file of these entries and `data_bytes` of data.
std::string file_of(const std::vector<std::string>& entries, size_t data_bytes = 64) {
  std::string bytes = head(entries.size(), 0);
  for (const std::string& one : entries) bytes += one;
  bytes.resize((bytes.size() + 31) / 32 * 32 + data_bytes);
  return bytes;
}

void expect_refused(const std::string& bytes, std::string_view word) {
  expect_error(parse, bytes, word);
}

TEST(GgufDamage, AnywhereGivesAnErrorOrAParse) {
  const std::string folder = TRIT_SOURCE_DIR "/src/formats/testdata/";
  damage_everywhere(parse, read_text(folder + "reference.gguf"));
  damage_everywhere(parse, read_text(folder + "aligned64.gguf"));
}

TEST(GgufDamage, EveryCutOfTheListsIsRefused) {
  const std::string whole = file_of({entry("w", {4, 2}, 0, 0), entry("v", {8}, 24, 32)}, 64);
  EXPECT_EQ(attempt(parse, whole), "");
  // The last byte of a tensor is the 40th of the data; all bytes before are needed.
  for (size_t size = 0; size < whole.size() - 24; ++size) {
    EXPECT_NE(attempt(parse, whole.substr(0, size)), "") << size;
  }
}

TEST(GgufDamage, VersionsAndMagic) {
  expect_refused("", "GGUF");
  expect_refused("GGU", "GGUF");
  expect_refused("GGUFxxx", "GGUF");
  expect_refused("FUGG" + head(0, 0).substr(4), "GGUF");
  for (const uint32_t version : {0u, 1u, 4u, 0xFFFFFFFFu}) {
    expect_refused(head(0, 0, version), fmt::format("version is {}", version));
  }
  expect_refused(head(0, 0, 0x03000000), "big-endian");
  EXPECT_EQ(attempt(parse, head(0, 0)), "");
}

TEST(GgufDamage, ShapesThatCannotBe) {
  const uint64_t huge = uint64_t{1} << 62;
  EXPECT_EQ(attempt(parse, file_of({entry("w", {}, 0, 0)})), "");              // a scalar
  EXPECT_EQ(attempt(parse, file_of({entry("w", {huge >> 3, 0}, 0, 0)})), "");  // nothing
  expect_refused(file_of({entry("w", {huge, 0}, 8, 0)}), "tensor 'w': shape");
  expect_refused(file_of({entry("w", {1, 1, 1, 1, 1}, 0, 0)}), "tensor 'w': it has 5 dimensions");
  expect_refused(file_of({entry("w", {huge}, 24, 0)}), "tensor 'w': shape");
  expect_refused(file_of({entry("w", {uint64_t{1} << 31, uint64_t{1} << 31}, 24, 0)}), "shape");
  expect_refused(file_of({entry("w", {65536, 65536, 65536, 65536}, 24, 0)}), "shape");
  expect_refused(file_of({entry("w", {~uint64_t{0}}, 24, 0)}), "shape");
  expect_refused(file_of({entry("w", {uint64_t{1} << 63, 2}, 24, 0)}), "shape");
  expect_refused(file_of({entry("w", {uint64_t{1} << 58}, 28, 0)}), "bytes at offset 0");
  expect_refused(file_of({entry("w", {100}, 35, 0)}), "rows have 100 columns");
  expect_refused(head(1, 0) + text("w") + number(0xFFFFFFFFu) + std::string(64, '\0'),
                 "4294967295 dimensions");
}

TEST(GgufDamage, PlacesThatCannotBe) {
  expect_refused(file_of({entry("w", {8}, 0, 64)}), "tensor 'w': its 32 bytes at offset 64");
  expect_refused(file_of({entry("w", {8}, 0, ~uint64_t{0} - 31)}),
                 "at offset 18446744073709551584");
  expect_refused(file_of({entry("w", {8}, 0, ~uint64_t{0})}), "no multiple of the alignment 32");
  expect_refused(file_of({entry("w", {8}, 0, 4)}), "no multiple");
  expect_refused(file_of({entry("w", {17}, 0, 0)}), "its 68 bytes");
  expect_refused(file_of({entry("v", {16}, 0, 0), entry("w", {8}, 0, 32)}), "inside tensor 'v'");
  expect_refused(file_of({entry("v", {8}, 0, 0), entry("w", {8}, 0, 0)}), "inside tensor 'v'");
  EXPECT_EQ(attempt(parse, file_of({entry("v", {0}, 0, 0), entry("w", {8}, 0, 0)})), "");
}

TEST(GgufDamage, NamesThatCannotBe) {
  const std::string twice = entry("w", {1}, 0, 0);
  expect_refused(file_of({twice, twice}), "tensor 'w': it occurs twice");
  expect_refused(file_of({entry(std::string(65, 'w'), {1}, 0, 0)}), "65 bytes");
  EXPECT_EQ(attempt(parse, file_of({entry(std::string(64, 'w'), {1}, 0, 0)})), "");
  // Control characters do not reach the terminal.
  expect_refused(file_of({entry("\x1b[2J\n", {1}, 99, 0)}), "tensor '\\x1b[2J\\x0a'");
  const std::string pair = text("k") + number(0u) + "x";
  expect_refused(head(0, 2) + pair + pair, "key 'k': it occurs twice");
}

TEST(GgufDamage, ValuesThatCannotBe) {
  const auto value = [](const std::string& rest) { return head(0, 1) + text("k") + rest; };
  expect_refused(value(number(12u)), "key 'k': 8 bytes are needed");
  expect_refused(value(number(7u) + "\x02"), "key 'k': a bool is 2");
  expect_refused(value(number(9u) + number(7u) + number<uint64_t>(2) + std::string("\x01\x03")),
                 "a bool is 3");
  for (const uint32_t id : {13u, 77u, 0xFFFFFFFFu}) {
    expect_refused(value(number(id)), fmt::format("type id is {}", id));
    expect_refused(value(number(9u) + number(id) + number<uint64_t>(0)), "type id is");
  }
  expect_refused(value(number(9u) + number(9u) + number<uint64_t>(0)), "array of arrays");
  const auto alignment = [](const std::string& rest) {
    return head(0, 1) + text("general.alignment") + rest;
  };
  for (const uint32_t wrong : {0u, 3u, 33u}) {
    expect_refused(alignment(number(4u) + number(wrong)), fmt::format("is {}", wrong));
  }
  expect_refused(alignment(number(10u) + number<uint64_t>(32)), "another type");
  EXPECT_EQ(attempt(parse, alignment(number(4u) + number(uint32_t{1} << 31))), "");
}

// Lengths and counts that lie: refused before memory is taken for them.
TEST(GgufDamage, LengthsThatLie) {
  const long before = peak_mebibytes();
  const std::string padding(4096, 'x');
  for (const uint64_t lie : {uint64_t{1} << 30, uint64_t{1} << 32, uint64_t{1} << 40,
                             uint64_t{1} << 61, uint64_t{1} << 63, ~uint64_t{0}}) {
    expect_refused(head(lie, 0) + padding, "tensor_count");
    expect_refused(head(0, lie) + padding, "metadata_kv_count");
    expect_refused(head(0, 1) + number(lie) + padding, fmt::format("{} bytes are needed", lie));
    expect_refused(head(1, 0) + number(lie) + padding, fmt::format("{} bytes are needed", lie));
    expect_refused(head(0, 1) + text("k") + number(8u) + number(lie) + padding, "key 'k'");
    for (uint32_t id = 0; id <= 12; ++id) {
      if (id == 9) continue;
      expect_refused(head(0, 1) + text("k") + number(9u) + number(id) + number(lie) + padding,
                     fmt::format("array length is {}", lie));
    }
  }
  EXPECT_LT(peak_mebibytes() - before, 64);
}

}  // namespace
}  // namespace trit
