// Attention over f16, int8 and int4 pages (kernels/kv.h), over the lanes of an instruction set (lanes_*.h).
// No include guard and no includes, on purpose.
//
// Keys and values have one form: rows of sixteen lanes (positions of a key block; columns of values), and for
// each row a weight or two of every query head (of the query; of the softmax). A row is loaded and widened once
// for up to four heads.

struct HalfKv {
  static constexpr KvType kType = KvType::kF16;
  static constexpr int64_t kTogether = 1;  // dims of a row of keys, positions of a row of values
  static constexpr int64_t kSteps = 1;     // weights of a row
  static constexpr int64_t kGroup = 0;     // dims that share a scale; 0: all
  using Sum = Floats;
  using Row = Floats;
  using Weight = float;
  static TRIT_INLINE Row load_row(const std::byte* p) { return load_half(p); }
  template <int step>
  static TRIT_INLINE Row part(Row row) {
    return row;
  }
  static TRIT_INLINE Sum add(Sum sum, Row x, Weight w) { return fused(sum, x, w); }
};

struct Int8Kv {
  static constexpr KvType kType = KvType::kInt8;
  static constexpr int64_t kTogether = 2, kSteps = 1, kGroup = 0;
  using Sum = Ints;
  using Row = Pairs;
  using Weight = int32_t;              // a pair of int16
  static constexpr int32_t kZero = 0;  // the code of 0
  static TRIT_INLINE Row load_row(const std::byte* p) { return load_pairs(p); }
  template <int step>
  static TRIT_INLINE Row part(Row row) {
    return row;
  }
  static TRIT_INLINE Sum add(Sum sum, Row x, Weight w) { return add_products(sum, x, w); }
  static TRIT_INLINE f32x16 load_scales(const std::byte* scales, int64_t i) {
    f32x16 v;
    __builtin_memcpy(&v, scales + 64 * i, sizeof v);
    return v;
  }
};

struct Int4Kv {
  static constexpr KvType kType = KvType::kInt4;
  static constexpr int64_t kTogether = 4, kSteps = 2, kGroup = kInt4Group;
  using Sum = Ints;
  using Row = Pairs;
  using Weight = int32_t;
  static constexpr int32_t kZero = 8;
  static TRIT_INLINE Row load_row(const std::byte* p) { return load_bytes(p); }
  template <int step>
  static TRIT_INLINE Row part(Row row) {
    return step == 0 ? low_halves(row) : high_halves(row);
  }
  static TRIT_INLINE Sum add(Sum sum, Row x, Weight w) { return add_products(sum, x, w); }
  static TRIT_INLINE f32x16 load_scales(const std::byte* scales, int64_t i) {
    return lanes(load_half(scales + 32 * i));
  }
};

constexpr int64_t kRowBytes = 32;  // of every type

// Named members, no array: g++ 12 would spill an array.
template <class V>
struct Four {
  V a, b, c, d;
};

template <class Kv, int S>
TRIT_INLINE Four<typename Kv::Row> load_rows(const std::byte* x, int64_t stride) {
  Four<typename Kv::Row> rows;
  rows.a = Kv::load_row(x);
  if constexpr (S > 1) rows.b = Kv::load_row(x + stride);
  if constexpr (S > 2) rows.c = Kv::load_row(x + 2 * stride);
  if constexpr (S > 2) rows.d = Kv::load_row(x + 3 * stride);
  return rows;
}
template <class Kv, int S, int step>
TRIT_INLINE Four<typename Kv::Row> parts(Four<typename Kv::Row> rows) {
  rows.a = Kv::template part<step>(rows.a);
  if constexpr (S > 1) rows.b = Kv::template part<step>(rows.b);
  if constexpr (S > 2) rows.c = Kv::template part<step>(rows.c);
  if constexpr (S > 2) rows.d = Kv::template part<step>(rows.d);
  return rows;
}
template <class Kv, int S>
TRIT_INLINE void add_rows(Four<typename Kv::Sum>& sums, const Four<typename Kv::Row>& x,
                          typename Kv::Weight w) {
  sums.a = Kv::add(sums.a, x.a, w);
  if constexpr (S > 1) sums.b = Kv::add(sums.b, x.b, w);
  if constexpr (S > 2) sums.c = Kv::add(sums.c, x.c, w);
  if constexpr (S > 2) sums.d = Kv::add(sums.d, x.d, w);
}
template <int S, class Sum, class Finish>
TRIT_INLINE void finish_head(int h, const Four<Sum>& sums, Finish finish) {
  finish(h, 0, lanes(sums.a));
  if constexpr (S > 1) finish(h, 1, lanes(sums.b));
  if constexpr (S > 2) finish(h, 2, lanes(sums.c));
  if constexpr (S > 2) finish(h, 3, lanes(sums.d));
}

// For each of H heads and S vectors of lanes, `stride` bytes apart: finish(h, s, begin(h) + the sum over `rows`
// rows, `pitch` bytes apart, of row times weight). w: [H, w_stride].
template <class Kv, int H, int S, class Begin, class Finish>
TRIT_INLINE void accumulate(const std::byte* x, int64_t stride, int64_t pitch, int64_t rows,
                            const typename Kv::Weight* w, int64_t w_stride, Begin begin,
                            Finish finish) {
  using Sums = Four<typename Kv::Sum>;
  const auto first = [&](int h) {
    const auto sum = begin(h);
    return Sums{sum, sum, sum, sum};
  };
  Sums s0 = first(0), s1 = first(H > 1 ? 1 : 0), s2 = first(H > 2 ? 2 : 0),
       s3 = first(H > 2 ? 3 : 0);
  const auto step = [&](const Four<typename Kv::Row>& part, const typename Kv::Weight* weight) {
    add_rows<Kv, S>(s0, part, weight[0]);
    if constexpr (H > 1) add_rows<Kv, S>(s1, part, weight[w_stride]);
    if constexpr (H > 2) add_rows<Kv, S>(s2, part, weight[2 * w_stride]);
    if constexpr (H > 2) add_rows<Kv, S>(s3, part, weight[3 * w_stride]);
  };
  for (int64_t r = 0; r < rows; ++r, x += pitch, w += Kv::kSteps) {
    const Four<typename Kv::Row> loaded = load_rows<Kv, S>(x, stride);
    step(parts<Kv, S, 0>(loaded), w);
    if constexpr (Kv::kSteps > 1) step(parts<Kv, S, 1>(loaded), w + 1);
  }
  finish_head<S>(0, s0, finish);
  if constexpr (H > 1) finish_head<S>(1, s1, finish);
  if constexpr (H > 2) finish_head<S>(2, s2, finish);
  if constexpr (H > 2) finish_head<S>(3, s3, finish);
}

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

// Where a position's key and value go, byte by byte.
TRIT_INLINE std::byte* key_row(std::byte* page, const KvPageLayout& layout, int64_t place,
                               int64_t row) {
  return page + place / kKeyBlock * layout.key_block + row * kRowBytes + place % kKeyBlock * 2;
}
template <class Kv>
TRIT_INLINE std::byte* value_row(std::byte* page, const KvPageLayout& layout, int64_t place,
                                 int64_t D) {
  return page + layout.values + place / Kv::kTogether * value_columns(D) * 2 + place % 2;
}

void store_f16(const float* k, const float* v, int64_t D, int64_t place, std::byte* page) {
  const KvPageLayout layout = kv_page_layout(KvType::kF16, D);
  const f32x16 most = splat(65504.0f);
  const auto to_half = [&](const float* x, int64_t count, uint16_t* half) {
    store_half(half, smaller(most, larger(-most, load_run(x, count))));
  };
  uint16_t half[16];
  std::byte* value = page + layout.values + place * value_columns(D) * 2;
  for_runs(D, [&](int64_t d, int64_t count) {
    to_half(k + d, count, half);
    for (int64_t i = 0; i < count; ++i) {
      __builtin_memcpy(key_row(page, layout, place, d + i), half + i, 2);
    }
    to_half(v + d, count, half);
    __builtin_memcpy(value + 2 * d, half, sizeof half);
  });
}

void store_int8(const float* k, const float* v, int64_t D, int64_t place, std::byte* page) {
  const KvPageLayout layout = kv_page_layout(KvType::kInt8, D);
  const auto put = [&](const float* x, std::byte* scales, auto byte_at) {
    const float scale = max_magnitude(x, D) / 127.0f, inverse = inverse_or_zero(scale);
    __builtin_memcpy(scales + 4 * place, &scale, sizeof scale);
    for_runs(D, [&](int64_t d, int64_t count) {
      const f32x16 levels = to_levels(load_run(x + d, count), inverse, 127.0f);
      const i32x16 q = __builtin_convertvector(levels, i32x16);
      for (int64_t i = 0; i < 16; ++i) {
        std::byte* at = byte_at(d + i);
        if (at) *at = static_cast<std::byte>(q[i]);
      }
    });
  };
  const int64_t dims = (D + 1) / 2 * 2;
  std::byte* value = value_row<Int8Kv>(page, layout, place, D);
  put(k, page + layout.key_scales, [&](int64_t d) -> std::byte* {
    return d < dims ? key_row(page, layout, place, d / 2) + d % 2 : nullptr;
  });
  put(v, page + layout.value_scales, [&](int64_t d) { return value + 2 * d; });
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
  const auto group_size = [&](int64_t size, int64_t d) {
    return size - d < kInt4Group ? size - d : kInt4Group;
  };
  std::byte* value = value_row<Int4Kv>(page, layout, place, D);
  const int shift = place / 2 % 2 * 4;
  const auto others = std::byte{0xF0} >> shift;
  for (int64_t d = 0; d < D; d += kInt4Group) {
    const int64_t scale_at = (d / kInt4Group * kPagePositions + place) * 2,
                  count = group_size(D, d);
    quantise_int4(k + d, count, page + layout.key_scales + scale_at, codes);
    for (int64_t i = 0; i < count; i += 4) {
      std::byte* row = key_row(page, layout, place, (d + i) / 4);
      row[0] = static_cast<std::byte>(codes[i] | codes[i + 2] << 4);
      row[1] = static_cast<std::byte>(codes[i + 1] | codes[i + 3] << 4);
    }
    quantise_int4(v + d, count, page + layout.value_scales + scale_at, codes);
    for (int64_t i = 0; i < group_size(value_columns(D), d); ++i) {
      std::byte& byte = value[2 * (d + i)];
      byte = (byte & others) | static_cast<std::byte>(codes[i] << shift);
    }
  }
}

// ---- Attending ----

// Queries of up to four heads as weights of rows of keys, in scratch memory.
template <class Kv>
struct Queries {
  const typename Kv::Weight* weights;  // [heads, stride]
  int64_t stride;
  float factor[4];  // of a score
  // int4: what the codes' + 8 adds up to in a group, taken out at the start.
  const int32_t* bias;  // [heads, stride]
};

template <int H>
TRIT_INLINE Queries<HalfKv> make_queries(HalfKv, const float* q, int64_t D, float scale, float*) {
  return {q, D, {scale, scale, scale, scale}, nullptr};
}

// The largest int16 weight of a key that int32 holds the sum of D products with.
TRIT_INLINE float query_levels(int64_t D) {
  return D <= 512 ? 32767.0f : static_cast<float>(32767 * 512 / D);
}

template <int H, class Kv>
TRIT_INLINE Queries<Kv> make_queries(Kv, const float* q, int64_t D, float scale, float* scratch) {
  const int64_t columns = value_columns(D);
  Queries<Kv> queries{reinterpret_cast<int32_t*>(scratch),
                      columns,
                      {},
                      reinterpret_cast<int32_t*>(scratch) + columns / 2};
  for (int h = 0; h < H; ++h, q += D, scratch += columns) {
    const float step = max_magnitude(q, D) / query_levels(D), inverse = inverse_or_zero(step);
    queries.factor[h] = step * scale;
    int32_t* bias = reinterpret_cast<int32_t*>(scratch) + columns / 2;
    for (int64_t g = 0; g * kInt4Group < columns; ++g) bias[g] = 0;
    for_runs(D, [&](int64_t d, int64_t count) {
      const f32x16 levels = to_levels(load_run(q + d, count), inverse, query_levels(D));
      store_i16(reinterpret_cast<std::byte*>(scratch) + 2 * d, levels);
      if constexpr (Kv::kZero != 0) {
        bias[d / kInt4Group] -= Kv::kZero * static_cast<int32_t>(sum_lanes(levels));
      }
    });
  }
  return queries;
}

TRIT_INLINE Floats first_sum(const Queries<HalfKv>&, int, int64_t) { return zero_floats(); }
template <class Kv>
TRIT_INLINE Ints first_sum(const Queries<Kv>& q, int h, int64_t group) {
  return splat_ints(Kv::kZero == 0 ? 0 : q.bias[h * q.stride + group]);
}

// Scores of the 64 positions of a page: [H] rows, kChunkPositions apart.
template <class Kv, int H>
TRIT_INLINE void page_scores(const std::byte* page, const KvPageLayout& layout,
                             const Queries<Kv>& q, int64_t D, float* scores) {
  const int64_t group = Kv::kGroup == 0 ? D : Kv::kGroup;
  for (int64_t d = 0, g = 0; d < D; d += group, ++g) {
    const int64_t dims = D - d < group ? D - d : group, row = d / Kv::kTogether;
    accumulate<Kv, H, 4>(
        page + row * kRowBytes, layout.key_block, kRowBytes,
        (dims + Kv::kTogether - 1) / Kv::kTogether, q.weights + row * Kv::kSteps, q.stride,
        [&](int h) { return first_sum(q, h, g); },
        [&](int h, int s, f32x16 sum) {
          f32x16 score = sum * q.factor[h];
          if constexpr (Kv::kType != KvType::kF16) {
            score = score * Kv::load_scales(page + layout.key_scales, 4 * g + s);
          }
          float* at = scores + h * kChunkPositions + 16 * s;
          store(at, g == 0 ? score : load(at) + score);
        });
  }
}

// Scores become exponentials of the distance to the largest, and zeros from `count` to the end of its page.
TRIT_INLINE void exponentials(float* scores, int64_t count, double* partial) {
  const int64_t end = (count + 15) / 16 * 16;
  for (int64_t j = count; j < end; ++j) scores[j] = scores[0];
  f32x16 best = load(scores);
  for (int64_t j = 16; j < end; j += 16) best = larger(load(scores + j), best);
  const float largest = max_lanes(best);
  // exp16 takes a NaN for a number: zero times the scores keeps it, and otherwise adds nothing.
  f32x16 sum{};
  for (int64_t j = 0; j < end; j += 16) {
    sum += load(scores + j) * 0.0f;
    store(scores + j, exp16(load(scores + j) - largest));
  }
  for (int64_t j = count; j < pages_of(count) * kPagePositions; ++j) scores[j] = 0.0f;
  for (int64_t j = 0; j < end; j += 16) sum += load(scores + j);
  partial[0] = static_cast<double>(largest);
  partial[1] = static_cast<double>(sum_lanes(sum));
}

// The weights of a page's values for one group of columns: what rows of values are multiplied with.
template <class Kv>
struct ValueWeights {
  const typename Kv::Weight* weights;  // [heads, stride]
  int64_t stride;
  float step[4];
  int32_t bias[4];
};

template <int H>
TRIT_INLINE ValueWeights<HalfKv> weigh(HalfKv, const float* p, const std::byte*, int32_t*) {
  return {p, kChunkPositions, {1.0f, 1.0f, 1.0f, 1.0f}, {}};
}

template <int H, class Kv>
TRIT_INLINE ValueWeights<Kv> weigh(Kv, const float* p, const std::byte* scales, int32_t* room) {
  ValueWeights<Kv> result{room, kPagePositions / 2, {}, {}};
  const f32x16 s0 = Kv::load_scales(scales, 0), s1 = Kv::load_scales(scales, 1),
               s2 = Kv::load_scales(scales, 2), s3 = Kv::load_scales(scales, 3);
  // Scales of positions that are not there may be anything.
  const auto times = [](f32x16 weight, f32x16 scale) {
    return select(weight > 0.0f, weight * scale, f32x16{});
  };
  for (int h = 0; h < H; ++h, p += kChunkPositions, room += kPagePositions / 2) {
    const f32x16 w0 = times(load(p), s0), w1 = times(load(p + 16), s1),
                 w2 = times(load(p + 32), s2), w3 = times(load(p + 48), s3);
    const float step =
        largest_lane(larger_bits(larger_bits(magnitude_bits(w0), magnitude_bits(w1)),
                                 larger_bits(magnitude_bits(w2), magnitude_bits(w3)))) /
        32767.0f;
    const float inverse = inverse_or_zero(step);
    const f32x16 l0 = to_levels(w0, inverse, 32767.0f), l1 = to_levels(w1, inverse, 32767.0f),
                 l2 = to_levels(w2, inverse, 32767.0f), l3 = to_levels(w3, inverse, 32767.0f);
    store_i16(room, l0);
    store_i16(room + 8, l1);
    store_i16(room + 16, l2);
    store_i16(room + 24, l3);
    result.step[h] = step;
    // Whole numbers below 2^24: the sum is exact.
    if constexpr (Kv::kZero != 0) {
      result.bias[h] = -Kv::kZero * static_cast<int32_t>(sum_lanes((l0 + l1) + (l2 + l3)));
    }
  }
  return result;
}

TRIT_INLINE Floats first_sum(const ValueWeights<HalfKv>&, int) { return zero_floats(); }
template <class Kv>
TRIT_INLINE Ints first_sum(const ValueWeights<Kv>& w, int h) {
  return splat_ints(w.bias[h]);
}

// Adds a page's weighted values to out [H, columns]; p: [H] rows, kChunkPositions apart, of `count` positions.
template <class Kv, int H>
TRIT_INLINE void page_values(const std::byte* page, const KvPageLayout& layout, const float* p,
                             int64_t count, int64_t columns, float* out) {
  const int64_t group = Kv::kGroup == 0 ? columns : Kv::kGroup;
  const int64_t rows = (count + Kv::kTogether - 1) / Kv::kTogether;
  constexpr int64_t kScales = Kv::kType == KvType::kInt8 ? 4 : 2;  // bytes
  int32_t room[4 * kPagePositions / 2];
  for (int64_t first = 0, g = 0; first < columns; first += group, ++g) {
    const auto w =
        weigh<H>(Kv{}, p, page + layout.value_scales + g * kPagePositions * kScales, room);
    const int64_t end = columns - first < group ? columns : first + group;
    int64_t c = first;
    const auto strip = [&](auto vectors) {
      accumulate<Kv, H, decltype(vectors)::value>(
          page + layout.values + c * 2, kRowBytes, columns * 2, rows, w.weights, w.stride,
          [&](int h) { return first_sum(w, h); },
          [&](int h, int s, f32x16 sum) {
            float* at = out + h * columns + c + 16 * s;
            store(at, load(at) + sum * w.step[h]);
          });
      c += 16 * decltype(vectors)::value;
    };
    while (Kv::kGroup == 0 && end - c >= 64) strip(std::integral_constant<int, 4>{});
    if (end - c >= 32) strip(std::integral_constant<int, 2>{});
    if (end - c >= 16) strip(std::integral_constant<int, 1>{});
  }
}

template <class Kv, int H>
TRIT_INLINE void attend(const float* q, const std::byte* const* pages, const KvPageLayout& layout,
                        int64_t count, int64_t D, float scale, float* scratch, double* partials) {
  const int64_t columns = value_columns(D);
  float *scores = scratch, *out = scores + 4 * kChunkPositions;
  const Queries<Kv> queries = make_queries<H>(Kv{}, q, D, scale, out + 4 * columns);
  for (int64_t j = 0; j < count; j += kPagePositions) {
    page_scores<Kv, H>(pages[j / kPagePositions], layout, queries, D, scores + j);
  }
  for (int h = 0; h < H; ++h) {
    exponentials(scores + h * kChunkPositions, count, partials + h * partial_size(D));
  }
  for (int64_t i = 0; i < H * columns; i += 16) store(out + i, f32x16{});
  for (int64_t j = 0; j < count; j += kPagePositions) {
    const int64_t here = count - j < kPagePositions ? count - j : kPagePositions;
    page_values<Kv, H>(pages[j / kPagePositions], layout, scores + j, here, columns, out);
  }
  for (int h = 0; h < H; ++h) {
    double* weighted = partials + h * partial_size(D) + 2;
    for (int64_t c = 0; c < columns; c += 16)
      store_doubles(weighted + c, widen(load(out + h * columns + c)));
  }
}

template <class Kv>
TRIT_INLINE void attention_chunk(const float* q, int64_t group, const std::byte* const* pages,
                                 int64_t count, int64_t D, float scale, float* scratch,
                                 double* partials) {
  const KvPageLayout layout = kv_page_layout(Kv::kType, D);
  int64_t h = 0;
  const auto heads = [&](auto number) {
    attend<Kv, decltype(number)::value>(q + h * D, pages, layout, count, D, scale, scratch,
                                        partials + h * partial_size(D));
    h += decltype(number)::value;
  };
  while (group - h >= 4) heads(std::integral_constant<int, 4>{});
  if (group - h >= 2) heads(std::integral_constant<int, 2>{});
  if (group - h >= 1) heads(std::integral_constant<int, 1>{});
}

void attention_chunk_f16(const float* q, int64_t group, const std::byte* const* pages,
                         int64_t count, int64_t D, float scale, float* scratch, double* partials) {
  attention_chunk<HalfKv>(q, group, pages, count, D, scale, scratch, partials);
}
void attention_chunk_int8(const float* q, int64_t group, const std::byte* const* pages,
                          int64_t count, int64_t D, float scale, float* scratch, double* partials) {
  attention_chunk<Int8Kv>(q, group, pages, count, D, scale, scratch, partials);
}
void attention_chunk_int4(const float* q, int64_t group, const std::byte* const* pages,
                          int64_t count, int64_t D, float scale, float* scratch, double* partials) {
  attention_chunk<Int4Kv>(q, group, pages, count, D, scale, scratch, partials);
}

void add_kv_rows(Table& t) {
  t.kv[static_cast<int>(KvType::kF32)] = {store_f32, attention_chunk_f32};
  t.kv[static_cast<int>(KvType::kF16)] = {store_f16, attention_chunk_f16};
  t.kv[static_cast<int>(KvType::kInt8)] = {store_int8, attention_chunk_int8};
  t.kv[static_cast<int>(KvType::kInt4)] = {store_int4, attention_chunk_int4};
  t.attention_merge = attention_merge;
}
