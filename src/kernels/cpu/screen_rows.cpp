// The specification of the rows that screen a head: plain code for any machine.

#include "kernels/cpu/screen_rows.h"

#include "base/dtype.h"

namespace trit::kernels {
namespace {

float half_at(const uint8_t* p) {
  float value;
  to_f32(DType::kF16, p, 1, &value);
  return value;
}

// The tree of all float rows.
float sum_lanes(const float* lanes) {
  float sums[16];
  for (int i = 0; i < 16; ++i) sums[i] = lanes[i];
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
  }
  return sums[0];
}

// q + 32 of weight i of a block.
int q6_k_code(const uint8_t* block, int i) {
  const int half = i / 128, run = i % 128 / 32, l = i % 32;
  const int four = block[64 * half + run % 2 * 32 + l] >> (run / 2 * 4) & 15;
  const int two = block[128 + 32 * half + l] >> (2 * run) & 3;
  return four | two << 4;
}

// Lane l has the weights 4 l to 4 l + 3 of every 64, and the part of two runs' - 32 that falls to it.
int32_t q6_k_lane(const uint8_t* block, int lane, const int8_t* x, const int16_t* runs) {
  const auto* scales = reinterpret_cast<const int8_t*>(block + 192);
  int32_t sum = 0;
  for (int i = 4 * lane; i < 256; i += 64) {
    for (int j = i; j < i + 4; ++j) sum += scales[j / 16] * (q6_k_code(block, j) * x[j]);
  }
  for (int run = 2 * lane; run < 2 * lane + 2; ++run) sum += scales[run % 16] * runs[run];
  return sum;
}

float rounded(float w) { return bf16_to_f32(f32_to_bf16(w)); }

// The sum of one row and one token: of each 32 inputs the even and the odd ones apart.
float bf16_sum(const float* w, int64_t K, const uint16_t* x, int64_t x_step) {
  float sum = 0;
  for (int64_t k = 0; k < K; k += 32, x += x_step) {
    for (int part = 0; part < 2; ++part) {
      float even = 0, odd = 0;
      for (int pair = 0; pair < 16; ++pair) {
        const uint16_t* at = x + 512 * part + 32 * pair;
        even += rounded(w[k + 2 * pair]) * bf16_to_f32(at[0]);
        odd += rounded(w[k + 2 * pair + 1]) * bf16_to_f32(at[1]);
      }
      sum += even + odd;
    }
  }
  return sum;
}

float joined(int32_t high, int32_t low) {
  return 256.0f * static_cast<float>(high) + static_cast<float>(low);
}

}  // namespace

void screen_q6_k_scalar(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    float lanes[16] = {};
    for (int64_t b = 0; b < K / 256; ++b, w += 210) {
      const float d = half_at(w + 208);
      for (int lane = 0; lane < 16; ++lane) {
        lanes[lane] += joined(q6_k_lane(w, lane, x.high + 256 * b, x.high_runs + 32 * b),
                              q6_k_lane(w, lane, x.low + 256 * b, x.low_runs + 32 * b)) *
                       d;
      }
    }
    y[r] = sum_lanes(lanes);
  }
}

void screen_q8_0_scalar(const uint8_t* w, int64_t rows, int64_t K, const ScreenInput& x, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    float lanes[16] = {};
    for (int64_t b = 0; b < K / 32; ++b, w += 34) {
      const float d = half_at(w);
      const auto* q = reinterpret_cast<const int8_t*>(w + 2);
      for (int lane = 0; lane < 8; ++lane) {
        int32_t high = 0, low = 0;
        for (int i = 4 * lane; i < 4 * lane + 4; ++i) {
          high += q[i] * x.high[32 * b + i];
          low += q[i] * x.low[32 * b + i];
        }
        lanes[b % 2 * 8 + lane] += joined(high, low) * d;
      }
    }
    y[r] = sum_lanes(lanes);
  }
}

void many_screen_scalar(const float* w, int64_t rows, int64_t K, const uint16_t* x, int64_t T,
                        float* y, int64_t y_stride) {
  const int64_t x_step = (T + 15) / 16 * 1024;
  for (int64_t t = 0; t < T; ++t) {
    const uint16_t* xt = x + t / 16 * 1024 + t % 16 * 2;
    for (int64_t r = 0; r < rows; ++r) y[t * y_stride + r] = bf16_sum(w + r * K, K, xt, x_step);
  }
}

void screen_errors_scalar(const float* w, int64_t rows, int64_t K, float* error, float* norm) {
  for (int64_t r = 0; r < rows; ++r, w += K) {
    float ee[16] = {}, ww[16] = {};
    for (int64_t k = 0; k < K; ++k) {
      const float e = w[k] - rounded(w[k]);
      ee[k % 16] += e * e;
      ww[k % 16] += w[k] * w[k];
    }
    error[r] = sum_lanes(ee);
    norm[r] = sum_lanes(ww);
  }
}

}  // namespace trit::kernels
