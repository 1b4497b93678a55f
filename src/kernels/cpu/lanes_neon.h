// lanes_scalar.h in NEON: four registers for sixteen lanes.

struct Floats {
  float32x4_t a, b, c, d;
};
TRIT_INLINE Floats zero_floats() {
  const float32x4_t zero = vdupq_n_f32(0);
  return {zero, zero, zero, zero};
}
TRIT_INLINE f32x16 lanes(Floats x) {
  float v[16];
  vst1q_f32(v, x.a);
  vst1q_f32(v + 4, x.b);
  vst1q_f32(v + 8, x.c);
  vst1q_f32(v + 12, x.d);
  return load(v);
}
TRIT_INLINE Floats fused(Floats sum, Floats x, float y) {
  return {vfmaq_n_f32(sum.a, x.a, y), vfmaq_n_f32(sum.b, x.b, y), vfmaq_n_f32(sum.c, x.c, y),
          vfmaq_n_f32(sum.d, x.d, y)};
}
TRIT_INLINE Floats load_half(const std::byte* p) {
  float16x8_t half[2];
  __builtin_memcpy(half, p, sizeof half);
  return {vcvt_f32_f16(vget_low_f16(half[0])), vcvt_high_f32_f16(half[0]),
          vcvt_f32_f16(vget_low_f16(half[1])), vcvt_high_f32_f16(half[1])};
}
TRIT_INLINE void store_half(uint16_t* p, f32x16 x) {
  float v[16];
  store(v, x);
  for (int i = 0; i < 16; i += 4) {
    const float16x4_t half = vcvt_f16_f32(vld1q_f32(v + i));
    __builtin_memcpy(p + i, &half, sizeof half);
  }
}

struct Ints {
  int32x4_t a, b, c, d;
};
// The first of all pairs, then the second.
struct Pairs {
  int16x8_t first_low, first_high, second_low, second_high;
};
TRIT_INLINE Ints splat_ints(int32_t x) {
  const int32x4_t all = vdupq_n_s32(x);
  return {all, all, all, all};
}
TRIT_INLINE f32x16 lanes(Ints x) {
  return lanes(
      Floats{vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)});
}
TRIT_INLINE Ints add_products(Ints sum, Pairs x, int32_t y) {
  const int16x8_t pair = vreinterpretq_s16_s32(vdupq_n_s32(y));
  const int16x4_t ys = vget_low_s16(pair);
  sum.a = vmlal_lane_s16(sum.a, vget_low_s16(x.first_low), ys, 0);
  sum.b = vmlal_high_lane_s16(sum.b, x.first_low, ys, 0);
  sum.c = vmlal_lane_s16(sum.c, vget_low_s16(x.first_high), ys, 0);
  sum.d = vmlal_high_lane_s16(sum.d, x.first_high, ys, 0);
  sum.a = vmlal_lane_s16(sum.a, vget_low_s16(x.second_low), ys, 1);
  sum.b = vmlal_high_lane_s16(sum.b, x.second_low, ys, 1);
  sum.c = vmlal_lane_s16(sum.c, vget_low_s16(x.second_high), ys, 1);
  sum.d = vmlal_high_lane_s16(sum.d, x.second_high, ys, 1);
  return sum;
}
TRIT_INLINE Pairs load_pairs(const std::byte* p) {
  const int8x16x2_t v = vld2q_s8(reinterpret_cast<const int8_t*>(p));
  return {vmovl_s8(vget_low_s8(v.val[0])), vmovl_high_s8(v.val[0]), vmovl_s8(vget_low_s8(v.val[1])),
          vmovl_high_s8(v.val[1])};
}
TRIT_INLINE int16x8_t signed_words(uint16x8_t x) { return vreinterpretq_s16_u16(x); }
TRIT_INLINE Pairs load_bytes(const std::byte* p) {
  const uint8x16x2_t v = vld2q_u8(reinterpret_cast<const uint8_t*>(p));
  return {signed_words(vmovl_u8(vget_low_u8(v.val[0]))), signed_words(vmovl_high_u8(v.val[0])),
          signed_words(vmovl_u8(vget_low_u8(v.val[1]))), signed_words(vmovl_high_u8(v.val[1]))};
}
TRIT_INLINE Pairs low_halves(Pairs bytes) {
  const int16x8_t mask = vdupq_n_s16(15);
  return {vandq_s16(bytes.first_low, mask), vandq_s16(bytes.first_high, mask),
          vandq_s16(bytes.second_low, mask), vandq_s16(bytes.second_high, mask)};
}
TRIT_INLINE Pairs high_halves(Pairs bytes) {
  return {vshrq_n_s16(bytes.first_low, 4), vshrq_n_s16(bytes.first_high, 4),
          vshrq_n_s16(bytes.second_low, 4), vshrq_n_s16(bytes.second_high, 4)};
}
TRIT_INLINE void store_i16(void* p, f32x16 x) {
  float v[16];
  store(v, x);
  for (int i = 0; i < 16; i += 4) {
    const int16x4_t words = vqmovn_s32(vcvtq_s32_f32(vld1q_f32(v + i)));
    __builtin_memcpy(static_cast<int16_t*>(p) + i, &words, sizeof words);
  }
}
