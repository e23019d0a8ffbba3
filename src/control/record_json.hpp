#pragma once

/// A stored function or published version as a JSON document, the form of the database's records.
/// Fields are added, never renamed: a reader takes a default for what an older writer did not know.

#include "control/storage.hpp"

namespace hearth::control {

std::string to_json(const stored_function& function);
std::string to_json(const function_configuration& version);
/// @errors errc::storage_failed: not JSON, or a field of the wrong type; so the next
result<stored_function> from_json(std::string_view text);
std::string to_json(const stored_layer& layer);
result<stored_layer> layer_from_json(std::string_view text);
std::string to_json(const code_signing_config& config);
result<code_signing_config> code_signing_from_json(std::string_view text);
std::string to_json(const event_rule& rule);
result<event_rule> rule_from_json(std::string_view text);
std::string to_json(const http_api& api);
result<http_api> api_from_json(std::string_view text);
std::string to_json(const event_source_mapping& mapping);
result<event_source_mapping> mapping_from_json(std::string_view text);
result<function_configuration> version_from_json(std::string_view text);

}  // namespace hearth::control
