#pragma once
// The values that chat templates compute with: those of Python as Jinja shows them. Values are cheap to
// copy and immutable, but for namespaces and the state of a loop.

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace trit::jinja {

// What an operation cannot do. The interpreter catches it and says where in the template it was.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};
template <class... A>
[[noreturn]] void fault(fmt::format_string<A...> format, A&&... arguments) {
  throw Fault(fmt::format(format, std::forward<A>(arguments)...));
}

// What one rendering may use up, so that a hostile template neither hangs nor fills the memory.
struct Budget {
  int64_t steps = 20'000'000;          // evaluated nodes, compared elements
  int64_t bytes = int64_t{256} << 20;  // of all strings and lists that were made
  size_t output = size_t{64} << 20;    // of the text
  void step(int64_t count = 1) {
    if ((steps -= count) < 0) fault("the template computes for too long");
  }
  void allocate(size_t size, size_t times = 1);  // before `times` times `size` bytes are made
};

class Value;
struct Sequence;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;
using Text = std::shared_ptr<const std::string>;

class Value {
 public:
  struct Undefined {
    Text name;  // of what was not there, for errors; may be null
  };
  struct None {};
  // Text that is marked safe for HTML: it escapes the text that + joins it to. Else it is only passed on,
  // compared and printed.
  struct Markup {
    Text text;
    bool operator==(const Markup& other) const { return *text == *other.text; }
  };
  using Storage =
      std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<const Sequence>,
                   std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
                   std::shared_ptr<const Callable>, std::shared_ptr<Loop>, Markup>;

  Value() = default;  // undefined
  Value(None none) : storage_(none) {}
  Value(bool value) : storage_(value) {}
  Value(int64_t value) : storage_(value) {}
  Value(int value) : storage_(int64_t{value}) {}
  Value(double value) : storage_(value) {}
  Value(std::string text) : storage_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(std::shared_ptr<const Sequence> value) : storage_(std::move(value)) {}
  Value(std::shared_ptr<const Dict> value) : storage_(std::move(value)) {}
  Value(std::shared_ptr<Namespace> value) : storage_(std::move(value)) {}
  Value(std::shared_ptr<const Callable> value) : storage_(std::move(value)) {}
  Value(std::shared_ptr<Loop> value) : storage_(std::move(value)) {}
  Value(Markup value) : storage_(std::move(value)) {}
  template <class T>
  Value(T*) = delete;  // a pointer is no boolean
  static Value undefined(std::string_view name);

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&storage_);
  }
  bool is_undefined() const { return get_if<Undefined>() != nullptr; }
  bool is_none() const { return get_if<None>() != nullptr; }
  const std::string* string() const;
  const Sequence* sequence() const;
  const Dict* dict() const;
  const Namespace* name_space() const;
  // An int, or a bool taken for one, as Python does.
  const int64_t* integer(int64_t& room) const;
  bool is_number() const;
  double number() const;  // of what is_number()

  const Storage& storage() const { return storage_; }
  int depth() const;              // of lists and dicts inside each other; 0 for all others
  bool truthy() const;            // bool(x)
  std::string_view type() const;  // Python's name of the type, for errors

 private:
  Storage storage_;
};

// Deeper values are refused, because printing, comparing and freeing them recurses.
inline constexpr int kMaxDepth = 100;

// A list, a tuple, what a dict gives for its keys, values or items (a view), or what Python would compute
// lazily: that can be gone through, no more.
struct Sequence {
  enum class Kind : uint8_t { kList, kTuple, kRange, kView, kLazy };
  Kind kind;
  std::vector<Value> items;
  int depth;
  bool is_indexed() const { return kind <= Kind::kRange; }
  bool is_printed() const { return kind <= Kind::kTuple; }
};
Value make_sequence(Budget& budget, Sequence::Kind kind, std::vector<Value> items);
Value make_list(Budget& budget, std::vector<Value> items);
Value make_tuple(Budget& budget, std::vector<Value> items);
Value make_lazy(Budget& budget, std::vector<Value> items);
Value make_string(Budget& budget, std::string text);

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion; keys differ
  int depth = 1;
  const Value* find(Budget& budget, const Value& key) const;
  const Value* find(std::string_view key) const;
};
// Of equal keys the first place and the last value stay. Throws Fault for a key that is no string, number,
// boolean or none.
Value make_dict(Budget& budget, std::vector<std::pair<Value, Value>> items);

struct Namespace {
  std::vector<std::pair<std::string, Value>> items;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// The arguments of a call, filter or test.
class Args {
 public:
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
  // Argument `index`, which may also be given by `name`; null when it is not given.
  const Value* find(size_t index, std::string_view name) const;
  const Value& need(size_t index, std::string_view name) const;  // Fault when absent
  int64_t integer_or(size_t index, std::string_view name, int64_t fallback) const;
  bool truthy_or(size_t index, std::string_view name, bool fallback) const;
  // Fault when there are more than `count`, or one has a name that is not among `names`.
  void only(size_t count, std::initializer_list<std::string_view> names = {}) const;
};

struct Callable {
  std::string name;
  std::function<Value(Args&)> call;
};

// `loop` inside a for.
struct Loop {
  std::vector<Value> items;
  int64_t index0 = 0;
  int64_t depth0 = 0;
  std::vector<Value> last_changed;
  bool changed_before = false;
  bool ended = false;
  std::function<Value(const Value&)> recurse;  // empty unless the loop is recursive
};

bool equal(Budget& budget, const Value& a, const Value& b);  // a == b
bool less(Budget& budget, const Value& a, const Value& b);   // a < b; Fault for types without order
bool same(const Value& a, const Value& b);                   // a is b

std::string to_text(Budget& budget, const Value& value);  // str(x), and "" of undefined
std::string repr(Budget& budget, const Value& value);     // repr(x)
std::string float_text(double value);                     // repr of a float

// What `for` goes through: items, keys, characters. Fault for what cannot be gone through.
std::vector<Value> elements(Budget& budget, const Value& value);

}  // namespace trit::jinja
