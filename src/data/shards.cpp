#include "data/shards.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "data/shard_format.h"

namespace trit {
namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 48;

const Json& member(const Json& parent, const char* key, Json::value_t type,
                   std::string_view where) {
  if (!parent.is_object() || !parent.contains(key) || parent.at(key).type() != type) {
    bad_input("{}: '{}' is missing or of the wrong type", where, key);
  }
  return parent.at(key);
}

void check_header(const ShardHeader& header, int token_bytes, int64_t count, const Path& path) {
  const ShardHeader right;
  if (std::memcmp(header.magic, right.magic, sizeof right.magic) != 0) {
    bad_input("{}: magic is '{}'; a token shard begins with TRITTOK1", path.string(),
              printable(std::string_view(header.magic, sizeof header.magic)));
  }
  if (header.version != right.version) {
    bad_input("{}: version is {}; this program reads {}", path.string(), header.version,
              right.version);
  }
  if (header.token_bytes != static_cast<uint32_t>(token_bytes)) {
    bad_input("{}: token_bytes is {}, dataset.json says {}", path.string(), header.token_bytes,
              token_bytes);
  }
  if (header.count != static_cast<uint64_t>(count)) {
    bad_input("{}: count is {}, dataset.json says {}", path.string(), header.count, count);
  }
}

TokenShard open_shard(const Path& path, int token_bytes, int64_t count, int64_t first) {
  TokenShard shard{MappedFile(path), count, first};
  const std::span<const std::byte> bytes = shard.file.bytes();
  ShardHeader header;
  if (bytes.size() < sizeof header) {
    bad_input("{}: {} bytes are too few for a token shard", path.string(), bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  check_header(header, token_bytes, count, path);
  const uint64_t size = sizeof header + static_cast<uint64_t>(count * token_bytes);
  if (bytes.size() != size) {
    bad_input("{}: {} bytes long; its {} tokens need {}", path.string(), bytes.size(), count, size);
  }
  return shard;
}

// Copies as int32 and returns the greatest unsigned value met.
template <class T>
uint32_t widen(const std::byte* source, int64_t count, int32_t* ids) {
  uint32_t greatest = 0;
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, source + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    ids[i] = static_cast<int32_t>(value);
    greatest = std::max<uint32_t>(greatest, value);
  }
  return greatest;
}

}  // namespace

const char* split_name(Split split) { return split == Split::kTrain ? "train" : "valid"; }

TokenDataset TokenDataset::open(const Path& directory) {
  const Path path = directory / "dataset.json";
  const std::string where = path.string();
  const Json root = parse_json(read_text(path, size_t{64} << 20), where);
  if (!root.is_object()) bad_input("{}: not a JSON object", where);
  const std::string format = json_string(root, "format", where);
  if (format != kDatasetFormat) {
    bad_input("{}: format is '{}', not '{}'", where, printable(format), kDatasetFormat);
  }
  json_int(root, "version", where, kDatasetVersion, kDatasetVersion);
  TokenDataset dataset;
  dataset.directory_ = directory;
  DatasetSummary& summary = dataset.summary_;
  summary.vocab_size = static_cast<int32_t>(json_int(root, "vocab_size", where, 1, 1 << 24));
  summary.token_bytes = static_cast<int>(json_int(root, "token_bytes", where, 2, 4));
  const int needed = summary.vocab_size <= kMaxVocabOf16Bits ? 2 : 4;
  if (summary.token_bytes != needed) {
    bad_input("{}: token_bytes is {}; a vocabulary of {} takes {}", where, summary.token_bytes,
              summary.vocab_size, needed);
  }
  const Json& splits = member(root, "splits", Json::value_t::object, where);
  for (const Split split : {Split::kTrain, Split::kValid}) {
    const Json& entry = member(splits, split_name(split), Json::value_t::object, where);
    summary[split] = {json_int(entry, "documents", where, 0, kMaxTokens),
                      json_int(entry, "tokens", where, 0, kMaxTokens),
                      json_int(entry, "bytes", where, 0, kMaxTokens)};
    int64_t first = 0;
    std::vector<TokenShard>& shards = dataset.shards_[static_cast<size_t>(split)];
    for (const Json& shard : member(entry, "shards", Json::value_t::array, where)) {
      const Path file = directory / shard_name(split, shards.size());
      const int64_t count = json_int(shard, "tokens", where, 1, kMaxTokens);
      shards.push_back(open_shard(file, summary.token_bytes, count, first));
      first += count;
    }
    if (first != summary[split].tokens) {
      bad_input("{}: the shards of '{}' have {} tokens together, 'tokens' says {}", where,
                split_name(split), first, summary[split].tokens);
    }
  }
  return dataset;
}

void TokenDataset::read(Split split, int64_t begin, int64_t count, int32_t* ids) const {
  TRIT_CHECK(begin >= 0 && count >= 0 && begin <= tokens(split) - count);
  const std::vector<TokenShard>& all = shards(split);
  auto shard = std::upper_bound(all.begin(), all.end(), begin, [](int64_t position, const auto& s) {
    return position < s.first + s.count;
  });
  for (; count > 0; ++shard) {
    const int64_t offset = begin - shard->first;
    const int64_t part = std::min(count, shard->count - offset);
    const std::byte* source = shard->file.bytes().data() + sizeof(ShardHeader) +
                              static_cast<size_t>(offset * summary_.token_bytes);
    const uint32_t greatest = summary_.token_bytes == 2 ? widen<uint16_t>(source, part, ids)
                                                        : widen<uint32_t>(source, part, ids);
    if (greatest >= static_cast<uint32_t>(vocab_size())) {
      bad_input("{}: token id {} between tokens {} and {}; the vocabulary has {}",
                shard->file.path().string(), greatest, offset, offset + part, vocab_size());
    }
    begin += part, count -= part, ids += part;
  }
}

}  // namespace trit
