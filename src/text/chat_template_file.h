#pragma once
// Where a model keeps its chat template.

#include <optional>
#include <string>

#include "text/chat_template.h"

namespace trit {

struct FoundChatTemplate {
  ChatTemplate chat_template;
  std::string note;  // what the user should know about it; usually empty
};

// The chat template that lies with the model at `path`, if there is one. Of a directory: the file
// chat_template.jinja, else `chat_template` of tokenizer_config.json, which is a string or a list of
// objects {"name", "template"}, of which "default" is meant. Of a GGUF file: the key
// tokenizer.chat_template. Throws Error naming the file when it cannot be read as a template.
//
// Microsoft's GGUF files of bitnet-b1.58-2B-4T carry a placeholder that the model was not trained with
// ("Human: ... BITNETAssistant: "); the true one is put in its place, and the note says so.
std::optional<FoundChatTemplate> find_chat_template(const Path& path);

// A file that holds nothing but a template.
ChatTemplate read_chat_template(const Path& file);

// The template of bitnet-b1.58-2B-4T: "Role: content<|eot_id|>" after each other.
extern const char* const kBitnetChatTemplate;

}  // namespace trit
