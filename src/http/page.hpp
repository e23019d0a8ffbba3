#pragma once

/// The page to look at: the files of src/http/page, embedded. They hold no data and need no key;
/// what they show and do goes through the API, status.hpp included. Pure.

#include "http/reply.hpp"

#include <span>
#include <string_view>

namespace hearth::http {

struct page_file {
    std::string_view path, text;
};
std::span<const page_file> page_files() noexcept;

/// One of them; empty: the page itself. `if_none_match` is the request's header.
reply get_page(std::string_view path, std::string_view if_none_match);

}  // namespace hearth::http
