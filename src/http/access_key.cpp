#include "http/api_gateway.hpp"
#include "http/cloudwatch_logs.hpp"
#include "http/event_rules.hpp"
#include "http/kinesis.hpp"
#include "http/operations.hpp"
#include "http/sqs.hpp"

#include <hearth/http/access_key.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

namespace hearth::http {
namespace {

/// A signature that was seen can be tried against guessed secrets at leisure.
constexpr std::size_t least_secret = 16;
constexpr std::size_t max_key_id = 128, max_file = 1u << 20;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// `*` anything, `?` any one character. Linear but for the backing up to the last `*`.
bool matches(std::string_view pattern, std::string_view text, bool any_case) {
    std::size_t p = 0, t = 0, star = pattern.npos, resume = 0;
    const auto same = [&](char a, char b) { return any_case ? lower(a) == lower(b) : a == b; };
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++, resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || same(pattern[p], text[t]))) {
            ++p, ++t;
        } else if (star != pattern.npos) {
            p = star + 1, t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

std::string_view trimmed(std::string_view s) {
    const auto from = s.find_first_not_of(" \t\r");
    if (from == s.npos) return {};
    return s.substr(from, s.find_last_not_of(" \t\r") + 1 - from);
}

bool is_word(std::string_view s, std::string_view also) {
    return !s.empty() && std::ranges::all_of(s, [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               also.find(c) != also.npos;
    });
}

/// Lambda's actions stand alone, others behind their service; a pattern is for one or the other,
/// unless it is for all.
bool covers(std::string_view pattern, std::string_view action) {
    const auto has_service = [](std::string_view s) { return s.find(':') != s.npos; };
    return pattern == "*" ||
           (has_service(pattern) == has_service(action) && matches(pattern, action, true));
}

bool is_action(std::string_view pattern) {
    const auto covered = [&](std::string_view name) { return covers(pattern, name); };
    return std::ranges::any_of(action_names(), covered) ||
           std::ranges::any_of(sqs::action_names(), covered) ||
           std::ranges::any_of(api_gateway::action_names(), covered) ||
           std::ranges::any_of(kinesis::action_names(), covered) ||
           std::ranges::any_of(cloudwatch_logs::action_names(), covered) ||
           std::ranges::any_of(event_rules::action_names(), covered);
}

/// The words of "a, b" or "a b"; empty where one is missing between commas.
std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> found;
    while (!text.empty()) {
        const std::string_view word = trimmed(text.substr(0, text.find(',')));
        if (word.empty()) return {};
        found.emplace_back(word);
        const auto comma = text.find(',');
        if (comma == text.npos) return found;
        text.remove_prefix(comma + 1);
        if (trimmed(text).empty()) return {};
    }
    return found;
}

class credentials_reader {
  public:
    explicit credentials_reader(std::string_view name) : name_(name) {}

    result<std::vector<access_key>> read(std::string_view text) {
        while (!text.empty()) {
            const std::string_view line = text.substr(0, text.find('\n'));
            text.remove_prefix(std::min(line.size() + 1, text.size()));
            ++line_;
            if (auto bad = read_line(trimmed(line.substr(0, comment_in(line))))) return *bad;
        }
        if (auto bad = finish_key()) return *bad;
        if (keys_.empty())
            return error(errc::invalid_argument,
                         name_ +
                             " holds no key: begin one with [NAME], then aws_access_key_id, "
                             "aws_secret_access_key and allow");
        return std::move(keys_);
    }

  private:
    [[nodiscard]] error bad(const std::string& what, std::size_t line = 0) const {
        return {errc::invalid_argument,
                name_ + ", line " + std::to_string(line ? line : line_) + ": " + what};
    }

    /// A '#' or ';' that begins the line or follows white space: a secret may hold either.
    static std::size_t comment_in(std::string_view line) {
        for (std::size_t i = 0; i < line.size(); ++i)
            if ((line[i] == '#' || line[i] == ';') &&
                (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t'))
                return i;
        return line.size();
    }

    std::optional<error> read_line(std::string_view line) {
        if (line.empty()) return std::nullopt;
        if (line.front() == '[') return begin_key(line);
        const auto equals = line.find('=');
        // A line without '=' is not quoted: it may be a secret that lost its name.
        if (equals == line.npos) return bad("neither [NAME] nor 'setting = value'");
        if (!open_) return bad("a setting before the first [NAME]: begin a key with [NAME]");
        const std::string_view setting = trimmed(line.substr(0, equals));
        const std::string_view value = trimmed(line.substr(equals + 1));
        access_key& key = keys_.back();
        if (setting == "aws_access_key_id") return read_id(value, key);
        if (setting == "aws_secret_access_key") {
            if (!key.secret_access_key.empty()) return bad("a second aws_secret_access_key");
            if (value.size() < least_secret)
                return bad("aws_secret_access_key is too short to be safe: use at least " +
                           std::to_string(least_secret) +
                           " characters, as 'openssl rand -base64 30' gives");
            key.secret_access_key = value;
            return std::nullopt;
        }
        if (setting == "allow") return read_rule(value, key);
        if (setting == "functions") return read_functions(value, key);
        if (setting == "aws_session_token")
            return bad(
                "aws_session_token: the keys of this file are permanent and have none; "
                "remove the line");
        return bad(
            (is_word(setting, "_-") ? "'" + std::string(setting) + "' is" : "this is") +
            " no setting: there are aws_access_key_id, aws_secret_access_key, allow and functions");
    }

    std::optional<error> begin_key(std::string_view line) {
        if (auto unfinished = finish_key()) return unfinished;
        const std::string_view name =
            line.back() == ']' ? trimmed(line.substr(1, line.size() - 2)) : "";
        if (!is_word(name, "_-.@+=,") || name.size() > 64)
            return bad("a key begins with [NAME]: up to 64 letters, digits and _-.@+=,");
        for (const access_key& other : keys_)
            if (other.name == name) return bad("a second [" + std::string(name) + "]");
        keys_.push_back({.name = std::string(name)});
        open_ = line_;
        return std::nullopt;
    }

    std::optional<error> read_id(std::string_view value, access_key& key) {
        if (!key.access_key_id.empty()) return bad("a second aws_access_key_id");
        if (!is_word(value, "_-") || value.size() > max_key_id)
            return bad("aws_access_key_id is made of up to 128 letters, digits, _ and -");
        const auto [other, is_new] = ids_.emplace(value, line_);
        if (!is_new)
            return bad("this aws_access_key_id stands in line " + std::to_string(other->second) +
                       " already");
        key.access_key_id = value;
        return std::nullopt;
    }

    std::optional<error> read_rule(std::string_view value, access_key& key) {
        std::string spaced(value);
        std::ranges::replace(spaced, '\t', ' ');
        const auto on = spaced.find(" on ");
        allow_rule rule{.actions = words(std::string_view(spaced).substr(0, on))};
        if (on != spaced.npos) rule.functions = words(std::string_view(spaced).substr(on + 4));
        if (rule.actions.empty() || rule.functions.empty())
            return bad(
                "a rule is 'allow = ACTION, … on FUNCTION, …', such as "
                "'allow = InvokeFunction on hello'");
        for (std::string& action : rule.actions) {
            if (action.starts_with("lambda:")) action.erase(0, 7);
            if (is_action(action)) continue;
            return bad("the APIs served have no action '" + action +
                       "': actions are named as in IAM, such as InvokeFunction, Get* or *");
        }
        for (const std::string& function : rule.functions)
            if (!is_word(function, "_-*?./"))
                return bad("'" + function +
                           "' is no function's name or pattern: a name alone, without ARN and "
                           "qualifier, with * and ?");
        key.allow.push_back(std::move(rule));
        return std::nullopt;
    }

    std::optional<error> read_functions(std::string_view value, access_key& key) {
        auto patterns = words(value);
        if (!std::ranges::all_of(patterns, [](const std::string& p) { return is_word(p, "_-*?"); }))
            patterns.clear();
        if (patterns.empty())
            return bad(
                "the functions that have the key are named like 'functions = resize, thumb-*': "
                "names alone, with * and ?");
        key.functions.insert(key.functions.end(), patterns.begin(), patterns.end());
        return std::nullopt;
    }

    std::optional<error> finish_key() {
        if (!open_) return std::nullopt;
        const access_key& key = keys_.back();
        const std::string named = "[" + key.name + "] has no ";
        if (key.access_key_id.empty()) return bad(named + "aws_access_key_id", open_);
        if (key.secret_access_key.empty()) return bad(named + "aws_secret_access_key", open_);
        if (key.allow.empty())
            return bad(named + "allow, so it might do nothing: 'allow = *' lets it do everything",
                       open_);
        return std::nullopt;
    }

    std::string name_;
    std::vector<access_key> keys_;
    std::map<std::string, std::size_t, std::less<>> ids_;  ///< and their lines
    std::size_t line_ = 0;
    std::size_t open_ = 0;  ///< the line where the last key begins
};

}  // namespace

bool allows(const access_key& key, std::string_view action, std::string_view function) {
    return std::ranges::any_of(key.allow, [&](const allow_rule& rule) {
        return std::ranges::any_of(
                   rule.actions,
                   [&](const std::string& pattern) { return covers(pattern, action); }) &&
               std::ranges::any_of(rule.functions, [&](const std::string& pattern) {
                   // What is not about one function is only allowed by what allows all.
                   return function == "*" ? pattern == "*" : matches(pattern, function, false);
               });
    });
}

credentials_source keys_for_functions(const std::vector<access_key>& keys) {
    std::vector<access_key> theirs;
    for (const access_key& key : keys)
        if (!key.functions.empty()) theirs.push_back(key);
    if (theirs.empty()) return nullptr;
    return [theirs = std::move(theirs)](const std::string& function) -> function_credentials {
        for (const access_key& key : theirs)
            if (std::ranges::any_of(key.functions, [&](const std::string& pattern) {
                    return matches(pattern, function, false);
                }))
                return {key.access_key_id, key.secret_access_key, ""};
        return {};
    };
}

result<std::vector<access_key>> parse_access_keys(std::string_view text, std::string_view name) {
    return credentials_reader(name).read(text);
}

result<std::vector<access_key>> read_access_keys(const std::filesystem::path& file) {
    const std::string name = file.string();
    const auto failed = [&](const char* what) {
        return error(errc::invalid_argument, name + ": " + what + ": " + std::strerror(errno));
    };
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(name.c_str(), "re"),
                                                             &std::fclose);
    if (!in) return failed("the credentials cannot be read");
    struct ::stat status {};
    if (::fstat(::fileno(in.get()), &status) != 0) return failed("the credentials cannot be read");
    if (!S_ISREG(status.st_mode))
        return error(errc::invalid_argument, name + ": the credentials are not a regular file");
    if ((status.st_mode & 077) != 0 || (status.st_uid != ::geteuid() && status.st_uid != 0)) {
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777u);
        return error(errc::invalid_argument,
                     name + ": others can read or change the credentials in it (mode " + mode +
                         ", owner " + std::to_string(status.st_uid) +
                         "): it must be this user's own; chmod 600 " + name);
    }
    if (status.st_size > static_cast<off_t>(max_file))
        return error(errc::invalid_argument, name + ": larger than 1 MiB, so no credentials file");
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    text.resize(std::fread(text.data(), 1, text.size(), in.get()));
    if (std::ferror(in.get())) return failed("the credentials cannot be read");
    return parse_access_keys(text, name);
}

}  // namespace hearth::http
