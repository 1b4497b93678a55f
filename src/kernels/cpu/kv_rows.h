// Attention over pages of cached keys and values (kernels/kv.h), written like float_rows.h and included behind it.
// No include guard and no includes, on purpose.
//
// float32 pages: an error of a score is a relative error of its weight, and what attention gives is rounded to
// int8 next; so scores, sums and weighted values are in double.

struct F32Page {
  const float* keys;
  const float* values;
  F32Page(const std::byte* page, int64_t D)
      : keys(reinterpret_cast<const float*>(page)), values(keys + kPagePositions * D) {}
};

void store_f32(const float* k, const float* v, int64_t D, int64_t place, std::byte* page) {
  float* keys = reinterpret_cast<float*>(page);
  float* key = keys + place / kKeyBlock * kKeyBlock * D + place % kKeyBlock;
  float* value = keys + kPagePositions * D + place * value_columns(D);
  for (int64_t d = 0; d < D; ++d) key[d * kKeyBlock] = k[d];
  for (int64_t d = 0; d < value_columns(D); ++d) value[d] = d < D ? v[d] : 0.0f;
}

void prefetch_f32(int64_t D, int64_t place, const std::byte* page) {
  const float* key = F32Page(page, D).keys + place / kKeyBlock * kKeyBlock * D + place % kKeyBlock;
  for (int64_t d = 0; d < D; ++d) __builtin_prefetch(key + d * kKeyBlock, 0, 2);
  const float* value = F32Page(page, D).values + place * value_columns(D);
  for (int64_t d = 0; d < value_columns(D); d += 16) __builtin_prefetch(value + d, 0, 2);
}

// Doubles in scratch memory of floats: two floats' room each.
TRIT_INLINE double load_score(const float* scores, int64_t j) {
  double s;
  __builtin_memcpy(&s, scores + 2 * j, sizeof s);
  return s;
}

// Sixteen keys at a time: lane j of block b holds scale q.k_(16 b + j), summed over d in order, in double. The
// four blocks of a page run side by side to hide the latency of the additions.
TRIT_INLINE void page_scores_f32(const float* q, const float* keys, int64_t count, int64_t D,
                                 double scale, float* scores) {
  const int64_t size = D * kKeyBlock;
  if (count > 3 * kKeyBlock) {
    const float* k = keys;
    f64x16 s0{}, s1{}, s2{}, s3{};
    for (int64_t d = 0; d < D; ++d, k += kKeyBlock) {
      const double qd = static_cast<double>(q[d]);
      s0 = s0 + load_wide(k) * qd;
      s1 = s1 + load_wide(k + size) * qd;
      s2 = s2 + load_wide(k + 2 * size) * qd;
      s3 = s3 + load_wide(k + 3 * size) * qd;
    }
    store_f64(scores, s0 * scale);
    store_f64(scores + 2 * kKeyBlock, s1 * scale);
    store_f64(scores + 4 * kKeyBlock, s2 * scale);
    store_f64(scores + 6 * kKeyBlock, s3 * scale);
    return;
  }
  for (int64_t b = 0; b * kKeyBlock < count; ++b) {
    f64x16 s{};
    for (int64_t d = 0; d < D; ++d) {
      s = s + load_wide(keys + b * size + d * kKeyBlock) * static_cast<double>(q[d]);
    }
    store_f64(scores + 2 * b * kKeyBlock, s * scale);
  }
}

// The largest of the first `count` scores.
TRIT_INLINE double max_score(const float* scores, int64_t count) {
  double best = load_score(scores, 0);
  f64x8 lanes = f64x8{} + best;
  int64_t j = 0;
  for (; j + 8 <= count; j += 8) {
    f64x8 s;
    __builtin_memcpy(&s, scores + 2 * j, sizeof s);
    lanes = s > lanes ? s : lanes;
  }
  for (int lane = 0; lane < 8; ++lane) best = lanes[lane] > best ? lanes[lane] : best;
  for (; j < count; ++j) best = load_score(scores, j) > best ? load_score(scores, j) : best;
  return best;
}

// p_j = exp(s_j - largest) for j < count. Returns their sum.
TRIT_INLINE double exp_scores(const float* scores, int64_t count, double largest, float* p) {
  f64x16 sum{};
  for (int64_t j = 0; j < count; j += 16) {
    f32x16 e = exp16(narrow(load_f64(scores + 2 * j) - largest));
    store(p + j, e);
    if (count - j < 16) e = load_part(p + j, count - j, 0.0f);
    sum = sum + widen(e);
  }
  return sum_lanes(sum);
}

TRIT_INLINE void store_doubles(double* p, f64x16 v) { __builtin_memcpy(p, &v, sizeof v); }

// Calls body(p_j, v_j) for the positions in order; v_j from column d on.
template <class Body>
TRIT_INLINE void for_values_f32(const float* p, const std::byte* const* pages, int64_t count,
                                int64_t D, int64_t d, Body body) {
  const int64_t columns = value_columns(D);
  for (int64_t first = 0; first < count; first += kPagePositions) {
    const float* v = F32Page(pages[first / kPagePositions], D).values + d;
    const int64_t here = count - first < kPagePositions ? count - first : kPagePositions;
    for (int64_t j = 0; j < here; ++j, v += columns) body(static_cast<double>(p[first + j]), v);
  }
}

// sum_j p_j v_j, up to 64 columns at a time.
TRIT_INLINE void weigh_values_f32(const float* p, const std::byte* const* pages, int64_t count,
                                  int64_t D, double* out) {
  const int64_t columns = value_columns(D);
  int64_t d = 0;
  for (; d + 64 <= columns; d += 64) {
    f64x16 o0{}, o1{}, o2{}, o3{};
    for_values_f32(p, pages, count, D, d, [&](double pj, const float* v) {
      o0 = o0 + load_wide(v) * pj;
      o1 = o1 + load_wide(v + 16) * pj;
      o2 = o2 + load_wide(v + 32) * pj;
      o3 = o3 + load_wide(v + 48) * pj;
    });
    store_doubles(out + d, o0);
    store_doubles(out + d + 16, o1);
    store_doubles(out + d + 32, o2);
    store_doubles(out + d + 48, o3);
  }
  for (; d < columns; d += 16) {
    f64x16 o{};
    for_values_f32(p, pages, count, D, d,
                   [&](double pj, const float* v) { o = o + load_wide(v) * pj; });
    store_doubles(out + d, o);
  }
}

// Query i of a block: in order of rows, then of heads.
TRIT_INLINE const float* query_at(const QueryBlock& block, int64_t i, int64_t D) {
  return block.q + i / block.group * block.stride + i % block.group * D;
}
// Positions that it sees.
TRIT_INLINE int64_t count_at(const QueryBlock& block, int64_t i, int64_t count) {
  const int64_t seen = count + i / block.group;
  return seen < kChunkPositions ? seen : kChunkPositions;
}

void attention_chunk_f32(const QueryBlock& queries, const std::byte* const* pages,
                         int64_t first_count, int64_t D, float scale, float* scratch,
                         double* partials) {
  float* p = scratch + 2 * kChunkPositions;
  for (int64_t i = 0; i < queries.rows * queries.group; ++i, partials += partial_size(D)) {
    const float* q = query_at(queries, i, D);
    const int64_t count = count_at(queries, i, first_count);
    for (int64_t j = 0; j < count; j += kPagePositions) {
      page_scores_f32(q, F32Page(pages[j / kPagePositions], D).keys, count - j, D,
                      static_cast<double>(scale), scratch + 2 * j);
    }
    partials[0] = max_score(scratch, count);
    partials[1] = exp_scores(scratch, count, partials[0], p);
    weigh_values_f32(p, pages, count, D, partials + 2);
  }
}

// A chunk counts exp(its largest score - the largest of all) fold; a chunk alone, once.
float attention_merge(const double* partials, int64_t chunks, int64_t stride, int64_t D,
                      float* out) {
  if (chunks == 1) {
    for (int64_t d = 0; d < D; ++d) out[d] = static_cast<float>(partials[2 + d] / partials[1]);
    return static_cast<float>(partials[0] + __builtin_log(partials[1]));
  }
  double largest = partials[0], total = 0;
  for (int64_t c = 1; c < chunks; ++c) {
    const double at = partials[c * stride];
    largest = at > largest ? at : largest;
  }
  const auto factor = [&](int64_t c) { return __builtin_exp(partials[c * stride] - largest); };
  for (int64_t c = 0; c < chunks; ++c) total += factor(c) * partials[c * stride + 1];
  for (int64_t d = 0; d < D; d += 128) {
    const int64_t columns = D - d < 128 ? D - d : 128;
    double sums[128] = {};
    for (int64_t c = 0; c < chunks; ++c) {
      const double times = factor(c);
      const double* part = partials + c * stride + 2 + d;
      for (int64_t i = 0; i < columns; ++i) sums[i] += part[i] * times;
    }
    for (int64_t i = 0; i < columns; ++i) out[d + i] = static_cast<float>(sums[i] / total);
  }
  return static_cast<float>(largest + __builtin_log(total));
}
