#include "ops/many_screen.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/dtype.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/screen_select.h"

namespace trit {
namespace {

using kernels::HeadForm;

constexpr int64_t kTileTokens = 16, kStep = 32;

std::optional<HeadForm> form_of(const StoredMatrix& matrix) {
  if (matrix.layout == &kQ8_0) return HeadForm::kQ8_0;
  if (matrix.layout == &kQ6_K) return HeadForm::kQ6_K;
  if (matrix.layout == &kQ4_0) return HeadForm::kQ4_0;
  if (matrix.layout == &kQ4_K) return HeadForm::kQ4_K;
  if (matrix.is(DType::kF16)) return HeadForm::kF16;
  if (matrix.is(DType::kBF16)) return HeadForm::kBf16;
  return std::nullopt;
}

// A bfloat16, zero where it would be subnormal: the tiles take it so.
uint16_t normal_bf16(float value) {
  const uint16_t bits = f32_to_bf16(value);
  return (bits & 0x7F80) == 0 ? uint16_t{0} : bits;
}

}  // namespace

std::optional<ManyScreen> ManyScreen::of(const StoredMatrix& matrix, int64_t rows,
                                         int64_t columns) {
  const std::optional<HeadForm> form = form_of(matrix);
  if (!form || columns % kStep != 0) return std::nullopt;
  const kernels::ManyScreen& kernel = kernels::active().many_screens[static_cast<int>(*form)];
  if (kernel.screen == nullptr) return std::nullopt;
  return ManyScreen(matrix, rows, columns, kernel);
}

// The sums of squares are rounded K / 16 + 8 times, and a square may underflow.
void ManyScreen::measure_errors() {
  errors_ = Buffer<float>(static_cast<size_t>(rows_));
  Buffer<float> norms(static_cast<size_t>(rows_));
  parallel_ranges(rows_, kScreenChunk, [&](int64_t begin, int64_t end) {
    float *error = errors_.data() + begin, *norm = norms.data() + begin;
    kernel_.errors(matrix_.row(begin, columns_), end - begin, columns_, error, norm);
    const double lost = static_cast<double>(columns_) * 0x1p-126;
    for (int64_t r = 0; r < end - begin; ++r) {
      error[r] = static_cast<float>(1.001 * std::sqrt(static_cast<double>(error[r]) + lost));
      norm[r] = static_cast<float>(1.001 * std::sqrt(static_cast<double>(norm[r]) + lost));
    }
  });
  norm_ = static_cast<double>(std::ranges::max(norms));
}

ManyScreen::Input ManyScreen::prepare(const float* x, int64_t t, int64_t tiles) {
  double xx = 0, ee = 0, hh = 0, ll = 0;
  for (int64_t k = 0; k < columns_; ++k) {
    const uint16_t high = normal_bf16(x[k]);
    const uint16_t low = normal_bf16(x[k] - bf16_to_f32(high));
    uint16_t* at = parts_.data() + (k / kStep * tiles + t / kTileTokens) * 1024 +
                   k % kStep / 2 * 32 + t % kTileTokens * 2 + k % 2;
    at[0] = high;
    at[512] = low;
    const auto value = static_cast<double>(x[k]), h = static_cast<double>(bf16_to_f32(high)),
               l = static_cast<double>(bf16_to_f32(low));
    xx += value * value;
    hh += h * h;
    ll += l * l;
    ee += (value - h - l) * (value - h - l);
  }
  constexpr double kUnit = 0x1p-24 * 1.01;
  const auto K = static_cast<double>(columns_);
  const double parts = std::sqrt(hh) + std::sqrt(ll);
  const double base = norm_ * (1.01 * std::sqrt(ee) + (K / 16 + 8) * kUnit * std::sqrt(xx) +
                               1.01 * (K / 16 + 18 + 8) * kUnit * parts) +
                      K * 0x1p-120;
  Input in;
  in.norm = static_cast<float>(1.001 * std::sqrt(xx));
  in.base = static_cast<float>(1.001 * base);
  // Finite, and so far from overflow that no product in floats meets it. False for NaN.
  in.bounded = xx > 0 && norm_ * parts < 1e37 && base < 1e37;
  return in;
}

// Each row's screen becomes the largest that its product may be.
void ManyScreen::screen(int64_t chunk, int64_t T) {
  const int64_t first = chunk * kScreenChunk, count = std::min(kScreenChunk, rows_ - first);
  const int64_t chunks = (rows_ + kScreenChunk - 1) / kScreenChunk;
  kernel_.screen(matrix_.row(first, columns_), count, columns_, parts_.data(), T,
                 screened_.data() + first, rows_);
  for (int64_t t = 0; t < T; ++t) {
    const Input& in = inputs_[static_cast<size_t>(t)];
    float* y = screened_.data() + t * rows_ + first;
    const float* error = errors_.data() + first;
    constexpr int64_t kLanes = 16;
    float largest[kLanes], certain[kLanes];
    std::fill_n(largest, kLanes, -std::numeric_limits<float>::infinity());
    std::fill_n(certain, kLanes, -std::numeric_limits<float>::infinity());
    const auto take = [&](int64_t r, int64_t lane) {
      const float bound = error[r] * in.norm + in.base;
      const float least = y[r] - bound;
      y[r] += bound;
      largest[lane] = y[r] > largest[lane] ? y[r] : largest[lane];
      certain[lane] = least > certain[lane] ? least : certain[lane];
    };
    int64_t r = 0;
    for (; r + kLanes <= count; r += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) take(r + lane, lane);
    }
    for (; r < count; ++r) take(r, 0);
    largest_[static_cast<size_t>(t * chunks + chunk)] =
        *std::max_element(largest, largest + kLanes);
    certain_[static_cast<size_t>(t * chunks + chunk)] =
        *std::max_element(certain, certain + kLanes);
  }
}

void ManyScreen::candidates(ConstMatrix x, int64_t k, std::vector<std::vector<int32_t>>& found) {
  TRIT_CHECK(x.columns == columns_ && k > 0 && k <= rows_);
  TRIT_CHECK(x.rows <= kernels::kScreenTokens);
  if (errors_.size() == 0) measure_errors();
  const int64_t T = x.rows, chunks = (rows_ + kScreenChunk - 1) / kScreenChunk;
  const int64_t tiles = (T + kTileTokens - 1) / kTileTokens;
  parts_ = Buffer<uint16_t>::zeros(static_cast<size_t>(columns_ / kStep * tiles * 1024));
  inputs_.resize(static_cast<size_t>(T));
  parallel_for(T,
               [&](int64_t t) { inputs_[static_cast<size_t>(t)] = prepare(x.row(t), t, tiles); });
  if (std::ssize(screened_) < T * rows_) {
    screened_ = Buffer<float>(static_cast<size_t>(T * rows_));
    largest_ = Buffer<float>(static_cast<size_t>(T * chunks));
    certain_ = Buffer<float>(static_cast<size_t>(T * chunks));
  }
  parallel_for(chunks, [&](int64_t chunk) { screen(chunk, T); });
  found.resize(static_cast<size_t>(T));
  parallel_for(T, [&](int64_t t) {
    const Input& in = inputs_[static_cast<size_t>(t)];
    std::vector<int32_t>& rows = found[static_cast<size_t>(t)];
    rows.clear();
    if (!in.bounded) return;
    select_rows({screened_.data() + t * rows_, rows_, largest_.data() + t * chunks,
                 certain_.data() + t * chunks, errors_.data(), 2.01 * static_cast<double>(in.norm),
                 2.01 * static_cast<double>(in.base)},
                k, rows);
  });
}

}  // namespace trit
