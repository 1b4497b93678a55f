#include "text/chat_template_file.h"

#include "base/error.h"
#include "formats/gguf.h"

namespace trit {

const char* const kBitnetChatTemplate =
    "{% for message in messages %}"
    "{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ message['role'] | capitalize + ': ' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}";

namespace {

constexpr size_t kMaxConfigBytes = size_t{256} << 20;
constexpr const char* kKey = "tokenizer.chat_template";

FoundChatTemplate made(std::string_view source, const std::string& where) {
  if (source.find("BITNETAssistant") == std::string_view::npos)
    return {ChatTemplate(source, where), ""};
  return {ChatTemplate(kBitnetChatTemplate, where),
          fmt::format("{}: its chat template is a placeholder (\"BITNETAssistant\"); the one that "
                      "bitnet-b1.58-2B-4T was trained with is used instead",
                      where)};
}

// Of several templates the one named "default", or the only one.
const Json& default_template(const Json& list, const std::string& where) {
  const Json* found = nullptr;
  std::string names;
  for (const Json& entry : list) {
    if (!entry.is_object())
      bad_input("{}: 'chat_template' holds something else than objects", where);
    const std::string name = json_string(entry, "name", where);
    names += (names.empty() ? "" : ", ") + printable(name);
    if (name == "default" || list.size() == 1) found = &entry;
  }
  if (found == nullptr)
    bad_input("{}: 'chat_template' has no entry named 'default', but: {}", where, names);
  return *found;
}

std::optional<FoundChatTemplate> in_config(const Path& file) {
  const std::string where = file.string();
  const Json config = parse_json(read_text(file, kMaxConfigBytes), where);
  if (!config.is_object() || !config.contains("chat_template")) return std::nullopt;
  const Json& value = config.at("chat_template");
  if (value.is_null() || (value.is_array() && value.empty())) return std::nullopt;
  const std::string field = where + ": chat_template";
  if (value.is_array())
    return made(json_string(default_template(value, where), "template", where), field);
  return made(json_string(config, "chat_template", where), field);
}

}  // namespace

ChatTemplate read_chat_template(const Path& file) {
  return ChatTemplate(read_text(file), file.string());
}

std::optional<FoundChatTemplate> find_chat_template(const Path& path) {
  if (std::filesystem::is_directory(path)) {
    const Path file = path / "chat_template.jinja", config = path / "tokenizer_config.json";
    if (std::filesystem::exists(file)) return made(read_text(file), file.string());
    if (std::filesystem::exists(config)) return in_config(config);
    return std::nullopt;
  }
  const Gguf file = Gguf::open(path);
  if (!file.has(kKey)) return std::nullopt;
  return made(file.get_string(kKey), fmt::format("{}: {}", path.string(), kKey));
}

}  // namespace trit
