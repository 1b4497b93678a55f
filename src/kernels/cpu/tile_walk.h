// The order in which kernels for few rows of activations go through tiles: up to four tiles at a time, cut along
// their inputs into chunks that stay in the L1 cache for all T rows of activations. Sums stand in y between
// chunks, and a chunk prefetches the one that comes after it. A kernel K gives
//
//   K::kRows, K::kTail, K::kMaxChunk           of a tile; blocks of a chunk at most
//   start(tile, blocks, t, y)                  what the sums of a tile begin with
//   chunk<N>(c, t, y)                          adds a chunk of N tiles
//
// Included once by each instruction set inside its anonymous namespace and target region.

struct Chunk {
  const uint8_t* w;     // of the first tile; the next tile's is tile_bytes further on
  const uint8_t* next;  // what to prefetch, likewise
  int64_t tile_bytes, first, blocks;
};

TRIT_INLINE void prefetch(const uint8_t* p) { __builtin_prefetch(p, 0, 3); }

template <int N, class K>
void walk_group(const K& kernel, const uint8_t* w, const uint8_t* after, int64_t blocks, int64_t T,
                int32_t* y, int64_t y_stride) {
  const int64_t tile_bytes = 64 * blocks + K::kTail;
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < N; ++i)
      kernel.start(w + i * tile_bytes, blocks, t, y + t * y_stride + i * K::kRows);
  }
  const int64_t chunks = (blocks + K::kMaxChunk - 1) / K::kMaxChunk;
  for (int64_t i = 0; i < chunks; ++i) {
    const int64_t begin = blocks * i / chunks, end = blocks * (i + 1) / chunks;
    const Chunk c{w + 64 * begin, i + 1 < chunks ? w + 64 * end : after, tile_bytes, begin,
                  end - begin};
    for (int64_t t = 0; t < T; ++t) kernel.template chunk<N>(c, t, y + t * y_stride);
  }
}

template <class K>
void walk_tiles(const K& kernel, const uint8_t* w, int64_t tiles, int64_t blocks, int64_t T,
                int32_t* y, int64_t y_stride) {
  const int64_t tile_bytes = 64 * blocks + K::kTail;
  for (; tiles > 0; tiles -= 4, w += 4 * tile_bytes, y += 4 * K::kRows) {
    const uint8_t* after =
        w + 4 * tile_bytes;  // behind the last tiles mostly the same thread's next
    switch (tiles) {
      case 1:
        return walk_group<1>(kernel, w, after, blocks, T, y, y_stride);
      case 2:
        return walk_group<2>(kernel, w, after, blocks, T, y, y_stride);
      case 3:
        return walk_group<3>(kernel, w, after, blocks, T, y, y_stride);
      default:
        walk_group<4>(kernel, w, after, blocks, T, y, y_stride);
    }
  }
}
