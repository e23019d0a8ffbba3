#include "http/log_filter.hpp"

#include <algorithm>
#include <utility>

namespace hearth::http {
namespace {

constexpr std::string_view blanks = " \t\r\n";

error not_served(std::string why) {
    return {errc::invalid_argument, "Invalid filter pattern: " + std::move(why)};
}

bool is_word_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (static_cast<unsigned char>(c) & 0x80) != 0;
}

/// Takes one term, in quotes or not, off the front of `rest`.
result<std::string> take_term(std::string_view& rest) {
    std::string term;
    if (rest.starts_with('"')) {
        for (std::size_t i = 1; i < rest.size(); ++i) {
            if (rest[i] == '"') {
                rest.remove_prefix(i + 1);
                return term;
            }
            if (rest[i] == '\\' && i + 1 < rest.size() &&
                (rest[i + 1] == '"' || rest[i + 1] == '\\'))
                ++i;
            term += rest[i];
        }
        return not_served("a quote has no end");
    }
    const auto end = std::min(rest.find_first_of(blanks), rest.size());
    term = rest.substr(0, end);
    rest.remove_prefix(end);
    if (term.size() > 1 && term.starts_with('%') && term.ends_with('%'))
        return not_served(
            "regular expressions (%…%) are not served here; words, \"phrases\", ?optional "
            "and -excluded ones are");
    if (term.empty() || !std::ranges::all_of(term, is_word_character))
        return not_served(
            "the term '" + term +
            "' must stand in double quotes: it has other characters than letters, digits "
            "and _");
    return term;
}

bool has_term(std::string_view message, std::string_view term) {
    return message.find(term) != message.npos;
}

}  // namespace

result<log_filter> log_filter::parse(std::string_view pattern) {
    log_filter filter;
    const auto skip_blanks = [&] {
        pattern.remove_prefix(std::min(pattern.find_first_not_of(blanks), pattern.size()));
    };
    skip_blanks();
    if (pattern.starts_with('{'))
        return not_served(
            "JSON patterns ({ $.name = … }) are not served here; words, \"phrases\", "
            "?optional and -excluded ones are");
    if (pattern.starts_with('['))
        return not_served(
            "patterns of columns ([a, b, …]) are not served here; words, \"phrases\", "
            "?optional and -excluded ones are");
    for (; !pattern.empty(); skip_blanks()) {
        auto* into = &filter.required_;
        if (pattern.front() == '?' || pattern.front() == '-') {
            into = pattern.front() == '?' ? &filter.optional_ : &filter.excluded_;
            pattern.remove_prefix(1);
        }
        auto term = take_term(pattern);
        if (term.has_error()) return term.error();
        if (!term->empty()) into->push_back(std::move(*term));
    }
    return filter;
}

bool log_filter::matches(std::string_view message) const {
    const auto is_in = [&](const std::string& term) { return has_term(message, term); };
    if (!std::ranges::all_of(required_, is_in) || std::ranges::any_of(excluded_, is_in))
        return false;
    if (!required_.empty() || !excluded_.empty() || optional_.empty()) return true;
    return std::ranges::any_of(optional_, is_in);
}

}  // namespace hearth::http
