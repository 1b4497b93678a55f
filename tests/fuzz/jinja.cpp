// Fuzzes chat templates: any bytes are parsed and, when they parse, rendered for one conversation.

#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace trit;
  static const OrderedJson context = OrderedJson::parse(R"({
    "messages": [{"role": "system", "content": " Be kind.\n"}, {"role": "user", "content": "Zo\u00eb \ud83c\udf89"},
                 {"role": "assistant", "content": "<think>x</think>y", "tool_calls": [{"name": "f"}]}],
    "tools": [{"function": {"name": "f", "parameters": {"a": [1, 2.5, null, true]}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "n": 7, "x": 2.5, "s": "a, b\tc"})");
  jinja::Budget budget;
  budget.steps = 20'000;
  budget.bytes = 4 << 20;
  budget.output = 1 << 20;
  jinja::Variables variables;
  for (const auto& [name, value] : context.items())
    variables.values.emplace_back(name, jinja::from_json(budget, value));
  variables.clock = [] { return std::tm{}; };
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    jinja::run(jinja::parse(source, "fuzz"), "fuzz", variables, budget);
  } catch (const Error&) {
  }
  return 0;
}
