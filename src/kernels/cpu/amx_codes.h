// Codes of ternary tiles (level + 1, a byte each) for AMX, made a few instructions at a time between tile
// multiplications: the two overlap only where they alternate in the program. They go into a ring of a few KB that
// stays in the first cache beside the activations that pass through it:
//
//   [group of 4 inputs][R registers][64 bytes], every register 16 rows of 4 neighbouring inputs
//
// R registers are a panel: 32 or 64 rows. Panels follow each other in the ring, each in whole steps of 64 inputs.
// Included inside an anonymous namespace and a target region. No include guard and no includes, on purpose.

#include "kernels/cpu/avx512_digits.h"

constexpr int64_t kStep = 64;  // inputs of a tile multiplication
constexpr int64_t kStepGroups = 16;
constexpr int64_t kAhead = 2;  // steps from a group that is multiplied to one that is made
constexpr int64_t kRingGroups = 64;

template <int R>
TRIT_INLINE uint8_t* group_at(uint8_t* ring, int64_t group) {
  return ring + (group & (kRingGroups - 1)) * 64 * R;
}

// Intrinsics of tiles do not say that they read and write memory.
TRIT_INLINE void keep_order() { asm volatile("" ::: "memory"); }

TRIT_INLINE void fetch(const uint8_t* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}

// A form makes kUnit inputs of a panel at a time, which it takes from the panel's bytes in their order.
struct TwoBit {
  static constexpr int64_t kRows = 16, kInputs = 16, kUnit = 16;  // of a tile, a block, a unit
  static constexpr int64_t tile_bytes(int64_t blocks) { return 64 * blocks; }

  template <int R>
  struct Source {
    const uint8_t* from;
    int64_t second, third, fourth;  // tiles; the last one in the place of those that are not there
    Source(const uint8_t* w, int64_t tiles, int64_t blocks, int64_t panel)
        : from(w + panel * R * tile_bytes(blocks)) {
      const int64_t last = tiles - 1 - panel * R;
      const auto tile = [&](int64_t i) { return std::min(i, last) * tile_bytes(blocks); };
      second = tile(1), third = tile(2), fourth = tile(3);
    }

    TRIT_INLINE void make(uint8_t* ring, int64_t group) {
      uint8_t* to = group_at<R>(ring, group);
      unpack(from, to);
      unpack(from + second, to + 64);
      if constexpr (R == 4) {
        unpack(from + third, to + 128);
        unpack(from + fourth, to + 192);
      }
      from += 64;
    }

   private:
    static TRIT_INLINE void unpack(const uint8_t* block, uint8_t* to) {
      const __m512i mask = _mm512_set1_epi8(3), four = _mm512_loadu_si512(block);
      fetch(block + 1024);
      _mm512_store_si512(to, _mm512_and_si512(four, mask));
      _mm512_store_si512(to + 64 * R, _mm512_and_si512(_mm512_srli_epi32(four, 2), mask));
      _mm512_store_si512(to + 128 * R, _mm512_and_si512(_mm512_srli_epi32(four, 4), mask));
      _mm512_store_si512(to + 192 * R, _mm512_and_si512(_mm512_srli_epi32(four, 6), mask));
    }
  };
};

struct Base3 {
  static constexpr int64_t kRows = 64, kInputs = 5, kUnit = 20;
  static constexpr int64_t tile_bytes(int64_t blocks) { return 64 * blocks + 128; }

  template <int R>
  struct Source {
    static constexpr int64_t kPanels = 4 / R;  // of a tile
    const uint8_t* from;
    int64_t part;
    DigitLookUp digits = digit_look_up();
    Source(const uint8_t* w, int64_t, int64_t blocks, int64_t panel)
        : from(w + panel / kPanels * tile_bytes(blocks)), part(panel % kPanels) {}

    TRIT_INLINE void make(uint8_t* ring, int64_t group) {
      const __m512i a = block(0), b = block(1), c = block(2), d = block(3);
      from += 256;
      if (R == 4 || part == 0)
        unpack(_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d), ring, group, 0);
      if (R == 4 || part == 1)
        unpack(_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d), ring, group, R == 4 ? 2 : 0);
    }

   private:
    // With its rows in the order in which the unpacking of bytes and words leaves them in theirs.
    TRIT_INLINE __m512i block(int64_t i) const {
      const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
      fetch(from + 2048 + 64 * i);
      return _mm512_permutexvar_epi32(order, _mm512_loadu_si512(from + 64 * i));
    }
    // Two registers of rows, from r on.
    TRIT_INLINE void unpack(__m512i ab, __m512i cd, uint8_t* ring, int64_t group, int64_t r) const {
      const auto at = [&](int64_t i) __attribute__((always_inline)) {
        return group_at<R>(ring, group + i) + 64 * r;
      };
      const auto next = [&](int64_t i) __attribute__((always_inline)) { return at(i) + 64; };
      unpack_rows(_mm512_unpacklo_epi16(ab, cd), digits, at);
      unpack_rows(_mm512_unpackhi_epi16(ab, cd), digits, next);
    }
  };
};

// Makes the codes of a panel. A copy in a loop lives in registers.
template <class Form, int R>
struct Maker {
  typename Form::template Source<R> source;
  int64_t group, end;  // the next to be made, and behind the last one

  // One unit, if groups before `want` are missing; want <= end.
  TRIT_INLINE void make_towards(int64_t want, uint8_t* ring) {
    if (group >= want) return;
    source.make(ring, group);
    group += Form::kUnit / 4;
  }
  void make_to(int64_t want, uint8_t* ring) {
    while (group < std::min(want, end)) make_towards(end, ring);
  }
  // Zeros, up to a whole step.
  void fill_up(int64_t to, uint8_t* ring) {
    for (; group < to; ++group) {
      for (int i = 0; i < R; ++i)
        _mm512_store_si512(group_at<R>(ring, group) + 64 * i, _mm512_setzero_si512());
    }
  }
};
