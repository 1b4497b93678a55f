// How keys and values become float16, int8 and int4 in pages (kernels/kv.h): a part of kv_packed.h, which includes it.
// No include guard and no includes, on purpose.

// ---- Integers of a row of floats ----

TRIT_INLINE i32x16 magnitude_bits(f32x16 x) { return reinterpret_cast<i32x16>(x) & 0x7FFFFFFF; }
// The larger magnitudes, compared as integers: a NaN is above all numbers, and shows in what becomes the scale.
TRIT_INLINE i32x16 larger_bits(i32x16 a, i32x16 b) {
  const i32x16 above = a > b;
  return (a & above) | (b & ~above);
}
TRIT_INLINE float largest_lane(i32x16 bits) {
  bits = larger_bits(bits, __builtin_shufflevector(bits, bits, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1,
                                                   2, 3, 4, 5, 6, 7));
  bits = larger_bits(bits, __builtin_shufflevector(bits, bits, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14,
                                                   15, 8, 9, 10, 11));
  bits = larger_bits(bits, __builtin_shufflevector(bits, bits, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9,
                                                   14, 15, 12, 13));
  const int32_t most = bits[0] > bits[1] ? bits[0] : bits[1];
  float largest;
  __builtin_memcpy(&largest, &most, sizeof largest);
  return largest;
}
TRIT_INLINE float max_magnitude(const float* x, int64_t n) {
  i32x16 bits{};
  for_runs(n, [&](int64_t i, int64_t count) {
    bits = larger_bits(bits, magnitude_bits(load_run(x + i, count)));
  });
  return largest_lane(bits);
}
TRIT_INLINE float inverse_or_zero(float x) { return x == 0.0f ? 0.0f : 1.0f / x; }
TRIT_INLINE f32x16 to_levels(f32x16 x, float inverse, float most) {
  return smaller(larger(round_even(x * inverse), splat(-most)), splat(most));
}

// ---- Storing ----

// Where a position's key and value go: two bytes of a row of keys, and every other byte of a row of values (or
// every byte, f16), whose columns are cut into strips.
constexpr int64_t kKeyRowBytes = 2 * kPagePositions;
TRIT_INLINE std::byte* key_row(std::byte* page, int64_t place, int64_t row) {
  return page + row * kKeyRowBytes + place * 2;
}
template <class Kv>
TRIT_INLINE int64_t strip_width(int64_t columns_left) {
  if (Kv::kGroup == 0 && columns_left >= 64) return 64;
  return columns_left >= 32 ? 32 : 16;
}
// Calls body(address of column c of this position's row, c, width) for the strips.
template <class Kv, class Body>
TRIT_INLINE void for_strips(std::byte* page, const KvPageLayout& layout, int64_t place, int64_t D,
                            Body body) {
  constexpr int64_t kRows = kPagePositions / Kv::kTogether;
  const int64_t columns = value_columns(D);
  for (int64_t c = 0, width = 0; c < columns; c += width) {
    width = strip_width<Kv>(columns - c);
    body(page + layout.values + (kRows * c + place / Kv::kTogether * width) * 2, c, width);
  }
}

// Brings near what is to be stored at `place`.
template <class Kv>
TRIT_INLINE void prefetch_place(int64_t D, int64_t place, const std::byte* page) {
  const KvPageLayout layout = kv_page_layout(Kv::kType, D);
  for (int64_t row = 0; row * Kv::kTogether < D; ++row)
    prefetch(page + row * kKeyRowBytes + place * 2);
  constexpr int64_t kRows = kPagePositions / Kv::kTogether;
  for (int64_t c = 0, width = 0; c < value_columns(D); c += width) {
    width = strip_width<Kv>(value_columns(D) - c);
    const std::byte* row = page + layout.values + (kRows * c + place / Kv::kTogether * width) * 2;
    prefetch(row);
    if (width > 32) prefetch(row + 64);
  }
}
void prefetch_f16(int64_t D, int64_t place, const std::byte* page) {
  prefetch_place<HalfKv>(D, place, page);
}
void prefetch_int8(int64_t D, int64_t place, const std::byte* page) {
  prefetch_place<Int8Kv>(D, place, page);
}
void prefetch_int4(int64_t D, int64_t place, const std::byte* page) {
  prefetch_place<Int4Kv>(D, place, page);
}

void store_f16(const float* k, const float* v, int64_t D, int64_t place, std::byte* page) {
  const KvPageLayout layout = kv_page_layout(KvType::kF16, D);
  const f32x16 most = splat(65504.0f);
  const auto to_half = [&](const float* x, int64_t count, uint16_t* half) {
    store_half(half, smaller(most, larger(-most, load_run(x, count))));
  };
  uint16_t half[16];
  for_runs(D, [&](int64_t d, int64_t count) {
    to_half(k + d, count, half);
    for (int64_t i = 0; i < count; ++i) __builtin_memcpy(key_row(page, place, d + i), half + i, 2);
  });
  for_strips<HalfKv>(page, layout, place, D, [&](std::byte* row, int64_t c, int64_t width) {
    for (int64_t i = 0; i < width; i += 16) {
      to_half(v + c + i, D - c - i < 16 ? D - c - i : 16, half);
      __builtin_memcpy(row + 2 * i, half, sizeof half);
    }
  });
}

void store_int8(const float* k, const float* v, int64_t D, int64_t place, std::byte* page) {
  const KvPageLayout layout = kv_page_layout(KvType::kInt8, D);
  const auto scale_of = [&](const float* x, int64_t scales) {
    const float scale = max_magnitude(x, D) / 127.0f;
    __builtin_memcpy(page + scales + 4 * place, &scale, sizeof scale);
    return inverse_or_zero(scale);
  };
  const auto levels = [&](const float* x, int64_t d, float inverse) {
    const f32x16 run = load_run(x + d, D - d < 16 ? D - d : 16);
    return __builtin_convertvector(to_levels(run, inverse, 127.0f), i32x16);
  };
  const float k_inverse = scale_of(k, layout.key_scales),
              v_inverse = scale_of(v, layout.value_scales);
  for (int64_t d = 0; d < D; d += 16) {
    const i32x16 q = levels(k, d, k_inverse);
    for (int64_t i = 0; i < 16 && d + i < D; i += 2) {
      std::byte* row = key_row(page, place, (d + i) / 2);
      row[0] = static_cast<std::byte>(q[i]);
      row[1] = static_cast<std::byte>(q[i + 1]);
    }
  }
  for_strips<Int8Kv>(page, layout, place, D, [&](std::byte* row, int64_t c, int64_t width) {
    for (int64_t first = 0; first < width; first += 16) {
      const i32x16 q = levels(v, c + first, v_inverse);
      for (int64_t i = 0; i < 16; ++i)
        row[2 * (first + i) + place % 2] = static_cast<std::byte>(q[i]);
    }
  });
}

// Of one group: the scale, as float16 holds it, and codes level + 8 of dims [0, count) and 8 up to 32.
TRIT_INLINE void quantise_int4(const float* x, int64_t count, std::byte* scale_at, uint8_t* codes) {
  uint16_t half[16];
  const float wanted = max_magnitude(x, count) / 7.0f;
  store_half(half, splat(wanted > 65504.0f ? 65504.0f : wanted));
  __builtin_memcpy(scale_at, half, 2);
  const float inverse = inverse_or_zero(f16_to_f32(half[0]));
  for (int i = 0; i < kInt4Group; ++i) codes[i] = 8;
  for_runs(count, [&](int64_t d, int64_t lanes_here) {
    const f32x16 levels = to_levels(load_run(x + d, lanes_here), inverse, 7.0f);
    const i32x16 q = __builtin_convertvector(levels, i32x16) + 8;
    for (int i = 0; i < 16; ++i) codes[d + i] = static_cast<uint8_t>(q[i]);
  });
}

void store_int4(const float* k, const float* v, int64_t D, int64_t place, std::byte* page) {
  const KvPageLayout layout = kv_page_layout(KvType::kInt4, D);
  uint8_t codes[kInt4Group];
  const auto quantise = [&](const float* x, int64_t d, int64_t scales) {
    quantise_int4(x + d, D - d < kInt4Group ? D - d : kInt4Group,
                  page + scales + (d / kInt4Group * kPagePositions + place) * 2, codes);
  };
  for (int64_t d = 0; d < D; d += kInt4Group) {
    quantise(k, d, layout.key_scales);
    for (int64_t i = 0; i < kInt4Group && d + i < D; i += 4) {
      std::byte* row = key_row(page, place, (d + i) / 4);
      row[0] = static_cast<std::byte>(codes[i] | codes[i + 2] << 4);
      row[1] = static_cast<std::byte>(codes[i + 1] | codes[i + 3] << 4);
    }
  }
  const int shift = place / 2 % 2 * 4;
  const auto others = std::byte{0xF0} >> shift;
  for_strips<Int4Kv>(page, layout, place, D, [&](std::byte* row, int64_t c, int64_t width) {
    quantise(v, c, layout.value_scales);
    for (int64_t i = 0; i < width; ++i) {
      std::byte& byte = row[2 * i + place % 2];
      byte = (byte & others) | static_cast<std::byte>(codes[i] << shift);
    }
  });
}
