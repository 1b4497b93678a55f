// Safetensors files and indices that are cut, changed or lie: named errors, no crash, no memory that the
// file does not justify.

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/test_folder.h"
#include "formats/damage.h"
#include "formats/safetensors.h"

namespace trit {
namespace {

const auto parse = [](std::span<const std::byte> bytes) {
  const Safetensors file = Safetensors::parse(bytes, "input");
  size_t total = 0;
  for (const std::string& name : file.names()) total += file.get(name).bytes();
  EXPECT_LE(total, bytes.size());
};

std::string with_length(uint64_t length, const std::string& rest) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + rest;
}
std::string file_of(const std::string& header, const std::string& data = "") {
  return with_length(header.size(), header + data);
}

void expect_refused(const std::string& bytes, std::string_view word) {
  expect_error(parse, bytes, word);
}

TEST(SafetensorsDamage, AnywhereGivesAnErrorOrAParse) {
  damage_everywhere(parse,
                    read_text(TRIT_SOURCE_DIR "/src/formats/testdata/reference.safetensors"));
}

// Each number of the header becomes each of these.
TEST(SafetensorsDamage, EveryNumberOfTheHeader) {
  const std::string header = R"({"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"I8","shape":[3],"data_offsets":[8,11]}})";
  const std::string data(11, '\0');
  EXPECT_EQ(attempt(parse, file_of(header, data)), "");
  for (size_t i = 0; i < header.size(); ++i) {
    if (header[i] < '0' || header[i] > '9' || (header[i - 1] != '[' && header[i - 1] != ',')) {
      continue;
    }
    const size_t end = header.find_first_of(",]", i);
    for (const char* value : {"-1", "-0", "99", "4294967296", "9223372036854775807",
                              "9223372036854775808", "18446744073709551615", "18446744073709551616",
                              "1e3", "1.5", "null", "true", "\"8\"", "[]", "{}", ""}) {
      const std::string changed = header.substr(0, i) + value + header.substr(end);
      EXPECT_NE(attempt(parse, file_of(changed, data)), "") << changed;
    }
  }
}

TEST(SafetensorsDamage, HeadersThatCannotBe) {
  expect_refused("", "0 bytes long");
  expect_refused("1234567", "7 bytes long");
  expect_refused(file_of(""), "header begins with ''");
  for (const char* header : {"[]", "1", "null", "\"a\"", " {}", "x"}) {
    expect_refused(file_of(header), "must be a JSON object");
  }
  for (const char* header :
       {"{", "{}{}", "{\"a\"}", "{\"a\":}", "{\"a\":{}", "{\"\xff\":{}}", "{}\x01"}) {
    expect_refused(file_of(header), "not valid JSON");
  }
  for (const char* value : {"1", "[]", "null", "\"F32\""}) {
    expect_refused(file_of(fmt::format("{{\"w\":{}}}", value)), "tensor 'w': it is described by");
  }
  EXPECT_EQ(attempt(parse, file_of("{}")), "");
  EXPECT_EQ(attempt(parse, file_of("{}   ")), "");  // writers fill up with blanks
}

TEST(SafetensorsDamage, FieldsThatCannotBe) {
  const auto tensor = [](const std::string& fields) {
    return file_of("{\"w\":{" + fields + "}}", std::string(8, '\0'));
  };
  EXPECT_EQ(attempt(parse, tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])")), "");
  expect_refused(tensor(R"("shape":[2],"data_offsets":[0,8])"), "tensor 'w': ");
  expect_refused(tensor(R"("dtype":7,"shape":[2],"data_offsets":[0,8])"), "\"dtype\" is 7");
  expect_refused(tensor(R"("dtype":"f32","shape":[2],"data_offsets":[0,8])"), "dtype is 'f32'");
  expect_refused(tensor(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"), "F8_E4M3");
  expect_refused(tensor(R"("dtype":"F32","data_offsets":[0,8])"), "shape is missing");
  expect_refused(tensor(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), "shape is missing");
  expect_refused(tensor(R"("dtype":"F32","shape":[2])"), "data_offsets is missing");
  for (const char* offsets : {"[]", "[0]", "[0,4,8]", "[8,0]", "[0,9]", "[8,16]"}) {
    expect_refused(tensor(fmt::format(R"("dtype":"F32","shape":[2],"data_offsets":{})", offsets)),
                   "tensor 'w': data_offsets");
  }
  expect_refused(tensor(R"("dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8])"), "twice");
}

TEST(SafetensorsDamage, NamesAndMetadata) {
  const std::string one = R"({"dtype":"I8","shape":[4],"data_offsets":[0,4]})";
  const std::string data(4, '\0');
  expect_refused(file_of("{\"w\":" + one + ",\"w\":" + one + "}", data), "\"w\" occurs twice");
  expect_refused(file_of("{\"w\":" + one + ",\"\\u0077\":" + one + "}", data),
                 "\"w\" occurs twice");
  expect_refused(file_of(R"({"\u001b[2J\n":7})"), "tensor '\\x1b[2J\\x0a'");
  expect_refused(file_of(R"({"__metadata__":[]})"), "__metadata__ is array");
  expect_refused(file_of(R"({"__metadata__":{"k":1}})"), "__metadata__ 'k'");
  expect_refused(file_of(R"({"__metadata__":{"k":{"k":{}}}})"), "__metadata__ 'k'");
  EXPECT_EQ(attempt(parse, file_of("{\"\":" + one + "}", data)), "");  // a name all the same
}

// Depth, width and lengths that lie: an error, and no memory that is not in the file.
TEST(SafetensorsDamage, SizesThatLie) {
  const long before = peak_mebibytes();
  for (const uint64_t lie : {uint64_t{3}, uint64_t{1} << 30, uint64_t{1} << 40, uint64_t{1} << 63,
                             ~uint64_t{0}, ~uint64_t{0} - 7}) {
    expect_refused(with_length(lie, "{}"), fmt::format("header length is {}", lie));
  }
  std::string deep = "{\"w\":";
  deep += std::string(1'000'000, '[');
  expect_refused(file_of(deep), "nested deeper");
  std::string wide = R"({"w":{"dtype":"I8","data_offsets":[0,0],"shape":[0)";
  for (int i = 0; i < 100'000; ++i) wide += ",1";
  const std::string message = attempt(parse, file_of(wide + "]}}"));
  EXPECT_LT(message.size(), 500u);
  EXPECT_LT(peak_mebibytes() - before, 128);
}

// A directory with this index and a shard a.safetensors that holds the tensor "w".
Path directory_of(const std::string& index) {
  const Path directory = test_folder() / "damaged_index";
  std::filesystem::create_directories(directory);
  write_text(directory / "model.safetensors.index.json", index);
  write_text(directory / "a.safetensors",
             file_of(R"({"w":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})", "abcd"));
  return directory;
}

TEST(SafetensorsDamage, IndicesThatDoNotFit) {
  const auto expect = [](const std::string& index, std::string_view word) {
    try {
      Safetensors::open(directory_of(index));
      ADD_FAILURE() << "accepted: " << index;
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(word), message.npos) << message << " lacks " << word;
    }
  };
  EXPECT_EQ(
      Safetensors::open(directory_of(R"({"weight_map":{"w":"a.safetensors"}})")).names().size(),
      1u);
  for (const char* index : {"[]", "{}", R"({"weight_map":[]})", R"({"weight_map":null})"}) {
    expect(index, "weight_map is missing or no object");
  }
  for (const char* shard : {"\"../a.safetensors\"", "\"/etc/passwd\"", "\"..\"", "\"\"", "7",
                            "null", R"("a\\b")", R"("a\u0000b")"}) {
    expect(fmt::format(R"({{"weight_map":{{"w":{}}}}})", shard), "gives 'w' the shard");
  }
  expect(R"({"weight_map":{"w":"b.safetensors"}})", "b.safetensors: cannot open");
  expect(R"({"weight_map":{"w":"."}})", "");
  expect(R"({"weight_map":{}})"
         "x",
         "not valid JSON");
  expect(R"({"weight_map":{"v":"a.safetensors"}})", "tensor 'w' is in a.safetensors");
  expect(R"({"weight_map":{"v":"a.safetensors","w":"a.safetensors"}})", "places tensor 'v'");
}

}  // namespace
}  // namespace trit
