#pragma once
// What the environment says about the hub; the same variables that huggingface_hub reads
// (huggingface.co/docs/huggingface_hub/package_reference/environment_variables).

#include <string>

#include "base/file.h"

namespace trit {

struct HubSettings {
  std::string endpoint;  // "https://huggingface.co", without a slash at its end
  std::string token;     // sent to the endpoint's host alone; empty: none
  Path cache;            // the folder of "models--ORG--NAME" folders
  bool offline = false;  // no network at all
};

// HF_ENDPOINT; HF_TOKEN, or the file HF_TOKEN_PATH, or $HF_HOME/token; HF_HUB_CACHE, or $HF_HOME/hub;
// HF_HUB_OFFLINE. HF_HOME is $XDG_CACHE_HOME/huggingface or ~/.cache/huggingface when it is not set.
// An empty variable counts as not set. Throws Error naming a variable that makes no sense.
HubSettings hub_settings();

// HF_HUB_CACHE alone: needs neither token nor endpoint.
Path hub_cache_folder();

// `endpoint` without slashes at its end. Throws Error, naming `where` it was given, unless it is an
// http or https URL of a host.
std::string checked_endpoint(std::string_view endpoint, std::string_view where);

}  // namespace trit
