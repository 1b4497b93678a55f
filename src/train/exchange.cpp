#include "train/exchange.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/reduce.h"
#include "base/thread_pool.h"

namespace trit {
namespace {

// On the way a level is the code level + 1 of the canonical packing; four stand in a byte, the first lowest.
constexpr int64_t code_bytes(int64_t levels) { return (levels + 3) / 4; }

void pack_codes(std::span<const int8_t> levels, std::byte* bytes) {
  for (size_t i = 0; i < levels.size(); i += 4) {
    unsigned byte = 0;
    for (size_t j = 0; j < 4 && i + j < levels.size(); ++j)
      byte |= static_cast<unsigned>(levels[i + j] + 1) << (2 * j);
    *bytes++ = static_cast<std::byte>(byte);
  }
}

using Quad = std::array<int8_t, 4>;
std::array<Quad, 256> make_quads() {
  std::array<Quad, 256> quads{};
  for (size_t byte = 0; byte < quads.size(); ++byte) {
    for (size_t j = 0; j < 4; ++j)
      quads[byte][j] = static_cast<int8_t>(static_cast<int>(byte >> (2 * j) & 3) - 1);
  }
  return quads;
}

void unpack_codes(const std::byte* bytes, std::span<int8_t> levels) {
  static const std::array<Quad, 256> kQuads = make_quads();
  for (size_t i = 0; i < levels.size(); i += 4, ++bytes)
    std::memcpy(levels.data() + i, kQuads[static_cast<size_t>(*bytes)].data(),
                std::min<size_t>(4, levels.size() - i));
}

double sum_of_squares(std::span<const float> values) {
  double sums[8] = {}, total = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    sums[i % 8] += value * value;
  }
  for (const double sum : sums) total += sum;
  return total;
}

template <class T>
auto part_of(std::span<T> flat, Stretch stretch) {
  return flat.subspan(static_cast<size_t>(stretch.begin), static_cast<size_t>(stretch.size()));
}

}  // namespace

Exchange::Exchange(Collectives& ranks, const Config& config)
    : ranks_(ranks),
      table_(tensor_table(config)),
      kind_(config.weights),
      shares_(table_, ranks.size()),
      piece_bytes_(static_cast<size_t>(ranks.size())),
      pieces_of_row_(table_.size()) {
  for (int b = 0; b < shares_.buckets(); ++b) {
    for (int r = 0; r < shares_.ranks(); ++r) {
      for_blocks(table_, shares_.part(b, r), [&](size_t row, Stretch elements) {
        blocks_.push_back({row, elements, r});
        if (is_packed(config, table_[row])) packed_blocks_.push_back(blocks_.back());
      });
    }
  }
  int64_t at = 0;
  for (int r = 0; r < shares_.ranks(); ++r) {
    const int64_t begin = at;
    for (const Stretch& part : shares_.parts(r)) {
      for (size_t row = 0; row < table_.size(); ++row) {
        const int64_t offset = table_[row].offset;
        const Stretch here = common(part, {offset, offset + table_[row].count()});
        if (here.size() == 0) continue;
        const bool packed = is_packed(config, table_[row]);
        pieces_of_row_[row].push_back(pieces_.size());
        pieces_.push_back({row, here, r, packed, at});
        at += packed ? code_bytes(here.size()) : here.size() * static_cast<int64_t>(sizeof(float));
      }
    }
    piece_bytes_[static_cast<size_t>(r)] = at - begin;
  }
}

// What every owner makes of its blocks, in the order of the flat array.
template <class T>
std::vector<T> Exchange::gather(std::span<const Block> blocks,
                                const std::function<T(const Block&)>& make) {
  std::vector<Block> own;
  std::vector<int64_t> bytes(static_cast<size_t>(shares_.ranks()));
  for (const Block& block : blocks) {
    if (block.owner == ranks_.rank()) own.push_back(block);
    bytes[static_cast<size_t>(block.owner)] += static_cast<int64_t>(sizeof(T));
  }
  std::vector<T> mine(own.size()), all(blocks.size()), ordered(blocks.size());
  parallel_for(std::ssize(own), [&](int64_t i) {
    mine[static_cast<size_t>(i)] = make(own[static_cast<size_t>(i)]);
  });
  ranks_.all_gather_parts(std::as_bytes(std::span(mine)), bytes,
                          std::as_writable_bytes(std::span(all)));
  std::vector<size_t> next(bytes.size());
  for (size_t r = 1; r < next.size(); ++r)
    next[r] = next[r - 1] + static_cast<size_t>(bytes[r - 1]) / sizeof(T);
  for (size_t i = 0; i < blocks.size(); ++i)
    ordered[i] = all[next[static_cast<size_t>(blocks[i].owner)]++];
  return ordered;
}

void Exchange::reduce(int bucket, std::span<float> gradients) {
  if (alone()) return;
  reduce_scatter(ranks_, part_of<float>(gradients, shares_.bucket(bucket)), shares_.sizes(bucket),
                 part_of(gradients, shares_.part(bucket, ranks_.rank())), memory_);
}

std::vector<double> Exchange::squares(std::span<const float> gradients) {
  const std::vector<double> sums = gather<double>(blocks_, [&](const Block& block) {
    return sum_of_squares(part_of(gradients, block.elements));
  });
  std::vector<double> groups(static_cast<size_t>(shares_.buckets()));
  int bucket = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    while (blocks_[i].elements.begin >= shares_.bucket(bucket).end) ++bucket;
    groups[static_cast<size_t>(bucket)] += sums[i];
  }
  return groups;
}

// By row of the table, of those that are packed.
std::vector<WeightQuantizer> Exchange::quantizers(const Model& model) {
  const std::span<const float> masters = model.masters();
  const std::vector<WeightSums> sums = gather<WeightSums>(packed_blocks_, [&](const Block& block) {
    return sum_block(part_of(masters, block.elements));
  });
  std::vector<WeightQuantizer> quantizers(table_.size());
  for (size_t begin = 0, end = 0; begin < packed_blocks_.size(); begin = end) {
    const size_t row = packed_blocks_[begin].row;
    while (end < packed_blocks_.size() && packed_blocks_[end].row == row) ++end;
    quantizers[row] = fit_quantizer(kind_, std::span(sums).subspan(begin, end - begin),
                                    table_[row].count(), table_[row].gguf_name);
  }
  return quantizers;
}

QuantisationStats Exchange::renew(Model& model) {
  if (alone()) return model.quantise();
  const std::vector<WeightQuantizer> quantizer_of = quantizers(model);
  const std::span<float> masters = model.masters();
  gathered_.resize(
      static_cast<size_t>(std::accumulate(piece_bytes_.begin(), piece_bytes_.end(), int64_t{0})));
  const auto for_pieces = [&](bool own, const auto& body) {
    parallel_for(std::ssize(pieces_), [&](int64_t i) {
      const Piece& piece = pieces_[static_cast<size_t>(i)];
      if ((piece.owner == ranks_.rank()) == own) body(piece, gathered_.data() + piece.at);
    });
  };

  for_pieces(true, [&](const Piece& piece, std::byte* bytes) {
    const auto values = part_of(masters, piece.elements);
    if (!piece.packed) {
      std::memcpy(bytes, values.data(), values.size_bytes());
      return;
    }
    std::vector<int8_t> levels(values.size());
    quantize_weights(quantizer_of[piece.row], values, levels);
    pack_codes(levels, bytes);
  });
  const auto me = static_cast<size_t>(ranks_.rank());
  const int64_t before =
      std::accumulate(piece_bytes_.begin(), piece_bytes_.begin() + ranks_.rank(), int64_t{0});
  ranks_.all_gather_parts(std::span(gathered_).subspan(static_cast<size_t>(before),
                                                       static_cast<size_t>(piece_bytes_[me])),
                          piece_bytes_, gathered_);
  for_pieces(false, [&](const Piece& piece, const std::byte* bytes) {
    const auto values = part_of(masters, piece.elements);
    if (!piece.packed) std::memcpy(values.data(), bytes, values.size_bytes());
  });
  return model.quantise([&](size_t row, std::span<int8_t> levels) {
    for (const size_t i : pieces_of_row_[row]) {
      const Piece& piece = pieces_[i];
      const Stretch within{piece.elements.begin - table_[row].offset,
                           piece.elements.end - table_[row].offset};
      unpack_codes(gathered_.data() + piece.at, part_of(levels, within));
    }
    return quantizer_of[row].scale;
  });
}

void Exchange::gather_own(std::span<const float> own, std::span<float> all) {
  constexpr int kRoot = 0;
  if (ranks_.rank() != kRoot) {
    ranks_.send(std::as_bytes(own), kRoot);
    return;
  }
  std::vector<float> theirs;
  for (int r = 0; r < shares_.ranks(); ++r) {
    std::span<const float> from = own;
    if (r != kRoot) {
      theirs.resize(static_cast<size_t>(shares_.size(r)));
      ranks_.receive(std::as_writable_bytes(std::span(theirs)), r);
      from = theirs;
    }
    for (const Stretch& part : shares_.parts(r)) {
      std::ranges::copy(from.first(static_cast<size_t>(part.size())), part_of(all, part).begin());
      from = from.subspan(static_cast<size_t>(part.size()));
    }
  }
}

void Exchange::gather_whole(std::span<float> flat) {
  constexpr int kRoot = 0;
  for (int r = 1; r < shares_.ranks(); ++r) {
    for (const Stretch& part : shares_.parts(r)) {
      if (ranks_.rank() == r) ranks_.send(std::as_bytes(part_of(flat, part)), kRoot);
      if (ranks_.rank() == kRoot) ranks_.receive(std::as_writable_bytes(part_of(flat, part)), r);
    }
  }
}

}  // namespace trit
