#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

Path temporary(const std::string& name) { return test_folder() / ("safetensors_" + name); }

// A file with this header text and these data bytes.
Path file_of(const std::string& header, const std::string& data, const std::string& name = "made") {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  write_text(temporary(name), bytes + header + data);
  return temporary(name);
}

void expect_refused(const Path& path, const std::string& word) {
  try {
    Safetensors::open(path);
    ADD_FAILURE() << "accepted; expected an error with: " << word;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(path.filename().string()), std::string::npos) << message;
    EXPECT_NE(message.find(word), std::string::npos) << message << " lacks " << word;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

// Bytes as the format's description has them: two float32, then one int8.
TEST(Safetensors, ReadsAFileWrittenByHand) {
  const Path path =
      file_of(R"({"__metadata__":{"who":"me"},"b":{"dtype":"I8","shape":[1],"data_offsets":[8,9]},)"
              R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}})",
              std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0\xfe", 9));
  const Safetensors file = Safetensors::open(path);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "b"}));  // in the order of the data
  EXPECT_EQ(file.get("a").shape, (Shape{2, 1}));
  EXPECT_EQ(file.get("a").to_f32(), (std::vector<float>{1.0f, -2.0f}));
  EXPECT_EQ(static_cast<int8_t>(file.get("b").data[0]), -2);
  EXPECT_EQ(file.metadata().at("who"), "me");
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_THROW(file.get("c"), Error);
}

// testdata/reference.safetensors was written by the Python package (tools/make_format_fixtures.py).
TEST(Safetensors, ReadsWhatThePythonPackageWrites) {
  const Safetensors file =
      Safetensors::open(TRIT_SOURCE_DIR "/src/formats/testdata/reference.safetensors");
  EXPECT_EQ(file.names().size(), 11u);
  EXPECT_EQ(file.get("layer.weight").shape, (Shape{2, 3}));
  EXPECT_EQ(file.get("layer.weight").to_f32(),
            (std::vector<float>{1.0f, -2.5f, 3.0f, 4.0f, 5.0f, -6.25f}));
  EXPECT_EQ(file.get("half").to_f32(), (std::vector<float>{1.0f, 0.5f, -2.0f, 65504.0f}));
  EXPECT_EQ(file.get("scalar").shape, Shape{});
  EXPECT_EQ(file.get("scalar").to_f32(), std::vector<float>{2.0f});
  EXPECT_EQ(file.get("empty").shape, (Shape{0, 4}));
  EXPECT_EQ(file.get("i64").type, DType::kI64);
  EXPECT_EQ(file.metadata().at("caf\u00e9"), "a \"quoted\"\nline");
}

TEST(Safetensors, RoundTripsOneFileAndShards) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6}, y = {7, 8};
  const auto view = [](const std::vector<float>& v, Shape shape) {
    return TensorView{DType::kF32, std::move(shape), reinterpret_cast<const std::byte*>(v.data())};
  };
  const NamedTensor tensors[] = {
      {"x", view(x, {2, 3})}, {"y", view(y, {2})}, {"empty", view(y, {0, 5})}};
  for (const uint64_t limit : {uint64_t{1000}, uint64_t{10}}) {
    const Path directory = temporary("dir" + std::to_string(limit));
    std::filesystem::remove_all(directory);
    std::filesystem::create_directories(directory);
    write_safetensors_sharded(directory, tensors, limit);
    EXPECT_EQ(std::filesystem::exists(directory / "model.safetensors.index.json"), limit == 10);
    const Safetensors file = Safetensors::open(directory);
    EXPECT_EQ(file.get("x").to_f32(), x);
    EXPECT_EQ(file.get("x").shape, (Shape{2, 3}));
    EXPECT_EQ(file.get("y").to_f32(), y);
    EXPECT_EQ(file.get("empty").count(), 0);
  }
}

// Bytes that are made while the file is written give the file that bytes in memory give.
TEST(Safetensors, WritesTensorsThatAreMadeOnDemand) {
  const std::vector<std::byte> data(12, std::byte{7});
  const TensorView view{DType::kI32, {3}, data.data()};
  const MakeBytes make = [&] {
    Buffer<std::byte> bytes(data.size());
    std::ranges::copy(data, bytes.data());
    return bytes;
  };
  std::vector<NamedTensor> tensors = {{"a", view}, {"b", view}};
  write_safetensors(temporary("held"), tensors);
  tensors[1].tensor.data = nullptr;
  tensors[1].make = make;
  write_safetensors(temporary("made"), tensors);
  EXPECT_EQ(read_text(temporary("made")), read_text(temporary("held")));
}

TEST(Safetensors, RefusesWhatIsNotAsTheFormatSays) {
  const std::string two(8, '\0');
  const auto tensor = [](const std::string& fields) { return "{\"w\":{" + fields + "}}"; };
  expect_refused(file_of("[]", ""), "made");
  expect_refused(file_of(tensor(R"("dtype":"F7","shape":[2],"data_offsets":[0,8])"), two), "F7");
  expect_refused(file_of(tensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), two), "w");
  expect_refused(file_of(tensor(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), two), "w");
  expect_refused(
      file_of(tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"), two),
      "w");
  expect_refused(file_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), two), "w");
  expect_refused(file_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,16])"), two), "w");
  expect_refused(file_of(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), two),
                 "made");  // a hole
  expect_refused(file_of(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), two),
                 "made");  // a tail
  expect_refused(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                         R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                         two),
                 "made");  // an overlap
  expect_refused(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                         R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                         two),
                 "made");  // the same name twice
  expect_refused(file_of(std::string(100000, '['), ""), "made");
  write_text(temporary("huge"), std::string(7, '\xFF') + std::string("\x7F") + "{}");
  expect_refused(temporary("huge"), "huge");
  write_text(temporary("short"), "abc");
  expect_refused(temporary("short"), "short");
}

TEST(Safetensors, ParsesBytesInMemory) {
  const std::string whole =
      read_text(TRIT_SOURCE_DIR "/src/formats/testdata/reference.safetensors");
  const Safetensors file = Safetensors::parse(std::as_bytes(std::span(whole)), "memory");
  EXPECT_EQ(file.names().size(), 11u);
  EXPECT_EQ(file.get("scalar").to_f32(), std::vector<float>{2.0f});
  EXPECT_THROW(file.get("nothing"), Error);
}

}  // namespace
}  // namespace trit
