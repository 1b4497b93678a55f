#pragma once
// ggml's blocks as operands of matrix products: their codes as bf16 integers, which have eight bits, and the scales of
// runs of weights beside them. For .cu files.
//
// A lane takes four weights at a time: weights 16 i + 4 c .. + 3 of a step of 256, where `i` is known at compile time.
// `p` is where the step's bytes begin in shared memory, at an even address; `odd` says whether it is two off a multiple
// of four (1) or not (0), or that nobody knows (2).

#include <cuda_fp16.h>

#include <cstdint>

namespace trit::cuda {

inline __device__ uint32_t half_word(const uint8_t* p) {
  return *reinterpret_cast<const uint16_t*>(p);
}
inline __device__ float half_float(const uint8_t* p) {
  return __half2float(__ushort_as_half(*reinterpret_cast<const uint16_t*>(p)));
}
// Four bytes at p + `at`, of which all but `more` (a multiple of four) is known at compile time.
inline __device__ uint32_t word(const uint8_t* p, int at, int odd, int more = 0) {
  if (odd < 2 && (at + 2 * odd) % 4 == 0) return *reinterpret_cast<const uint32_t*>(p + at + more);
  return half_word(p + at + more) | half_word(p + at + more + 2) << 16;
}
inline __device__ float signed_byte(uint32_t word, int i) {
  return static_cast<float>(static_cast<int8_t>(word >> (8 * i)));
}
inline __device__ float byte(uint32_t word, int i) {
  return static_cast<float>(word >> (8 * i) & 0xFF);
}

// Two registers of two bf16 each: 128 + (bytes of `codes`, below 128) - the bf16 whose low bytes are those of `less`
// and whose high bytes are 0x43: 128 + less below 128, 2 less from there on.
inline __device__ uint2 as_bf16(uint32_t codes, uint32_t less) {
  const auto difference = [](uint32_t a, uint32_t b) {
    const __nv_bfloat162 d = __hsub2(reinterpret_cast<const __nv_bfloat162&>(a),
                                     reinterpret_cast<const __nv_bfloat162&>(b));
    return reinterpret_cast<const uint32_t&>(d);
  };
  constexpr uint32_t kHigh = 0x43434343u;
  return make_uint2(
      difference(__byte_perm(codes, kHigh, 0x4140), __byte_perm(less, kHigh, 0x4140)),
      difference(__byte_perm(codes, kHigh, 0x4342), __byte_perm(less, kHigh, 0x4342)));
}

struct StepQ8_0 {
  static constexpr int kBytes = 272, kStages = 3, kRun = 32;  // of a step; weights with one scale
  static constexpr bool kLeast = false;    // something is subtracted from each run
  static constexpr bool kAligned = false;  // rows and steps begin at multiples of 16
  static __device__ uint2 weights(const uint8_t* p, int i, int c, int odd) {
    const uint32_t q = word(p, i / 2 * 34 + 2 + i % 2 * 16, odd, 4 * c);
    return as_bf16(q & 0x7F7F7F7Fu, q & 0x80808080u);
  }
  static __device__ float scale(const uint8_t* p, int i, int) { return half_float(p + i / 2 * 34); }
  static __device__ float least(const uint8_t*, int) { return 0.0f; }
};

struct StepQ4_0 {
  static constexpr int kBytes = 144, kStages = 4, kRun = 32;
  static constexpr bool kLeast = false, kAligned = false;
  static __device__ uint2 weights(const uint8_t* p, int i, int c, int odd) {
    const uint32_t q = word(p, i / 2 * 18 + 2, odd, 4 * c);
    return as_bf16((i % 2 == 0 ? q : q >> 4) & 0x0F0F0F0Fu, 0x08080808u);
  }
  static __device__ float scale(const uint8_t* p, int i, int) { return half_float(p + i / 2 * 18); }
  static __device__ float least(const uint8_t*, int) { return 0.0f; }
};

struct StepQ6_K {
  static constexpr int kBytes = 210, kStages = 3, kRun = 16;
  static constexpr bool kLeast = false, kAligned = false;
  static __device__ uint2 weights(const uint8_t* p, int i, int c, int odd) {
    const int half = i / 8, run = i % 8 / 2, at = i % 2 * 16;
    const uint32_t four = word(p, 64 * half + run % 2 * 32 + at, odd, 4 * c);
    const uint32_t two = word(p, 128 + 32 * half + at, odd, 4 * c);
    const uint32_t high = (run < 2 ? two << (4 - 2 * run) : two >> (2 * run - 4)) & 0x30303030u;
    return as_bf16(((run < 2 ? four : four >> 4) & 0x0F0F0F0Fu) | high, 0x20202020u);
  }
  static __device__ float scale(const uint8_t* p, int i, int odd) {
    return signed_byte(word(p, 192 + i / 4 * 4, odd), i % 4) * half_float(p + 208);
  }
  static __device__ float least(const uint8_t*, int) { return 0.0f; }
};

struct StepQ4_K {
  static constexpr int kBytes = 144, kStages = 4, kRun = 32;
  static constexpr bool kLeast = true, kAligned = true;
  static __device__ uint2 weights(const uint8_t* p, int i, int c, int) {
    const uint32_t q = word(p, 16 + i / 4 * 32 + i % 2 * 16, 0, 4 * c);
    return as_bf16((i / 2 % 2 == 0 ? q : q >> 4) & 0x0F0F0F0Fu, 0);
  }
  static __device__ float scale(const uint8_t* p, int i, int) {
    const int run = i / 2;
    const uint32_t low = word(p, 4, 0), high = word(p, 12, 0);
    const uint32_t codes =
        run < 4 ? low & 0x3F3F3F3Fu : (high & 0x0F0F0F0Fu) | (low >> 6 & 0x03030303u) << 4;
    return half_float(p) * byte(codes, run % 4);
  }
  static __device__ float least(const uint8_t* p, int i) {
    const int run = i / 2;
    const uint32_t low = word(p, 8, 0), high = word(p, 12, 0);
    const uint32_t codes =
        run < 4 ? low & 0x3F3F3F3Fu : (high >> 4 & 0x0F0F0F0Fu) | (low >> 6 & 0x03030303u) << 4;
    return half_float(p + 2) * byte(codes, run % 4);
  }
};

}  // namespace trit::cuda
