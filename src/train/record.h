#pragma once
// Options structs as JSON, through the one visit() that names their fields.

#include <string>

#include "base/error.h"
#include "base/json.h"

namespace trit {

// visit(name, field, help) -> a member of a JSON object.
class RecordVisitor {
 public:
  template <class T>
  void operator()(const std::string& name, T& field, const std::string&) {
    record[name] = field;
  }
  OrderedJson record = OrderedJson::object();
};

// The reverse: fields from the members of a JSON object that came from the file `where`.
class RestoreVisitor {
 public:
  RestoreVisitor(const Json& record, std::string where)
      : record_(record), where_(std::move(where)) {}
  template <class T>
  void operator()(const std::string& name, T& field, const std::string&) {
    const auto member = record_.find(name);
    if (member == record_.end()) bad_input("{}: it has no '{}'", where_, name);
    try {
      member->get_to(field);
    } catch (const Json::exception&) {
      bad_input("{}: {} has the value {}, which is of the wrong type", where_, name,
                printable(member->dump()));
    }
  }

 private:
  const Json& record_;
  std::string where_;
};

template <class Options>
OrderedJson record_of(Options options) {
  RecordVisitor visitor;
  options.visit(visitor);
  return visitor.record;
}

}  // namespace trit
