#include "http/page.hpp"

#include "http/aws_error.hpp"

#include <hearth/sigv4.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace hearth::http {
namespace {

std::string_view type_of_file(std::string_view path) {
    static constexpr std::pair<std::string_view, std::string_view> types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"}};
    for (const auto& [ending, type] : types)
        if (path.ends_with(ending)) return type;
    return "application/octet-stream";
}

/// Nothing but the page's own files and this server; no text becomes a script, nobody frames it.
constexpr const char* page_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

}  // namespace

reply get_page(std::string_view path, std::string_view if_none_match) {
    if (path.empty()) path = "index.html";
    const auto files = page_files();
    const auto file = std::ranges::find(files, path, &page_file::path);
    if (file == files.end())
        return make_error(aws_error::unknown_operation, "The page has no such file");
    const std::string tag = '"' + sigv4::payload_hash(file->text).substr(0, 32) + '"';
    reply r{.body = std::string(file->text), .content_type = std::string(type_of_file(path))};
    r.headers = {{"ETag", tag},
                 {"Cache-Control", "no-cache"},
                 {"Content-Security-Policy", page_policy},
                 {"X-Content-Type-Options", "nosniff"},
                 {"X-Frame-Options", "DENY"},  // for browsers that know no frame-ancestors
                 {"Referrer-Policy", "no-referrer"},
                 {"Cross-Origin-Opener-Policy", "same-origin"},
                 {"Cross-Origin-Resource-Policy", "same-origin"}};
    if (if_none_match == "*" || if_none_match.find(tag) != if_none_match.npos) {
        r.status = boost::beast::http::status::not_modified;
        r.body.clear();
    }
    return r;
}

}  // namespace hearth::http
