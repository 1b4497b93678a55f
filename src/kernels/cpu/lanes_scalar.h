// Sixteen lanes for attention over f16 and integer pages (kv_packed.h), in plain code: the specification of the
// lanes_*.h of the instruction sets. No include guard and no includes, on purpose.

// Sixteen float32.
struct Floats {
  float lane[16];
};
TRIT_INLINE Floats zero_floats() { return {}; }
TRIT_INLINE f32x16 lanes(Floats x) { return load(x.lane); }
// sum + x y, rounded once.
TRIT_INLINE Floats fused(Floats sum, Floats x, float y) {
  for (int i = 0; i < 16; ++i) sum.lane[i] = __builtin_fmaf(x.lane[i], y, sum.lane[i]);
  return sum;
}
TRIT_INLINE Floats load_half(const std::byte* p) {
  Floats x;
  uint16_t bits[16];
  __builtin_memcpy(bits, p, sizeof bits);
  for (int i = 0; i < 16; ++i) x.lane[i] = f16_to_f32(bits[i]);
  return x;
}
// To float16, ties to even.
TRIT_INLINE void store_half(uint16_t* p, f32x16 x) {
  for (int i = 0; i < 16; ++i) p[i] = f32_to_f16(x[i]);
}

// Sixteen int32, and sixteen pairs of int16.
struct Ints {
  int32_t lane[16];
};
struct Pairs {
  int16_t lane[16][2];
};
TRIT_INLINE Ints splat_ints(int32_t x) {
  Ints v;
  for (int32_t& lane : v.lane) lane = x;
  return v;
}
TRIT_INLINE f32x16 lanes(Ints x) {
  i32x16 v;
  __builtin_memcpy(&v, x.lane, sizeof v);
  return __builtin_convertvector(v, f32x16);
}
// sum + x[0] y[0] + x[1] y[1], y: a pair of int16, the first in the low half.
TRIT_INLINE Ints add_products(Ints sum, Pairs x, int32_t y) {
  const int32_t first = static_cast<int16_t>(y & 0xFFFF), second = y >> 16;
  for (int i = 0; i < 16; ++i) sum.lane[i] += x.lane[i][0] * first + x.lane[i][1] * second;
  return sum;
}
// 32 int8; the low and the high halves of 32 bytes, unsigned.
TRIT_INLINE Pairs load_pairs(const std::byte* p) {
  Pairs x;
  for (int i = 0; i < 32; ++i) x.lane[i / 2][i % 2] = static_cast<int8_t>(p[i]);
  return x;
}
TRIT_INLINE Pairs load_bytes(const std::byte* p) {
  Pairs x;
  for (int i = 0; i < 32; ++i) x.lane[i / 2][i % 2] = static_cast<int16_t>(p[i]);
  return x;
}
TRIT_INLINE Pairs low_halves(Pairs bytes) {
  for (auto& pair : bytes.lane) {
    for (int16_t& x : pair) x &= 15;
  }
  return bytes;
}
TRIT_INLINE Pairs high_halves(Pairs bytes) {
  for (auto& pair : bytes.lane) {
    for (int16_t& x : pair) x >>= 4;
  }
  return bytes;
}
// Sixteen whole numbers of int16's range.
TRIT_INLINE void store_i16(void* p, f32x16 x) {
  int16_t v[16];
  for (int i = 0; i < 16; ++i) v[i] = static_cast<int16_t>(x[i]);
  __builtin_memcpy(p, v, sizeof v);
}
