#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "base/test_folder.h"

namespace trit {
namespace {

Path temporary(const std::string& name) { return test_folder() / ("gguf_" + name); }

// Bytes put together as the format's description has them.
class Bytes {
 public:
  template <class T>
  Bytes& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& string(const std::string& text) {
    number<uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  Bytes& raw(const std::string& text) {
    bytes_ += text;
    return *this;
  }
  Bytes& pad(size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  Path file(const std::string& name = "made") const {
    write_text(temporary(name), bytes_);
    return temporary(name);
  }

 private:
  std::string bytes_;
};

Bytes head(uint64_t tensors, uint64_t values, uint32_t version = 3) {
  return Bytes().raw("GGUF").number(version).number(tensors).number(values);
}

void expect_refused(const Path& path, const std::string& word) {
  try {
    Gguf::open(path);
    ADD_FAILURE() << "accepted; expected an error with: " << word;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(path.filename().string()), std::string::npos) << message;
    EXPECT_NE(message.find(word), std::string::npos) << message << " lacks " << word;
  }
}

TEST(Gguf, ReadsAFileWrittenByHand) {
  for (const uint32_t version : {2u, 3u}) {
    Bytes bytes = head(1, 3, version);
    bytes.string("general.architecture").number(8u).string("toy");
    bytes.string("toy.size").number(4u).number(7u);
    bytes.string("toy.words").number(9u).number(8u).number<uint64_t>(2).string("a").string("bc");
    bytes.string("w")
        .number(2u)
        .number<uint64_t>(3)
        .number<uint64_t>(2)
        .number(0u)
        .number<uint64_t>(0);
    bytes.pad(32);
    for (const float x : {1.f, 2.f, 3.f, 4.f, 5.f, 6.f}) bytes.number(x);
    const Gguf file = Gguf::open(bytes.file());
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.get_string("general.architecture"), "toy");
    EXPECT_EQ(file.get_uint("toy.size"), 7u);
    EXPECT_EQ(file.get_strings("toy.words"), (std::vector<std::string>{"a", "bc"}));
    const GgufTensor& w = file.get_tensor("w");
    EXPECT_EQ(w.type, GgmlType::kF32);
    EXPECT_EQ(w.shape, (Shape{2, 3}));  // innermost first in the file
    float last;
    std::memcpy(&last, w.data.data() + 20, 4);
    EXPECT_EQ(last, 6.0f);
  }
}

// testdata/*.gguf were written by the Python package gguf (tools/make_format_fixtures.py).
TEST(Gguf, ReadsWhatThePythonPackageWrites) {
  for (const char* name : {"reference.gguf", "aligned64.gguf"}) {
    const Gguf file = Gguf::open(Path(TRIT_SOURCE_DIR "/src/formats/testdata") / name);
    EXPECT_EQ(file.get_string("general.architecture"), "test");
    EXPECT_EQ(file.get_uint("u8"), 200u);
    EXPECT_EQ(file.get_int("i8"), -100);
    EXPECT_EQ(file.get_int("i32"), -2000000000);
    EXPECT_EQ(file.get_uint("u64"), ~uint64_t{0});
    EXPECT_EQ(file.get_float("f64"), 0.1);
    EXPECT_TRUE(file.get_bool("bool"));
    EXPECT_EQ(file.get_string("string"), "na\u00efve");
    EXPECT_EQ(file.get_strings("strings"), (std::vector<std::string>{"a", "", "\u0120dog"}));
    EXPECT_EQ(file.get_ints("i32s"), (std::vector<int64_t>{1, -2, 3}));
    EXPECT_EQ(file.get_floats("f32s"), (std::vector<double>{0.25, -1.0}));
    EXPECT_EQ(file.get_tensor("f32").shape, (Shape{2, 3}));
    EXPECT_EQ(file.get_tensor("i8").shape, (Shape{2, 3, 4}));
    EXPECT_EQ(static_cast<int8_t>(file.get_tensor("i8").data[0]), -12);
    const GgufTensor& ternary = file.get_tensor("tq2");
    EXPECT_EQ(ternary.type, GgmlType::kTQ2_0);
    EXPECT_EQ(ternary.data.size(), 2 * 66u);
    EXPECT_THROW(file.get_uint("i8"), Error);  // negative
  }
}

// Sizes of blocks as ggml defines them: TQ1_0 54 and TQ2_0 66 bytes for 256, I2_S a quarter byte and a tail.
TEST(Gguf, BytesOfTypes) {
  EXPECT_EQ(ggml_bytes(GgmlType::kF16, {3, 5}, "t"), 30u);
  EXPECT_EQ(ggml_bytes(GgmlType::kTQ1_0, {2, 256}, "t"), 108u);
  EXPECT_EQ(ggml_bytes(GgmlType::kTQ2_0, {1, 512}, "t"), 132u);
  EXPECT_EQ(ggml_bytes(GgmlType::kQ8_0, {1, 64}, "t"), 68u);
  EXPECT_EQ(ggml_bytes(GgmlType::kQ6_K, {1, 256}, "t"), 210u);
  EXPECT_EQ(ggml_bytes(GgmlType::kI2_S, {4, 128}, "t"), 128u + 32u);
  EXPECT_EQ(ggml_bytes(GgmlType::kQ2_0, {1, 64}, "t"), 18u);
  EXPECT_EQ(ggml_bytes(GgmlType::kPQ2_0, {2, 128}, "t"), 2 * 34u);
  EXPECT_EQ(ggml_bytes(GgmlType::kPTQ1_0, {3, 2, 128}, "t"), 6 * 28u);
  EXPECT_THROW(ggml_bytes(GgmlType::kTQ2_0, {1, 100}, "t"), Error);
  EXPECT_THROW(ggml_bytes(GgmlType::kI2_S, {2, 64}, "t"),
               Error);  // the second row begins inside a run
}

// Ids as ggml.h has them, Microsoft's and Prism's; what is not read has a name all the same.
TEST(Gguf, NamesOfTypes) {
  EXPECT_EQ(ggml_type_of_id(36), GgmlType::kI2_S);
  EXPECT_EQ(ggml_type_of_id(143), GgmlType::kPTQ1_0);
  EXPECT_EQ(ggml_type_of_id(39), std::nullopt);
  EXPECT_EQ(ggml_id_name(42), "Q2_0");
  EXPECT_EQ(ggml_id_name(142), "PQ2_0");
  EXPECT_EQ(ggml_id_name(13), "Q5_K");
  EXPECT_EQ(ggml_id_name(39), "MXFP4 (or Microsoft's TL2)");
  EXPECT_EQ(ggml_id_name(4), "unknown");
  for (uint32_t id = 0; id < 200; ++id) {
    const std::optional<GgmlType> type = ggml_type_of_id(id);
    if (type) {
      EXPECT_EQ(ggml_id_name(id), to_string(*type));
    }
  }
}

TEST(Gguf, WritesWhatItReads) {
  const std::vector<int8_t> packed(64, 3);
  const float scale = 0.5f;
  const auto bytes = [](const auto* p, size_t size) { return std::as_bytes(std::span(p, size)); };
  GgufWriter writer;
  writer.set("general.architecture", std::string("toy"));
  writer.set("toy.flag", true);
  writer.set("toy.rate", 0.25f);
  writer.set("toy.count", uint32_t{3});
  writer.set("toy.count", uint32_t{4});  // replaces
  writer.set("toy.ids", GgufArray(std::vector<int32_t>{1, -2, 3}));
  writer.add_tensor("w", GgmlType::kI8, {2, 32}, bytes(packed.data(), packed.size()));
  writer.add_tensor("s", GgmlType::kF32, {1}, bytes(&scale, 1));
  EXPECT_THROW(writer.add_tensor("w", GgmlType::kF32, {1}, bytes(&scale, 1)), Error);
  writer.write(temporary("written"));
  const Gguf file = Gguf::open(temporary("written"));
  EXPECT_TRUE(file.get_bool("toy.flag"));
  EXPECT_EQ(file.get_float("toy.rate"), 0.25);
  EXPECT_EQ(file.get_uint("toy.count"), 4u);
  EXPECT_EQ(file.get_ints("toy.ids"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(std::memcmp(file.get_tensor("w").data.data(), packed.data(), 64), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.get_tensor("s").data.data()) % 32, 0u);
  EXPECT_THROW(file.get_uint("toy.rate"), Error);
  EXPECT_THROW(file.get_string("toy.flag"), Error);
  EXPECT_THROW(file.get_uint("nothing"), Error);
  EXPECT_THROW(file.get_tensor("nothing"), Error);
}

// The checksum of 24 bytes of 7 and then 1, 2, 3, 4, by Python's zlib.crc32.
TEST(Gguf, ChecksumsItsTensors) {
  const std::vector<std::byte> sevens(24, std::byte{7});
  const std::array ones{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  GgufWriter writer;
  writer.add_tensor("a", GgmlType::kF32, {2, 3}, sevens);
  writer.add_tensor("b", GgmlType::kF32, {1}, ones);
  writer.write(temporary("summed.gguf"));
  const Gguf file = Gguf::open(temporary("summed.gguf"));
  EXPECT_EQ(file.get_uint(kGgufChecksumKey), 855713569u);
  EXPECT_EQ(checksum_holds(file), true);
  std::string damaged = read_text(temporary("summed.gguf"));
  damaged[damaged.rfind(7)] = 6;
  write_text(temporary("damaged.gguf"), damaged);
  EXPECT_EQ(checksum_holds(Gguf::open(temporary("damaged.gguf"))), false);
  EXPECT_EQ(checksum_holds(Gguf::open(TRIT_SOURCE_DIR "/src/formats/testdata/reference.gguf")),
            std::nullopt);
}

// Bytes that are made while the file is written give the file that bytes in memory give.
TEST(Gguf, WritesTensorsThatAreMadeOnDemand) {
  const std::vector<std::byte> data(24, std::byte{7});
  GgufWriter held, made;
  held.add_tensor("a", GgmlType::kF32, {2, 3}, data);
  held.add_tensor("b", GgmlType::kF32, {2, 3}, data);
  made.add_tensor("a", GgmlType::kF32, {2, 3}, data);
  made.add_tensor("b", GgmlType::kF32, {2, 3}, [&] {
    Buffer<std::byte> bytes(data.size());
    std::ranges::copy(data, bytes.data());
    return bytes;
  });
  held.write(temporary("held.gguf"));
  made.write(temporary("made.gguf"));
  EXPECT_EQ(read_text(temporary("made.gguf")), read_text(temporary("held.gguf")));
}

TEST(Gguf, RefusesWhatIsNotAsTheFormatSays) {
  expect_refused(Bytes().raw("GGML").number(3u).file(), "made");
  expect_refused(head(0, 0, 1).file(), "1");
  expect_refused(head(uint64_t{1} << 60, 0).file(), "made");
  expect_refused(head(0, uint64_t{1} << 60).file(), "made");
  expect_refused(head(0, 1).number(~uint64_t{0}).file(), "made");  // a key of 2^64 - 1 bytes
  expect_refused(head(0, 1).string("k").number(77u).file(), "k");  // no such type
  expect_refused(head(0, 1).string("k").number(9u).number(9u).file(), "k");  // arrays of arrays
  expect_refused(head(0, 1).string("k").number(9u).number(4u).number(uint64_t{1} << 61).file(),
                 "k");
  expect_refused(head(0, 2).string("k").number(0u).raw("x").string("k").number(0u).raw("x").file(),
                 "k");
  const auto tensor = [](uint64_t columns, uint32_t type, uint64_t offset) {
    return head(1, 0)
        .string("w")
        .number(1u)
        .number(columns)
        .number(type)
        .number(offset)
        .pad(32)
        .raw(std::string(64, '\0'));
  };
  Gguf::open(tensor(8, 0, 32).file());  // as it should be
  expect_refused(tensor(8, 99, 0).file(), "99");
  expect_refused(tensor(8, 39, 0).file(), "MXFP4 (or Microsoft's TL2) (id 39)");
  expect_refused(tensor(8, 0, 8).file(), "w");   // not aligned
  expect_refused(tensor(17, 0, 0).file(), "w");  // past the end
  expect_refused(tensor(uint64_t{1} << 62, 0, 0).file(), "w");
  expect_refused(tensor(8, 35, 0).file(), "w");  // TQ2_0 rows are multiples of 256
}

TEST(Gguf, ParsesBytesInMemory) {
  const std::string whole = read_text(TRIT_SOURCE_DIR "/src/formats/testdata/reference.gguf");
  const Gguf file = Gguf::parse(std::as_bytes(std::span(whole)), "memory");
  EXPECT_EQ(file.path(), "memory");
  EXPECT_EQ(file.get_string("general.architecture"), "test");
  EXPECT_EQ(file.get_tensor("f32").shape, (Shape{2, 3}));
}

}  // namespace
}  // namespace trit
