#include "formats/gguf.h"

#include <zlib.h>

#include <concepts>
#include <optional>

#include "base/error.h"
#include "formats/gguf_layout.h"

namespace trit {
namespace {

constexpr std::string_view kTypeNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                           "bool", "string", "array", "u64", "i64", "f64"};

// "u32 7", "string 'gpt2'", "an array of f32".
std::string describe(const GgufValue& value) {
  const std::string_view type = kTypeNames[value.index()];
  return std::visit(
      [&]<class T>(const T& held) {
        if constexpr (std::same_as<T, GgufArray>) {
          return fmt::format("an array of {}", kTypeNames[held.index()]);
        } else if constexpr (std::same_as<T, std::string>) {
          return fmt::format("{} '{}'", type, printable(held));
        } else {
          return fmt::format("{} {}", type, held);
        }
      },
      value);
}

// The converters give nothing for values of another kind, or out of range.

template <class To, class From>
std::optional<To> to_integer(const From& value) {
  if constexpr (std::integral<From> && !std::same_as<From, bool>) {
    if (std::in_range<To>(value)) return static_cast<To>(value);
  }
  return std::nullopt;
}

template <class From>
std::optional<double> to_double(const From& value) {
  if constexpr (std::floating_point<From>) return static_cast<double>(value);
  return std::nullopt;
}

template <class To, class Convert>
std::optional<std::vector<To>> to_vector(const GgufValue& value, Convert convert) {
  const auto* array = std::get_if<GgufArray>(&value);
  if (array == nullptr) return std::nullopt;
  const auto convert_all = [&]<class Items>(const Items& items) -> std::optional<std::vector<To>> {
    std::vector<To> result;
    if constexpr (!std::same_as<Items, std::monostate>) {
      for (const auto& item : items) {
        const std::optional<To> converted = convert(item);
        if (!converted) return std::nullopt;
        result.push_back(*converted);
      }
    }
    return result;
  };
  return std::visit(convert_all, *array);
}

const GgufValue& require(const Gguf& file, std::string_view key, std::string_view expected) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) {
    bad_input("{}: key '{}' is missing; it must be {}", file.path().string(), printable(key),
              expected);
  }
  return *value;
}

[[noreturn]] void wrong_value(const Gguf& file, std::string_view key, const GgufValue& value,
                              std::string_view expected) {
  bad_input("{}: key '{}' is {}; it must be {}", file.path().string(), printable(key),
            describe(value), expected);
}

// What convert(value) gives, which is an optional.
template <class Convert>
auto get(const Gguf& file, std::string_view key, std::string_view expected, Convert convert) {
  const GgufValue& value = require(file, key, expected);
  auto converted = convert(value);
  if (!converted) wrong_value(file, key, value, expected);
  return *std::move(converted);
}

}  // namespace

const GgufValue* Gguf::find(std::string_view key) const {
  const auto place = keys_.find(key);
  return place == keys_.end() ? nullptr : &metadata_[place->second].second;
}

uint64_t Gguf::get_uint(std::string_view key) const {
  return get(*this, key, "an unsigned integer", [](const GgufValue& value) {
    return std::visit([](const auto& held) { return to_integer<uint64_t>(held); }, value);
  });
}

int64_t Gguf::get_int(std::string_view key) const {
  return get(*this, key, "an integer", [](const GgufValue& value) {
    return std::visit([](const auto& held) { return to_integer<int64_t>(held); }, value);
  });
}

double Gguf::get_float(std::string_view key) const {
  return get(*this, key, "a float", [](const GgufValue& value) {
    return std::visit([](const auto& held) { return to_double(held); }, value);
  });
}

std::vector<int64_t> Gguf::get_ints(std::string_view key) const {
  return get(*this, key, "an array of integers", [](const GgufValue& value) {
    return to_vector<int64_t>(value, [](const auto& item) { return to_integer<int64_t>(item); });
  });
}

std::vector<double> Gguf::get_floats(std::string_view key) const {
  return get(*this, key, "an array of floats", [](const GgufValue& value) {
    return to_vector<double>(value, [](const auto& item) { return to_double(item); });
  });
}

bool Gguf::get_bool(std::string_view key) const {
  const GgufValue& value = require(*this, key, "a bool");
  const bool* held = std::get_if<bool>(&value);
  if (held == nullptr) wrong_value(*this, key, value, "a bool");
  return *held;
}

const std::string& Gguf::get_string(std::string_view key) const {
  const GgufValue& value = require(*this, key, "a string");
  const auto* held = std::get_if<std::string>(&value);
  if (held == nullptr) wrong_value(*this, key, value, "a string");
  return *held;
}

const std::vector<std::string>& Gguf::get_strings(std::string_view key) const {
  const GgufValue& value = require(*this, key, "an array of strings");
  const auto* array = std::get_if<GgufArray>(&value);
  const auto* held = array == nullptr ? nullptr : std::get_if<std::vector<std::string>>(array);
  if (held == nullptr) wrong_value(*this, key, value, "an array of strings");
  return *held;
}

uint64_t Gguf::get_uint_or(std::string_view key, uint64_t fallback) const {
  return has(key) ? get_uint(key) : fallback;
}
double Gguf::get_float_or(std::string_view key, double fallback) const {
  return has(key) ? get_float(key) : fallback;
}
bool Gguf::get_bool_or(std::string_view key, bool fallback) const {
  return has(key) ? get_bool(key) : fallback;
}
std::string Gguf::get_string_or(std::string_view key, std::string fallback) const {
  return has(key) ? get_string(key) : std::move(fallback);
}

const GgufTensor* Gguf::find_tensor(std::string_view name) const {
  const auto place = tensor_names_.find(name);
  return place == tensor_names_.end() ? nullptr : &tensors_[place->second];
}

const GgufTensor& Gguf::get_tensor(std::string_view name) const {
  const GgufTensor* tensor = find_tensor(name);
  if (tensor == nullptr) {
    bad_input("{}: tensor '{}' is missing", path().string(), printable(name));
  }
  return *tensor;
}

uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t before) {
  return static_cast<uint32_t>(
      crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::optional<bool> checksum_holds(const Gguf& file) {
  if (!file.has(kGgufChecksumKey)) return std::nullopt;
  uint32_t checksum = 0;
  for (const GgufTensor& tensor : file.tensors()) checksum = crc32_of(tensor.data, checksum);
  return file.get_uint(kGgufChecksumKey) == checksum;
}

}  // namespace trit
