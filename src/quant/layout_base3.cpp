// Five trits a byte: ggml's TQ1_0 (256 weights: 48 + 4 bytes and an fp16 scale) and Prism's PTQ1_0
// (128 weights: 24 + 2 bytes and an fp16 scale).
//
// A byte with the trits t0 .. t4 (0, 1, 2) is ceil(256 v / 243), v = 81 t0 + 27 t1 + 9 t2 + 3 t3 + t4:
// v / 243 as a binary fraction, so that multiplying by 3 pushes the next trit out at the top. The
// bytes are cut into stages; byte m of a stage of c bytes has the weights m, c + m, 2c + m, ... of
// that stage. Bytes of the last stage have four trits (t4 = 0).
//
// Of the 256 bytes 243 are such a number; a last stage has 81. ggml decodes the others as well, but
// writes none: they are refused as damage.

#include <algorithm>
#include <utility>

#include "quant/layout_parts.h"

namespace trit {
namespace {

// A stage of kCount bytes with kTrits trits each.
template <int kCount, int kTrits>
struct Stage {
  static constexpr int kBytes = kCount;
  static constexpr int kCodes = kCount * kTrits;

  // The whole part of 3 q, a fraction of 256, is the next trit. Without branches and in 16 bits, so that
  // compilers make it eight at a time.
  static void split(const uint8_t* bytes, uint8_t* codes) {
    uint16_t q[kCount];
    for (int m = 0; m < kCount; ++m) q[m] = bytes[m];
    for (int n = 0; n < kTrits; ++n, codes += kCount) {
      for (int m = 0; m < kCount; ++m) {
        const auto next = static_cast<uint16_t>(3 * q[m]);
        codes[m] = static_cast<uint8_t>(next >> 8);
        q[m] = next & 0xFF;
      }
    }
  }

  static void join(const uint8_t* codes, uint8_t* bytes) {
    uint8_t v[kCount] = {};
    for (int n = 0; n < 5; ++n) {
      for (int m = 0; m < kCount; ++m) {
        v[m] = static_cast<uint8_t>(3 * v[m] + (n < kTrits ? codes[n * kCount + m] : 0));
      }
    }
    for (int m = 0; m < kCount; ++m) bytes[m] = static_cast<uint8_t>((256 * v[m] + 242) / 243);
  }

  // Whether no trits give the byte. What is left of ceil(256 v / 243) after five trits is less than
  // 243 / 256; a fifth trit that does not exist is 0.
  static bool bad(uint8_t byte) {
    const auto left = static_cast<uint8_t>(243 * byte), fifth = static_cast<uint8_t>(81 * byte);
    return (left >= 243) | (kTrits == 4 && fifth >= 86);
  }

  // The first bad byte, or kCount.
  static int first_bad(const uint8_t* bytes) {
    uint8_t any = 0;
    for (int m = 0; m < kCount; ++m) any = static_cast<uint8_t>(any | (bad(bytes[m]) ? 1 : 0));
    if (any == 0) return kCount;
    return static_cast<int>(std::find_if(bytes, bytes + kCount, bad) - bytes);
  }
};

// A block of these stages, one behind the other, and its scale.
template <class... Stages>
struct Base3 {
  static constexpr int kBlock = (Stages::kCodes + ...);
  static constexpr int kTrits = (Stages::kBytes + ...);  // bytes before the scale
  static constexpr int kBytes = kTrits + 2;
  static_assert(kBlock % kRun == 0);

  static void to_trits(const uint8_t* row, int64_t blocks, uint8_t* packed, float* scales) {
    for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
      uint8_t codes[kBlock];
      const uint8_t* in = row;
      uint8_t* out = codes;
      ((Stages::split(in, out), in += Stages::kBytes, out += Stages::kCodes), ...);
      for (int run = 0; run < kBlock; run += kRun, packed += kRunBytes)
        join_run(codes + run, packed);
      scales[b] = load_f16(row + kTrits);
    }
  }

  static void from_trits(const uint8_t* packed, const float* scales, int64_t blocks, uint8_t* row) {
    for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
      uint8_t codes[kBlock];
      for (int run = 0; run < kBlock; run += kRun, packed += kRunBytes) {
        split_run(packed, codes + run);
      }
      const uint8_t* in = codes;
      uint8_t* out = row;
      ((Stages::join(in, out), in += Stages::kCodes, out += Stages::kBytes), ...);
      store_f16(row + kTrits, scales[b]);
    }
  }

  // Looks at one stage; `in` and `column` move on to the next.
  template <class S>
  static std::optional<LayoutFault> check_stage(const uint8_t*& in, int64_t& column) {
    const int m = S::first_bad(in);
    if (m < S::kBytes) {
      return LayoutFault{column + m,
                         fmt::format("its byte is {:#04x}, which is no code of {} trits", in[m],
                                     S::kCodes / S::kBytes)};
    }
    in += S::kBytes;
    column += S::kCodes;
    return std::nullopt;
  }

  static std::optional<LayoutFault> check(const uint8_t* row, int64_t blocks) {
    for (int64_t b = 0; b < blocks; ++b, row += kBytes) {
      const uint8_t* in = row;
      int64_t column = b * kBlock;
      if (!finite_f16(row + kTrits)) return scale_fault(column, load_f16(row + kTrits));
      std::optional<LayoutFault> fault;
      if (((fault = check_stage<Stages>(in, column)).has_value() || ...)) return fault;
    }
    return std::nullopt;
  }

  static constexpr PackedLayout layout(std::string_view name) {
    return {name, kBlock, kBytes, 0, false, check, nullptr, nullptr, to_trits, from_trits};
  }
};

}  // namespace

const PackedLayout kTQ1_0 = Base3<Stage<32, 5>, Stage<16, 5>, Stage<4, 4>>::layout("TQ1_0");
const PackedLayout kPTQ1_0 = Base3<Stage<16, 5>, Stage<8, 5>, Stage<2, 4>>::layout("PTQ1_0");

}  // namespace trit
