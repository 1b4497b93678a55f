#include "ops/head_screen.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/screen_select.h"

namespace trit {
namespace {

constexpr int64_t kChunk = kScreenChunk;

// The square of a scale. Subnormal ones, which scales of Q6_K mostly are, apart: as floats they would be subnormal too,
// which takes processors a hundred times as long.
double square_of_half(const uint8_t* p) {
  uint16_t half;
  std::memcpy(&half, p, sizeof half);
  const uint32_t exponent = half >> 10 & 31u, fraction = half & 0x3FFu;
  double d = static_cast<double>(fraction) * 0x1p-24;
  if (exponent != 0) {
    const uint64_t bits =
        static_cast<uint64_t>(exponent - 15 + 1023) << 52 | static_cast<uint64_t>(fraction) << 42;
    std::memcpy(&d, &bits, sizeof d);
  }
  return d * d;
}

// Bounds on the squared norm of a row, from the fp16 scale of each block alone: whatever else there is has its largest
// magnitude.
template <int64_t kWeights, int64_t kBytes, int64_t kScale, int64_t kMost>
double square_of_norm(const uint8_t* row, int64_t columns) {
  double sum = 0;
  for (int64_t b = 0; b < columns / kWeights; ++b, row += kBytes) {
    __builtin_prefetch(row + 64 * kBytes);  // strides that no hardware foresees
    sum += square_of_half(row + kScale);
  }
  return static_cast<double>(kWeights * kMost * kMost) * sum;
}
constexpr auto q8_0_norm = square_of_norm<32, 34, 0, 128>;
constexpr auto q6_k_norm = square_of_norm<256, 210, 208, 128 * 32>;

double largest_norm(const StoredMatrix& matrix, int64_t rows, int64_t columns,
                    double (*square)(const uint8_t*, int64_t)) {
  std::vector<double> best(static_cast<size_t>((rows + kChunk - 1) / kChunk), 0.0);
  parallel_ranges(rows, kChunk, [&](int64_t begin, int64_t end) {
    double& most = best[static_cast<size_t>(begin / kChunk)];
    for (int64_t r = begin; r < end; ++r)
      most = std::max(most, square(matrix.row(r, columns), columns));
  });
  return std::sqrt(std::ranges::max(best));
}

float largest(const float* y, int64_t count) {
  float lanes[16];
  std::fill(lanes, lanes + 16, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; ++lane)
      lanes[lane] = y[i + lane] > lanes[lane] ? y[i + lane] : lanes[lane];
  }
  for (; i < count; ++i) lanes[0] = std::max(lanes[0], y[i]);
  return *std::max_element(lanes, lanes + 16);
}

// -16 times the sums of sixteens, twice for each 256, and -128 times those of fours.
void take_sums(const std::vector<int8_t>& x, std::vector<int16_t>& runs,
               std::vector<int32_t>& fours) {
  fours.resize(x.size() / 4);
  for (size_t i = 0; i < fours.size(); ++i)
    fours[i] = -128 * (x[4 * i] + x[4 * i + 1] + x[4 * i + 2] + x[4 * i + 3]);
  runs.resize(x.size() / 256 * 32);
  for (size_t i = 0; i < runs.size(); ++i) {
    const size_t four = i / 32 * 64 + i % 16 * 4;
    runs[i] = static_cast<int16_t>(
        (fours[four] + fours[four + 1] + fours[four + 2] + fours[four + 3]) / 8);
  }
}

}  // namespace

std::optional<HeadScreen> HeadScreen::of(const StoredMatrix& matrix, int64_t rows,
                                         int64_t columns) {
  const kernels::Table& kernel = kernels::active();
  HeadScreen screen(matrix, rows, columns);
  screen.many_ = ManyScreen::of(matrix, rows, columns);
  if (columns % 64 == 0 && matrix.layout == &kQ8_0 && kernel.screen_q8_0 != nullptr) {
    screen.kernel_ = kernel.screen_q8_0;
    screen.norm_ = largest_norm(matrix, rows, columns, q8_0_norm);
  } else if (matrix.layout == &kQ6_K && kernel.screen_q6_k != nullptr) {
    screen.kernel_ = kernel.screen_q6_k;
    screen.norm_ = largest_norm(matrix, rows, columns, q6_k_norm);
  }
  if (screen.kernel_ == nullptr && !screen.many_) return std::nullopt;
  return screen;
}

bool HeadScreen::together(int64_t count) const {
  return many_ && count >= (kernel_ != nullptr ? kFewestMany : 2);
}

bool HeadScreen::screens(int64_t count) const {
  return together(count) || (kernel_ != nullptr && count <= kMostAlone);
}

kernels::ScreenInput HeadScreen::Input::view() const {
  return {high.data(),     low.data(),        high_runs.data(),
          low_runs.data(), high_fours.data(), low_fours.data()};
}

void HeadScreen::prepare(const float* x, Input& in) const {
  float absmax = 0;
  for (int64_t i = 0; i < columns_; ++i) absmax = std::max(absmax, std::fabs(x[i]));
  constexpr double kMost = 127 * 256 + 127;
  const double step = static_cast<double>(absmax) / kMost;
  const double inverse = absmax > 0 ? 1 / step : 0.0;
  in.high.resize(static_cast<size_t>(columns_));
  in.low.resize(static_cast<size_t>(columns_));
  double xx = 0, ee = 0, hh = 0, ll = 0;
  for (int64_t i = 0; i < columns_; ++i) {
    const double value = static_cast<double>(x[i]);
    constexpr double kNoFraction = 0x1.8p52;
    const double rounded = value * inverse + kNoFraction - kNoFraction;
    const bool regular = rounded >= -kMost && rounded <= kMost;  // not where x is not finite
    const int32_t v = regular ? static_cast<int32_t>(rounded) : 0;
    const int32_t high = (v + 128) >> 8, low = std::max(v - 256 * high, -127);
    in.high[static_cast<size_t>(i)] = static_cast<int8_t>(high);
    in.low[static_cast<size_t>(i)] = static_cast<int8_t>(low);
    const double error = value - step * (256 * high + low);
    xx += value * value;
    ee += error * error;
    hh += high * high;
    ll += low * low;
  }
  take_sums(in.high, in.high_runs, in.high_fours);
  take_sums(in.low, in.low_runs, in.low_fours);

  constexpr double kUnit = 0x1p-24 * 1.01, kTiniest = 0x1p-149;
  const auto K = static_cast<double>(columns_);
  const double product = (K / 16 + 8) * kUnit * norm_ * std::sqrt(xx);
  const double screen = (K / 64 + 8) * kUnit * 3 * norm_ * (256 * std::sqrt(hh) + std::sqrt(ll));
  const double in_x = norm_ * std::sqrt(ee) + product + K * kTiniest;
  in.bound = 1.001 * (in_x * inverse + screen);
  // Finite, and so far from overflow that no product in floats meets it. False for NaN.
  in.bounded = absmax > 0 && norm_ * std::sqrt(xx) < 1e37 && in.bound < 1e37;
}

void HeadScreen::candidates(ConstMatrix x, int64_t k, std::vector<std::vector<int32_t>>& found) {
  TRIT_CHECK(x.columns == columns_ && k > 0 && k <= rows_ && screens(x.rows));
  if (together(x.rows)) return many_->candidates(x, k, found);
  const int64_t T = x.rows, chunks = (rows_ + kChunk - 1) / kChunk;
  inputs_.resize(static_cast<size_t>(T));
  parallel_for(T, [&](int64_t t) { prepare(x.row(t), inputs_[static_cast<size_t>(t)]); });
  if (std::ssize(screened_) < T * rows_) {
    screened_ = Buffer<float>(static_cast<size_t>(T * rows_));
    best_ = Buffer<float>(static_cast<size_t>(T * chunks));
    certain_ = Buffer<float>(static_cast<size_t>(T * chunks));
  }
  parallel_for(chunks, [&](int64_t chunk) {
    const int64_t first = chunk * kChunk, count = std::min(kChunk, rows_ - first);
    for (int64_t t = 0; t < T; ++t) {
      const Input& in = inputs_[static_cast<size_t>(t)];
      float* y = screened_.data() + t * rows_ + first;
      kernel_(matrix_.row(first, columns_), count, columns_, in.view(), y);
      const auto i = static_cast<size_t>(t * chunks + chunk);
      best_[i] = largest(y, count);
      certain_[i] = static_cast<float>(static_cast<double>(best_[i]) - 2.001 * in.bound);
    }
  });
  found.resize(static_cast<size_t>(T));
  parallel_for(T, [&](int64_t t) {
    const auto i = static_cast<size_t>(t);
    found[i].clear();
    if (!inputs_[i].bounded) return;
    select_rows({screened_.data() + t * rows_, rows_, best_.data() + t * chunks,
                 certain_.data() + t * chunks, nullptr, 0, 2 * inputs_[i].bound},
                k, found[i]);
  });
}

}  // namespace trit
