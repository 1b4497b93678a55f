#pragma once
// Text corpora as streams of documents.

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace trit {

// How to read a .jsonl corpus; .txt has nothing to choose.
struct CorpusOptions {
  std::string field = "text";  // the member that holds the document
  // Member -> permitted values: rows with another value are left out. {{"kind", {"story", "poem"}}}
  std::map<std::string, std::vector<std::string>> where = {};
  // Weights of a mixture, by the value of the member mix_by: how often a row comes, 1 for values that are not named. Of a
  // weight with a fraction, that fraction of the rows comes once more, chosen by a hash of their text.
  std::string mix_by = {};
  std::map<std::string, double> mix = {};
};
// Members are named by a path: "meta.red_pajama_subset" is that of the object "meta", unless the row has a member of
// that very name.

// Corpora in a directory and those below it, in the order of their names: .txt, .jsonl, each also as .zst or .gz.
std::vector<Path> corpus_files(const Path& directory);

// Calls document() for each document of the file, in order; memory is bounded by the longest one.
// By name:
//   .txt    documents end at a line `<|endoftext|>`; line breaks around a document are not part of it
//   .jsonl  one JSON object a line; blank lines are permitted
// each also as .zst or .gz. Empty documents are left out.
// Throws Error naming the file, and the line where there is one, for: another name; a file that is
// missing, truncated or not in the form its name says; invalid UTF-8; a line longer than
// kMaxLineBytes; a document longer than kMaxDocumentBytes; a row without one of the members, or whose
// member is no string.
void for_each_document(const Path& file, const CorpusOptions& options,
                       const std::function<void(std::string_view)>& document);

inline constexpr size_t kMaxLineBytes = size_t{64} << 20;
inline constexpr size_t kMaxDocumentBytes = size_t{1} << 30;

}  // namespace trit
