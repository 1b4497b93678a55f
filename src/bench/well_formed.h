#pragma once
// For tests alone: whether a text is well-formed XML, as far as drawings need it.

#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace trit::bench {

class XmlChecker {
 public:
  explicit XmlChecker(std::string_view text) : text_(text) {}

  std::string error() {
    if (text_.starts_with("<!DOCTYPE html>")) at_ = 15;
    while (problem_.empty() && at_ < text_.size()) text_[at_] == '<' ? tag() : character();
    if (problem_.empty() && (!open_.empty() || !rooted_)) fail("an element is not closed");
    return problem_;
  }

 private:
  void fail(const std::string& what) {
    if (problem_.empty()) problem_ = what + " at " + std::to_string(at_);
  }
  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  std::string name() {
    std::string found;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                  text_[at_] == '-' || text_[at_] == ':'))
      found += text_[at_++];
    if (found.empty()) fail("no name");
    return found;
  }
  void entity() {
    for (const char* known : {"&amp;", "&lt;", "&gt;", "&quot;"})
      if (take(known)) return;
    fail("no entity");
  }
  void character() {
    const char c = text_[at_];
    if (c == '&') return entity();
    if (open_.empty() && c != '\n') return fail("text outside an element");
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') return fail("control byte");
    ++at_;
  }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  void tag() {
    ++at_;
    if (take("/")) {
      const std::string closed = name();
      if (!take(">") || open_.empty() || open_.back() != closed) return fail("wrong end tag");
      return open_.pop_back();
    }
    if (open_.empty() && rooted_) return fail("a second root");
    rooted_ = true;
    const std::string element = name();
    attributes();
    if (take("/>")) return;
    if (!take(">")) return fail("tag does not end");
    open_.push_back(element);
  }
  void attributes() {
    std::set<std::string> seen;
    for (space(); problem_.empty() && at_ < text_.size() && text_[at_] != '>' && text_[at_] != '/';
         space()) {
      if (!seen.insert(name()).second) return fail("attribute twice");
      if (!take("=\"")) return fail("attribute without a quoted value");
      while (problem_.empty() && at_ < text_.size() && text_[at_] != '"') {
        if (text_[at_] == '<') return fail("< in an attribute");
        text_[at_] == '&' ? entity() : void(++at_);
      }
      if (!take("\"")) return fail("attribute does not end");
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  bool rooted_ = false;
  std::string problem_;
  std::vector<std::string> open_;
};

// "" when it is, else what is wrong and where.
inline std::string xml_error(std::string_view text) { return XmlChecker(text).error(); }

}  // namespace trit::bench
