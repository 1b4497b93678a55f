// Products of rows in ggml's blocks, which are decoded on the way to the registers. Included after
// float_rows.h, under the same terms: one source, machine code per instruction set, and the bits of decoding a
// row (quant/layout_*.cpp) and multiplying it with dense_gemm_f32.
//
// A layout gives its weights 32 at a time, as vectors of sixteen in the order of the row:
//   kPairs               runs of 32 in a block
//   Open                 a block with its scales as floats
//   pair<I>(open)        run I of the block

using u8x16 = uint8_t __attribute__((vector_size(16)));
using u8x32 = uint8_t __attribute__((vector_size(32)));
using i8x16 = int8_t __attribute__((vector_size(16)));
using i8x32 = int8_t __attribute__((vector_size(32)));

struct WeightPair {
  f32x16 low, high;
};

// Subnormal halves, which scales often are, apart: moved to the places of a float they would be subnormal floats,
// which take processors a hundred times as long.
TRIT_INLINE float load_half(const uint8_t* p) {
  uint16_t h;
  __builtin_memcpy(&h, p, sizeof h);
  const uint32_t magnitude = h & 0x7FFFu;
  const uint32_t normal_bits = (magnitude << 13) + (112u << 23);
  float normal;
  __builtin_memcpy(&normal, &normal_bits, sizeof normal);
  const float value = magnitude < 0x400 ? static_cast<float>(magnitude) * 0x1p-24f : normal;
  return (h & 0x8000u) != 0 ? -value : value;
}

template <class Bytes>
TRIT_INLINE Bytes load_bytes(const void* p) {
  Bytes v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
TRIT_INLINE f32x16 to_floats(i8x16 v) {
  return __builtin_convertvector(__builtin_convertvector(v, i32x16), f32x16);
}
TRIT_INLINE f32x16 to_floats(u8x16 v) {
  return __builtin_convertvector(__builtin_convertvector(v, i32x16), f32x16);
}
// Through memory: a vector is widened as it is loaded, which takes one instruction where taking the upper half
// out of a register takes another.
TRIT_INLINE WeightPair to_floats(i8x32 v) {
  int8_t bytes[32];
  __builtin_memcpy(bytes, &v, sizeof v);
  return {to_floats(load_bytes<i8x16>(bytes)), to_floats(load_bytes<i8x16>(bytes + 16))};
}

// d q, q int8.
struct BlocksQ8_0 {
  static constexpr int64_t kPairs = 1, kBytes = 34;
  struct Open {
    const uint8_t* q;
    float d;
  };
  static TRIT_INLINE Open open(const uint8_t* block) { return {block + 2, load_half(block)}; }
  template <int I>
  static TRIT_INLINE WeightPair pair(const Open& b) {
    return {to_floats(load_bytes<i8x16>(b.q)) * b.d, to_floats(load_bytes<i8x16>(b.q + 16)) * b.d};
  }
};

// d (q - 8): weights 0 to 15 in the low halves of the bytes, the others in the high halves.
struct BlocksQ4_0 {
  static constexpr int64_t kPairs = 1, kBytes = 18;
  using Open = BlocksQ8_0::Open;
  static TRIT_INLINE Open open(const uint8_t* block) { return {block + 2, load_half(block)}; }
  template <int I>
  static TRIT_INLINE WeightPair pair(const Open& b) {
    const i32x16 q = __builtin_convertvector(load_bytes<u8x16>(b.q), i32x16);
    return {__builtin_convertvector((q & 15) - 8, f32x16) * b.d,
            __builtin_convertvector((q >> 4) - 8, f32x16) * b.d};
  }
};

// (d s) q - (m t), s and t of six bits for each run of 32.
struct BlocksQ4_K {
  static constexpr int64_t kPairs = 8, kBytes = 144;
  struct Open {
    const uint8_t* q;
    float scales[16];  // d s of the eight runs, then m t
  };
  static TRIT_INLINE Open open(const uint8_t* block) {
    uint32_t six[3];
    __builtin_memcpy(six, block + 4, sizeof six);
    const uint32_t codes[4] = {
        six[0] & 0x3F3F3F3Fu, (six[2] & 0x0F0F0F0Fu) | (six[0] >> 6 & 0x03030303u) << 4,
        six[1] & 0x3F3F3F3Fu, (six[2] >> 4 & 0x0F0F0F0Fu) | (six[1] >> 6 & 0x03030303u) << 4};
    const float d = load_half(block), m = load_half(block + 2);
    Open b;
    b.q = block + 16;
    const f32x16 factors = {d, d, d, d, d, d, d, d, m, m, m, m, m, m, m, m};
    store(b.scales, factors * to_floats(load_bytes<u8x16>(codes)));
    return b;
  }
  template <int I>
  static TRIT_INLINE WeightPair pair(const Open& b) {
    const auto run = [&](const uint8_t* p) {
      const i32x16 q = __builtin_convertvector(load_bytes<u8x16>(p), i32x16);
      const i32x16 code = I % 2 == 0 ? q & 15 : q >> 4;
      return __builtin_convertvector(code, f32x16) * b.scales[I] - b.scales[8 + I];
    };
    return {run(b.q + I / 2 * 32), run(b.q + I / 2 * 32 + 16)};
  }
};

// (d s) q, s int8 for each run of 16: the low four bits of q + 32 in one plane, the high two in another.
struct BlocksQ6_K {
  static constexpr int64_t kPairs = 8, kBytes = 210;
  struct Open {
    const uint8_t* block;
    float scales[16];
  };
  static TRIT_INLINE Open open(const uint8_t* block) {
    Open b;
    b.block = block;
    store(b.scales, to_floats(load_bytes<i8x16>(block + 192)) * load_half(block + 208));
    return b;
  }
  template <int I>
  static TRIT_INLINE WeightPair pair(const Open& b) {
    constexpr int kHalf = I / 4, kRun = I % 4;
    const u8x32 four = load_bytes<u8x32>(b.block + 64 * kHalf + kRun % 2 * 32);
    const u8x32 two = load_bytes<u8x32>(b.block + 128 + 32 * kHalf);
    const u8x32 low = kRun < 2 ? four & 15 : four >> 4;
    const u8x32 code = low | (two >> (2 * kRun) & 3) << 4;
    const WeightPair q = to_floats(reinterpret_cast<i8x32>(code - 32));
    return {q.low * b.scales[2 * I], q.high * b.scales[2 * I + 1]};
  }
};

// body(i, pair i of the block) for every pair, unrolled.
template <class Blocks, int I = 0, class Body>
TRIT_INLINE void for_pairs(const typename Blocks::Open& block, Body body) {
  body(I, Blocks::template pair<I>(block));
  if constexpr (I + 1 < Blocks::kPairs) for_pairs<Blocks, I + 1>(block, body);
}

// Sums of one row; the pair's halves are added in the order of the row, as dense_dot does.
TRIT_INLINE void add_products(f32x16& sum, const WeightPair& w, const float* x) {
  sum += w.low * load(x);
  sum += w.high * load(x + 16);
}

// Four rows against one token, side by side to hide the latency of the additions.
template <class Blocks, int I = 0>
TRIT_INLINE void add_block_of_four(const typename Blocks::Open& b0, const typename Blocks::Open& b1,
                                   const typename Blocks::Open& b2, const typename Blocks::Open& b3,
                                   const float* x, f32x16& s0, f32x16& s1, f32x16& s2, f32x16& s3) {
  add_products(s0, Blocks::template pair<I>(b0), x + 32 * I);
  add_products(s1, Blocks::template pair<I>(b1), x + 32 * I);
  add_products(s2, Blocks::template pair<I>(b2), x + 32 * I);
  add_products(s3, Blocks::template pair<I>(b3), x + 32 * I);
  if constexpr (I + 1 < Blocks::kPairs)
    add_block_of_four<Blocks, I + 1>(b0, b1, b2, b3, x, s0, s1, s2, s3);
}

template <class Blocks>
TRIT_INLINE void four_block_rows(const uint8_t* w, int64_t blocks, const float* x, float* y) {
  const int64_t stride = blocks * Blocks::kBytes;
  f32x16 s0{}, s1{}, s2{}, s3{};
  for (int64_t b = 0; b < blocks; ++b, w += Blocks::kBytes, x += 32 * Blocks::kPairs) {
    __builtin_prefetch(w + 1024);
    __builtin_prefetch(w + stride + 1024);
    __builtin_prefetch(w + 2 * stride + 1024);
    __builtin_prefetch(w + 3 * stride + 1024);
    add_block_of_four<Blocks>(Blocks::open(w), Blocks::open(w + stride),
                              Blocks::open(w + 2 * stride), Blocks::open(w + 3 * stride), x, s0, s1,
                              s2, s3);
  }
  y[0] = sum_lanes(s0);
  y[1] = sum_lanes(s1);
  y[2] = sum_lanes(s2);
  y[3] = sum_lanes(s3);
}

template <class Blocks>
TRIT_INLINE float block_row(const uint8_t* w, int64_t blocks, const float* x) {
  f32x16 sum{};
  for (int64_t b = 0; b < blocks; ++b, w += Blocks::kBytes, x += 32 * Blocks::kPairs) {
    for_pairs<Blocks>(Blocks::open(w),
                      [&](int i, const WeightPair& p) { add_products(sum, p, x + 32 * i); });
  }
  return sum_lanes(sum);
}

// Many tokens: a piece of four rows is decoded once for up to kBlockTokens tokens, whose sums wait in memory.
constexpr int64_t kBlockColumns = 512, kBlockTokens = 32;

struct DecodedRows {
  float w[4][kBlockColumns];
};
struct WaitingSums {
  f32x16 of[kBlockTokens][4];
};

template <class Blocks>
TRIT_INLINE void decode_blocks(const uint8_t* w, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, w += Blocks::kBytes, out += 32 * Blocks::kPairs) {
    for_pairs<Blocks>(Blocks::open(w), [&](int i, const WeightPair& p) {
      store(out + 32 * i, p.low);
      store(out + 32 * i + 16, p.high);
    });
  }
}

TRIT_INLINE void multiply_decoded(const DecodedRows& rows, int64_t columns, const float* x,
                                  f32x16* sums) {
  f32x16 s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  for (int64_t k = 0; k < columns; k += 16) {
    const f32x16 xk = load(x + k);
    s0 += load(rows.w[0] + k) * xk;
    s1 += load(rows.w[1] + k) * xk;
    s2 += load(rows.w[2] + k) * xk;
    s3 += load(rows.w[3] + k) * xk;
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

template <class Blocks>
TRIT_INLINE void four_block_rows_many(const uint8_t* w, int64_t blocks, const float* x, int64_t T,
                                      float* y, int64_t y_stride) {
  constexpr int64_t kWeights = 32 * Blocks::kPairs, kPiece = kBlockColumns / kWeights;
  DecodedRows rows;
  WaitingSums sums{};
  for (int64_t b = 0; b < blocks; b += kPiece) {
    const int64_t here = blocks - b < kPiece ? blocks - b : kPiece;
    for (int64_t r = 0; r < 4; ++r)
      decode_blocks<Blocks>(w + (r * blocks + b) * Blocks::kBytes, here, rows.w[r]);
    for (int64_t t = 0; t < T; ++t)
      multiply_decoded(rows, here * kWeights, x + (t * blocks + b) * kWeights, sums.of[t]);
  }
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t r = 0; r < 4; ++r) y[t * y_stride + r] = sum_lanes(sums.of[t][r]);
  }
}

template <class Blocks>
TRIT_INLINE void block_gemm(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T,
                            float* y, int64_t y_stride) {
  const int64_t blocks = K / (32 * Blocks::kPairs), row_bytes = blocks * Blocks::kBytes;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const uint8_t* wr = w + r * row_bytes;
    if (T == 1) {
      four_block_rows<Blocks>(wr, blocks, x, y + r);
      continue;
    }
    for (int64_t t = 0; t < T; t += kBlockTokens) {
      four_block_rows_many<Blocks>(wr, blocks, x + t * K,
                                   T - t < kBlockTokens ? T - t : kBlockTokens,
                                   y + t * y_stride + r, y_stride);
    }
  }
  for (; r < rows; ++r) {
    for (int64_t t = 0; t < T; ++t)
      y[t * y_stride + r] = block_row<Blocks>(w + r * row_bytes, blocks, x + t * K);
  }
}

void dense_gemm_q8_0(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                     int64_t y_stride) {
  block_gemm<BlocksQ8_0>(w, rows, K, x, T, y, y_stride);
}
void dense_gemm_q6_k(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                     int64_t y_stride) {
  block_gemm<BlocksQ6_K>(w, rows, K, x, T, y, y_stride);
}
void dense_gemm_q4_0(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                     int64_t y_stride) {
  block_gemm<BlocksQ4_0>(w, rows, K, x, T, y, y_stride);
}
void dense_gemm_q4_k(const uint8_t* w, int64_t rows, int64_t K, const float* x, int64_t T, float* y,
                     int64_t y_stride) {
  block_gemm<BlocksQ4_K>(w, rows, K, x, T, y, y_stride);
}

void add_ggml_rows(Table& t) {
  t.dense_gemm_q8_0 = dense_gemm_q8_0;
  t.dense_gemm_q6_k = dense_gemm_q6_k;
  t.dense_gemm_q4_0 = dense_gemm_q4_0;
  t.dense_gemm_q4_k = dense_gemm_q4_k;
}
