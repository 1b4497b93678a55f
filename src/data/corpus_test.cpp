#include "data/corpus.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "base/test_folder.h"
#include "data/byte_reader.h"

namespace trit {
namespace {

using Documents = std::vector<std::string>;

std::string gzipped(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_inBuffer input{text.data(), text.size(), 0};
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  // Compressed as a stream of unknown length, so that the frame asks for the whole window.
  EXPECT_EQ(ZSTD_isError(ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue)), 0u);
  EXPECT_EQ(ZSTD_compressStream2(context, &output, &input, ZSTD_e_end), 0u);
  out.resize(output.pos);
  ZSTD_freeCCtx(context);
  return out;
}

class Corpus : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(directory_); }
  Path file(const std::string& name, const std::string& content) {
    write_text(directory_ / name, content);
    return directory_ / name;
  }
  static Documents read(const Path& path, const CorpusOptions& options = {}) {
    Documents documents;
    for_each_document(path, options, [&](std::string_view d) { documents.emplace_back(d); });
    return documents;
  }
  std::string error_of(const Path& path, const CorpusOptions& options = {}) {
    try {
      read(path, options);
      return "none";
    } catch (const Error& error) {
      const std::string text = error.what();
      const std::string prefix = directory_.string() + "/";
      return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
    }
  }
  Path directory_ = test_folder() / "corpus_test";
};

const char* const kText =
    "one\ntwo\n<|endoftext|>\n\n\nthree\r\n<|endoftext|>\r\n<|endoftext|>\nfour";
const Documents kTextDocuments = {"one\ntwo", "three", "four"};
const char* const kRows = R"({"kind": "story", "text": "A tale.\nTwo lines."})"
                          "\n\n"
                          R"({"kind": "poem", "text": ""})"
                          "\n"
                          R"({"kind": "poem", "text": "Ünder\u00fc \ud83d\udc15"})"
                          "\n";

TEST_F(Corpus, TextIsCutAtBoundaries) {
  EXPECT_EQ(read(file("a.txt", kText)), kTextDocuments);
  EXPECT_EQ(read(file("b.txt", "\xEF\xBB\xBFx <|endoftext|>\n")), (Documents{"x <|endoftext|>"}));
  EXPECT_EQ(read(file("c.txt", "")), Documents{});
  EXPECT_EQ(read(file("d.txt", "\n\n<|endoftext|>")), Documents{});
}

// Rows as RedPajama and SlimPajama have them, and those of other mixtures.
TEST_F(Corpus, FindsMembersByPaths) {
  const Path path =
      file("pajama.jsonl",
           R"({"text": "a", "meta": {"red_pajama_subset": "arxiv", "url": {"of": "x"}}})"
           "\n"
           R"({"text": "b", "meta": {"red_pajama_subset": "c4"}, "meta.red_pajama_subset": "book"})"
           "\n");
  const auto of = [&](const char* member, const char* value) {
    return read(path, {.where = {{member, {value}}}});
  };
  EXPECT_EQ(of("meta.red_pajama_subset", "arxiv"), Documents{"a"});
  EXPECT_EQ(of("meta.red_pajama_subset", "book"), Documents{"b"});
  EXPECT_EQ(read(path, {.field = "meta.red_pajama_subset"}), (Documents{"arxiv", "book"}));
  EXPECT_NE(
      error_of(path, {.field = "meta.url.of"}).find("pajama.jsonl:2: it has neither a member"),
      std::string::npos);
  EXPECT_NE(error_of(path, {.field = "text.of"}).find("nor an object \"text\""), std::string::npos);
}

TEST_F(Corpus, MixesByWeights) {
  std::string rows;
  for (int i = 0; i < 1000; ++i) {
    rows +=
        fmt::format(R"({{"text": "{0} {1}", "source": "{0}"}})", i % 2 == 0 ? "web" : "book", i);
    rows += '\n';
  }
  const Path path = file("mix.jsonl", rows);
  const auto count = [&](const CorpusOptions& options, const std::string& part) {
    const Documents all = read(path, options);
    return std::ranges::count_if(all, [&](const auto& text) { return text.starts_with(part); });
  };
  const CorpusOptions mix = {.mix_by = "source", .mix = {{"web", 0.25}, {"book", 2.5}}};
  EXPECT_NEAR(count(mix, "web"), 125, 40);
  EXPECT_NEAR(count(mix, "book"), 1250, 40);
  EXPECT_EQ(read(path, mix), read(path, mix));
  const CorpusOptions whole = {.mix_by = "source", .mix = {{"web", 0}, {"book", 3}}};
  EXPECT_EQ(count(whole, "web"), 0);
  EXPECT_EQ(count(whole, "book"), 1500);
  EXPECT_EQ(count({.mix_by = "source", .mix = {{"other", 0}}}, ""), 1000);
}

TEST_F(Corpus, AreFoundInDirectories) {
  const Path folder = directory_ / "folder";
  std::filesystem::create_directories(folder / "inner");
  for (const char* name : {"b.jsonl", "inner/a.txt", "c.parquet", "a.jsonl.zst", "notes.zst"})
    write_text(folder / name, "");
  EXPECT_EQ(corpus_files(folder), (std::vector<Path>{folder / "a.jsonl.zst", folder / "b.jsonl",
                                                     folder / "inner/a.txt"}));
  std::filesystem::create_directories(directory_ / "empty");
  EXPECT_THROW(corpus_files(directory_ / "empty"), Error);
}

TEST_F(Corpus, JsonLines) {
  const Path path = file("a.jsonl", kRows);
  EXPECT_EQ(read(path), (Documents{"A tale.\nTwo lines.", "Ünderü 🐕"}));
  EXPECT_EQ(read(path, {.field = "kind"}), (Documents{"story", "poem", "poem"}));
  EXPECT_EQ(read(path, {.where = {{"kind", {"story", "x"}}}}), (Documents{"A tale.\nTwo lines."}));
  EXPECT_EQ(read(path, {.where = {{"kind", {"x"}}}}), Documents{});
}

TEST_F(Corpus, CompressedIsTheSame) {
  EXPECT_EQ(read(file("a.txt.gz", gzipped(kText))), kTextDocuments);
  EXPECT_EQ(read(file("a.txt.zst", zstd(kText))), kTextDocuments);
  EXPECT_EQ(read(file("a.jsonl.zst", zstd(kRows))).size(), 2u);
  const std::string text(kText);
  const std::string head = text.substr(0, 20), tail = text.substr(20);
  EXPECT_EQ(read(file("b.txt.zst", zstd(head) + zstd(tail))), kTextDocuments);
  EXPECT_EQ(read(file("b.txt.gz", gzipped(head) + gzipped(tail))), kTextDocuments);
}

TEST_F(Corpus, WideZstdWindows) {
  const std::string text(100000, 'w');
  EXPECT_EQ(read(file("wide.txt.zst", zstd(text, 30))), Documents{text});
}

TEST_F(Corpus, LinesAndDocumentsCrossBuffers) {
  Rng rng(7);
  Documents documents;
  std::string text;
  for (int i = 0; i < 40; ++i) {
    std::string document;
    for (uint64_t n = rng.below(60); n > 0; --n) {
      document += std::string(1 + rng.below(5000), static_cast<char>('a' + rng.below(26))) + "\n";
    }
    document += "end";
    text += document + "\n<|endoftext|>\n";
    documents.push_back(std::move(document));
  }
  ASSERT_GT(text.size(), size_t{2} << 20);
  EXPECT_EQ(read(file("long.txt", text)), documents);
  EXPECT_EQ(read(file("long.txt.gz", gzipped(text))), documents);
  EXPECT_EQ(read(file("long.txt.zst", zstd(text))), documents);
}

TEST_F(Corpus, TruncatedArchivesAreErrors) {
  for (const auto& [name, whole] :
       {std::pair{"cut.txt.gz", gzipped(kText)}, {"cut.txt.zst", zstd(kText)}}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      const std::string error = error_of(file(name, whole.substr(0, size)));
      EXPECT_TRUE(error.starts_with(name)) << size << ": " << error;
    }
    EXPECT_NE(error_of(file(name, whole.substr(0, 40))).find("data is truncated"),
              std::string::npos);
  }
}

TEST_F(Corpus, GarbledArchivesAreErrors) {
  EXPECT_EQ(error_of(file("x.txt.gz", "plain text")), "x.txt.gz: not a gzip file");
  EXPECT_EQ(error_of(file("x.txt.zst", "plain text")),
            "x.txt.zst: not valid Zstandard data: Unknown frame descriptor");
  std::string broken = gzipped(std::string(5000, 'a') + kText);
  broken[broken.size() - 6] ^= 1;  // its check sum
  EXPECT_EQ(error_of(file("y.txt.gz", broken)).substr(0, 30), "y.txt.gz: not valid gzip data:");
}

TEST_F(Corpus, BadFilesAndRowsAreErrors) {
  EXPECT_EQ(error_of(directory_ / "none.txt"), "none.txt: no such file");
  std::filesystem::create_directories(directory_ / "dir.txt");
  EXPECT_EQ(error_of(directory_ / "dir.txt"), "dir.txt: is no regular file");
  EXPECT_EQ(error_of(file("a.csv", "x")),
            "a.csv: a corpus is a .txt or .jsonl file, or one of these with .zst or .gz");
  EXPECT_EQ(error_of(file("a.txt", "good\nbad \xFF\n")),
            "a.txt:2: invalid UTF-8 at byte 4 (0xFF); text must be UTF-8");
  EXPECT_EQ(error_of(file("a.jsonl", "{\"text\": \"x\"}\n[]\n")), "a.jsonl:2: not a JSON object");
  const auto row_error = [&](const char* row, const CorpusOptions& options = {}) {
    return error_of(file("a.jsonl", std::string("\n") + row), options);
  };
  for (const char* row : {"{\"txt\": \"x\"}", "{\"text\": 5}", "{\"text\": null}",
                          "{\"text\": \"x\"", "{\"text\": \"\\ud800\"}"}) {
    EXPECT_TRUE(row_error(row).starts_with("a.jsonl:2: ")) << row_error(row);
  }
  EXPECT_NE(row_error("{\"txt\": \"x\"}").find("\"text\""), std::string::npos);
  EXPECT_NE(row_error("{\"text\": \"x\"}", {.where = {{"kind", {"a"}}}}).find("\"kind\""),
            std::string::npos);
}

TEST_F(Corpus, LinesAreBounded) {
  const Path path = file("a.txt.zst", zstd("x\n" + std::string(kMaxLineBytes, 'y') + "\n" +
                                           std::string(kMaxLineBytes + 1, 'y') + "\n"));
  EXPECT_EQ(error_of(path), "a.txt.zst:3: line is longer than 67108864 bytes");
}

}  // namespace
}  // namespace trit
