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

// Into the second cache: more lines can be under way to it than to the first.
TRIT_INLINE void prefetch(const std::byte* p) { __builtin_prefetch(p, 0, 2); }

// For each of H heads (1, 2, 4) and S vectors of lanes side by side (1, 2, 4): finish(h, s, begin(h) + the sum over
// `rows` rows, S vectors each, kStride bytes apart, of row times weight). w: [H, w_stride]. What lies `ahead` bytes on is
// prefetched. The sums have names: g++ 12 would spill an array, and copies members of a struct back and forth.
template <class Kv, int H, int S, int64_t kStride = S* kRowBytes, class Begin, class Finish>
TRIT_INLINE void accumulate(const std::byte* x, int64_t ahead, int64_t rows,
                            const typename Kv::Weight* w, int64_t w_stride, Begin begin,
                            Finish finish) {
  constexpr bool kTwo = H > 1, kFour = H > 2, kPair = S > 1, kQuad = S > 2;
  using Sum = typename Kv::Sum;
  Sum a0 = begin(0), b0 = a0, c0 = a0, d0 = a0;
  Sum a1 = begin(kTwo ? 1 : 0), b1 = a1, c1 = a1, d1 = a1;
  Sum a2 = begin(kFour ? 2 : 0), b2 = a2, c2 = a2, d2 = a2;
  Sum a3 = begin(kFour ? 3 : 0), b3 = a3, c3 = a3, d3 = a3;
  const typename Kv::Weight *w1 = w + (kTwo ? w_stride : 0), *w2 = w + (kFour ? 2 * w_stride : 0),
                            *w3 = w + (kFour ? 3 * w_stride : 0);
  for (int64_t r = 0; r < rows; ++r, x += kStride) {
    prefetch(x + ahead);
    if constexpr (kQuad) prefetch(x + ahead + 64);
    const auto a = Kv::load_row(x), b = Kv::load_row(x + (kPair ? kRowBytes : 0)),
               c = Kv::load_row(x + (kQuad ? 2 * kRowBytes : 0)),
               d = Kv::load_row(x + (kQuad ? 3 * kRowBytes : 0));
    const int64_t i = r * Kv::kSteps;
#define TRIT_STEP(number, i)                            \
  do {                                                  \
    const auto ap = Kv::template part<number>(a);       \
    const auto bp = Kv::template part<number>(b);       \
    const auto cp = Kv::template part<number>(c);       \
    const auto dp = Kv::template part<number>(d);       \
    a0 = Kv::add(a0, ap, w[i]);                         \
    if constexpr (kPair) b0 = Kv::add(b0, bp, w[i]);    \
    if constexpr (kQuad) c0 = Kv::add(c0, cp, w[i]);    \
    if constexpr (kQuad) d0 = Kv::add(d0, dp, w[i]);    \
    if constexpr (kTwo) {                               \
      a1 = Kv::add(a1, ap, w1[i]);                      \
      if constexpr (kPair) b1 = Kv::add(b1, bp, w1[i]); \
      if constexpr (kQuad) c1 = Kv::add(c1, cp, w1[i]); \
      if constexpr (kQuad) d1 = Kv::add(d1, dp, w1[i]); \
    }                                                   \
    if constexpr (kFour) {                              \
      a2 = Kv::add(a2, ap, w2[i]);                      \
      if constexpr (kPair) b2 = Kv::add(b2, bp, w2[i]); \
      if constexpr (kQuad) c2 = Kv::add(c2, cp, w2[i]); \
      if constexpr (kQuad) d2 = Kv::add(d2, dp, w2[i]); \
      a3 = Kv::add(a3, ap, w3[i]);                      \
      if constexpr (kPair) b3 = Kv::add(b3, bp, w3[i]); \
      if constexpr (kQuad) c3 = Kv::add(c3, cp, w3[i]); \
      if constexpr (kQuad) d3 = Kv::add(d3, dp, w3[i]); \
    }                                                   \
  } while (false)
    TRIT_STEP(0, i);
    if constexpr (Kv::kSteps > 1) TRIT_STEP(1, i + 1);
#undef TRIT_STEP
  }
  const auto head = [&](int h, Sum a, Sum b, Sum c, Sum d) {
    finish(h, 0, lanes(a));
    if constexpr (kPair) finish(h, 1, lanes(b));
    if constexpr (kQuad) finish(h, 2, lanes(c));
    if constexpr (kQuad) finish(h, 3, lanes(d));
  };
  head(0, a0, b0, c0, d0);
  if constexpr (kTwo) head(1, a1, b1, c1, d1);
  if constexpr (kFour) head(2, a2, b2, c2, d2);
  if constexpr (kFour) head(3, a3, b3, c3, d3);
}

#include "kernels/cpu/kv_store.h"

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

// Side by side: they may come from several rows.
template <int H>
TRIT_INLINE Queries<HalfKv> make_queries(HalfKv, const float* const* q, int64_t D, float scale,
                                         float* scratch) {
  if (H == 1) return {q[0], D, {scale}, nullptr};
  const int64_t columns = value_columns(D);
  for (int h = 0; h < H; ++h) {
    for_runs(D, [&](int64_t d, int64_t count) {
      store_run(scratch + h * columns + d, load_run(q[h] + d, count), count);
    });
  }
  return {scratch, columns, {scale, scale, scale, scale}, nullptr};
}

// The largest int16 weight of a key that int32 holds the sum of D products with.
TRIT_INLINE float query_levels(int64_t D) {
  return D <= 512 ? 32767.0f : static_cast<float>(32767 * 512 / D);
}

template <int H, class Kv>
TRIT_INLINE Queries<Kv> make_queries(Kv, const float* const* queries_of, int64_t D, float scale,
                                     float* scratch) {
  const int64_t columns = value_columns(D);
  Queries<Kv> queries{reinterpret_cast<int32_t*>(scratch),
                      columns,
                      {},
                      reinterpret_cast<int32_t*>(scratch) + columns / 2};
  for (int h = 0; h < H; ++h, scratch += columns) {
    const float* q = queries_of[h];
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

// Scores of the first 16 S positions of a page: [H] rows, kChunkPositions apart.
template <class Kv, int H, int S>
TRIT_INLINE void score_positions(const std::byte* page, int64_t ahead, const KvPageLayout& layout,
                                 const Queries<Kv>& q, int64_t D, float* scores) {
  const int64_t group = Kv::kGroup == 0 ? D : Kv::kGroup;
  for (int64_t d = 0, g = 0; d < D; d += group, ++g) {
    const int64_t dims = D - d < group ? D - d : group, row = d / Kv::kTogether;
    accumulate<Kv, H, S, kKeyRowBytes>(
        page + row * kKeyRowBytes, ahead, (dims + Kv::kTogether - 1) / Kv::kTogether,
        q.weights + row * Kv::kSteps, q.stride, [&](int h) { return first_sum(q, h, g); },
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

// Of a page's first `count` positions, or some more.
template <class Kv, int H>
TRIT_INLINE void page_scores(const std::byte* page, int64_t count, int64_t ahead,
                             const KvPageLayout& layout, const Queries<Kv>& q, int64_t D,
                             float* scores) {
  if (count > 32) {
    score_positions<Kv, H, 4>(page, ahead, layout, q, D, scores);
  } else if (count > 16) {
    score_positions<Kv, H, 2>(page, ahead, layout, q, D, scores);
  } else {
    score_positions<Kv, H, 1>(page, ahead, layout, q, D, scores);
  }
}

// Scores become exponentials of the distance to the largest, and zeros from `count` to the end of its page. Four
// vectors at a time hide each other's latency. Meanwhile `soon` is prefetched, up to `soon_end`.
TRIT_INLINE void exponentials(float* scores, int64_t count, double* partial, const std::byte* soon,
                              const std::byte* soon_end) {
  const int64_t end = pages_of(count) * kPagePositions;
  for (int64_t j = count; j < end; ++j) scores[j] = scores[0];
  f32x16 best = load(scores);
  for (int64_t j = 16; j < end; j += 16) best = larger(load(scores + j), best);
  const float largest = max_lanes(best);
  // exp16 takes a NaN for a number: zero times the scores keeps it, and otherwise adds nothing.
  f32x16 nothing{};
  for (int64_t j = 0; j < end; j += 64) {
    for (int line = 0; line < 32 && soon < soon_end; ++line, soon += 64) prefetch(soon);
    const f32x16 s0 = load(scores + j), s1 = load(scores + j + 16), s2 = load(scores + j + 32),
                 s3 = load(scores + j + 48);
    nothing += ((s0 + s1) + (s2 + s3)) * 0.0f;
    store(scores + j, exp16(s0 - largest));
    store(scores + j + 16, exp16(s1 - largest));
    store(scores + j + 32, exp16(s2 - largest));
    store(scores + j + 48, exp16(s3 - largest));
  }
  for (int64_t j = count; j < end; ++j) scores[j] = 0.0f;
  f32x16 sum = nothing;
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
TRIT_INLINE void page_values(const std::byte* page, int64_t ahead, const KvPageLayout& layout,
                             const float* p, int64_t count, int64_t columns, float* out) {
  const int64_t group = Kv::kGroup == 0 ? columns : Kv::kGroup;
  const int64_t rows = (count + Kv::kTogether - 1) / Kv::kTogether;
  constexpr int64_t kRows = kPagePositions / Kv::kTogether;
  constexpr int64_t kScales = Kv::kType == KvType::kInt8 ? 4 : 2;  // bytes
  int32_t room[4 * kPagePositions / 2];
  for (int64_t first = 0, g = 0; first < columns; first += group, ++g) {
    const auto w =
        weigh<H>(Kv{}, p, page + layout.value_scales + g * kPagePositions * kScales, room);
    const int64_t end = columns - first < group ? columns : first + group;
    int64_t c = first;
    const auto strip = [&](auto vectors) {
      accumulate<Kv, H, decltype(vectors)::value>(
          page + layout.values + kRows * c * 2, ahead, rows, w.weights, w.stride,
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

// The values of a page's first `count` positions.
template <class Kv>
TRIT_INLINE void prefetch_values(const std::byte* page, const KvPageLayout& layout, int64_t count,
                                 int64_t columns) {
  constexpr int64_t kRows = kPagePositions / Kv::kTogether;
  const int64_t rows = (count + Kv::kTogether - 1) / Kv::kTogether;
  for (int64_t c = 0, width = 0; c < columns; c += width) {
    width = strip_width<Kv>(columns - c);
    const std::byte* strip = page + layout.values + kRows * c * 2;
    for (int64_t byte = 0; byte < rows * width * 2; byte += 64) prefetch(strip + byte);
  }
}

// H queries, each with its number of positions, in ascending order. `fresh`: nobody has just read the same pages.
template <class Kv, int H>
TRIT_INLINE void attend(const float* const* q, const int64_t* counts, const std::byte* const* pages,
                        const KvPageLayout& layout, int64_t D, float scale, bool fresh,
                        float* scratch, double* partials) {
  const int64_t count = counts[H - 1];
  const int64_t columns = value_columns(D);
  float *scores = scratch, *out = scores + 4 * kChunkPositions;
  const Queries<Kv> queries = make_queries<H>(Kv{}, q, D, scale, out + 4 * columns);
  // While a page's keys are worked on, the next page's come; behind the last ones, the first page's values.
  const int64_t last = pages_of(count) - 1, last_count = count - last * kPagePositions;
  if (fresh && last == 0) prefetch_values<Kv>(pages[0], layout, count, columns);
  const auto ahead = [&](int64_t i, const std::byte* next) { return fresh ? next - pages[i] : 0; };
  for (int64_t i = 0; i < last; ++i) {
    score_positions<Kv, H, 4>(pages[i], ahead(i, pages[i + 1]), layout, queries, D,
                              scores + i * kPagePositions);
  }
  page_scores<Kv, H>(pages[last], last_count, last == 0 ? 0 : ahead(last, pages[0] + layout.values),
                     layout, queries, D, scores + last * kPagePositions);
  for (int h = 0; h < H; ++h) {
    const std::byte* soon = pages[h < last ? h + 1 : 0];
    exponentials(scores + h * kChunkPositions, counts[h], partials + h * partial_size(D),
                 soon + layout.values, soon + (fresh && h < last ? layout.bytes : 0));
  }
  for (int64_t i = 0; i < H * columns; i += 16) store(out + i, f32x16{});
  for (int64_t i = 0; i <= last; ++i) {
    page_values<Kv, H>(pages[i], ahead(i, pages[i < last ? i + 1 : i]), layout,
                       scores + i * kPagePositions, i < last ? kPagePositions : last_count, columns,
                       out);
  }
  for (int h = 0; h < H; ++h) {
    double* weighted = partials + h * partial_size(D) + 2;
    for (int64_t c = 0; c < columns; c += 16)
      store_doubles(weighted + c, widen(load(out + h * columns + c)));
  }
}

template <class Kv>
TRIT_INLINE void attention_chunk(const QueryBlock& queries, const std::byte* const* pages,
                                 int64_t count, int64_t D, float scale, float* scratch,
                                 double* partials) {
  const KvPageLayout layout = kv_page_layout(Kv::kType, D);
  const int64_t all = queries.rows * queries.group;
  int64_t i = 0;
  const auto some = [&](auto number) {
    constexpr int H = decltype(number)::value;
    const float* q[H];
    int64_t counts[H];
    for (int h = 0; h < H; ++h) {
      q[h] = query_at(queries, i + h, D);
      counts[h] = count_at(queries, i + h, count);
    }
    attend<Kv, H>(q, counts, pages, layout, D, scale, i == 0, scratch,
                  partials + i * partial_size(D));
    i += H;
  };
  while (all - i >= 4) some(std::integral_constant<int, 4>{});
  if (all - i >= 2) some(std::integral_constant<int, 2>{});
  if (all - i >= 1) some(std::integral_constant<int, 1>{});
}

void attention_chunk_f16(const QueryBlock& queries, const std::byte* const* pages, int64_t count,
                         int64_t D, float scale, float* scratch, double* partials) {
  attention_chunk<HalfKv>(queries, pages, count, D, scale, scratch, partials);
}
void attention_chunk_int8(const QueryBlock& queries, const std::byte* const* pages, int64_t count,
                          int64_t D, float scale, float* scratch, double* partials) {
  attention_chunk<Int8Kv>(queries, pages, count, D, scale, scratch, partials);
}
void attention_chunk_int4(const QueryBlock& queries, const std::byte* const* pages, int64_t count,
                          int64_t D, float scale, float* scratch, double* partials) {
  attention_chunk<Int4Kv>(queries, pages, count, D, scale, scratch, partials);
}

void add_kv_rows(Table& t) {
  t.kv[static_cast<int>(KvType::kF32)] = {prefetch_f32, store_f32, attention_chunk_f32};
  t.kv[static_cast<int>(KvType::kF16)] = {prefetch_f16, store_f16, attention_chunk_f16};
  t.kv[static_cast<int>(KvType::kInt8)] = {prefetch_int8, store_int8, attention_chunk_int8};
  t.kv[static_cast<int>(KvType::kInt4)] = {prefetch_int4, store_int4, attention_chunk_int4};
  t.attention_merge = attention_merge;
}
