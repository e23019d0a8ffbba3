#include "queue/settings.hpp"

#include "base/try.hpp"
#include "queue/message.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace hearth::queues {

namespace json = boost::json;

namespace {

enum class kind { number, boolean, scope, throughput, redrive, redrive_allow, text, read_only };

struct attribute {
    std::string_view name;
    kind what;
    std::int64_t min = 0, max = 0;
    std::string_view standard{};  ///< empty: none
    bool fifo_only = false;
};

constexpr attribute known[] = {
    {"DelaySeconds", kind::number, 0, 900, "0"},
    {"MaximumMessageSize", kind::number, 1024, max_message_bytes, "262144"},
    {"MessageRetentionPeriod", kind::number, 60, 1'209'600, "345600"},
    {"ReceiveMessageWaitTimeSeconds", kind::number, 0, 20, "0"},
    {"VisibilityTimeout", kind::number, 0, 43'200, "30"},
    {"Policy", kind::text},
    {"RedrivePolicy", kind::redrive},
    {"RedriveAllowPolicy", kind::redrive_allow},
    {"KmsMasterKeyId", kind::text},
    {"KmsDataKeyReusePeriodSeconds", kind::number, 60, 86'400},
    {"SqsManagedSseEnabled", kind::boolean, 0, 0, "false"},
    {"FifoQueue", kind::boolean, 0, 0, {}, true},
    {"ContentBasedDeduplication", kind::boolean, 0, 0, "false", true},
    {"DeduplicationScope", kind::scope, 0, 0, "queue", true},
    {"FifoThroughputLimit", kind::throughput, 0, 0, "perQueue", true},
    {"ApproximateNumberOfMessages", kind::read_only},
    {"ApproximateNumberOfMessagesNotVisible", kind::read_only},
    {"ApproximateNumberOfMessagesDelayed", kind::read_only},
    {"CreatedTimestamp", kind::read_only},
    {"LastModifiedTimestamp", kind::read_only},
    {"QueueArn", kind::read_only},
};

const attribute* find(std::string_view name) noexcept {
    const auto at = std::ranges::find(known, name, &attribute::name);
    return at == std::end(known) ? nullptr : at;
}

std::optional<std::int64_t> number(std::string_view text) {
    std::int64_t n = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return n;
}

struct redrive_policy {
    std::string target;
    std::int64_t max_receives = 0;
};

/// {"deadLetterTargetArn": "…", "maxReceiveCount": 5 or "5"}
std::optional<redrive_policy> read_redrive(std::string_view text) {
    json::error_code ec;
    const json::value v = json::parse(json::string_view(text.data(), text.size()), ec);
    if (ec || !v.is_object()) return std::nullopt;
    const json::value* target = v.get_object().if_contains("deadLetterTargetArn");
    const json::value* count = v.get_object().if_contains("maxReceiveCount");
    if (!target || !target->is_string() || !count) return std::nullopt;
    redrive_policy p{.target = std::string(target->get_string())};
    std::optional<std::int64_t> n;
    if (count->is_int64()) n = count->get_int64();
    if (count->is_string()) n = number(std::string_view(count->get_string()));
    if (!n || *n < 1 || *n > 1000) return std::nullopt;
    p.max_receives = *n;
    return p;
}

struct allow_policy {
    settings::sources allowed = settings::sources::all;
    std::vector<std::string> arns;
};

std::optional<allow_policy> read_allow(std::string_view text) {
    json::error_code ec;
    const json::value v = json::parse(json::string_view(text.data(), text.size()), ec);
    if (ec || !v.is_object()) return std::nullopt;
    const json::value* permission = v.get_object().if_contains("redrivePermission");
    const json::value* arns = v.get_object().if_contains("sourceQueueArns");
    if (!permission || !permission->is_string()) return std::nullopt;
    allow_policy p;
    const auto& said = permission->get_string();
    if (said == "byQueue") {
        if (!arns || !arns->is_array() || arns->get_array().empty() ||
            arns->get_array().size() > 10)
            return std::nullopt;
        p.allowed = settings::sources::listed;
        for (const json::value& each : arns->get_array()) {
            if (!each.is_string()) return std::nullopt;
            p.arns.emplace_back(each.get_string());
        }
        return p;
    }
    if (arns || (said != "allowAll" && said != "denyAll")) return std::nullopt;
    if (said == "denyAll") p.allowed = settings::sources::none;
    return p;
}

error bad(std::string_view name) {
    return fail(queue_errc::invalid_attribute_value,
                "Invalid value for the parameter " + std::string(name) + ".");
}
error unknown(std::string_view name) {
    return fail(queue_errc::invalid_attribute_name, "Unknown Attribute " + std::string(name) + ".");
}

bool can_be_empty(kind what) {
    return what == kind::redrive || what == kind::redrive_allow || what == kind::text;
}

result<void> check(const attribute& a, std::string_view value) {
    if (value.empty() && can_be_empty(a.what)) return {};
    bool fits = true;
    switch (a.what) {
        case kind::number: {
            const auto n = number(value);
            fits = n && *n >= a.min && *n <= a.max;
            break;
        }
        case kind::boolean:
            fits = value == "true" || value == "false";
            break;
        case kind::scope:
            fits = value == "queue" || value == "messageGroup";
            break;
        case kind::throughput:
            fits = value == "perQueue" || value == "perMessageGroupId";
            break;
        case kind::redrive:
            fits = read_redrive(value).has_value();
            break;
        case kind::redrive_allow:
            fits = read_allow(value).has_value();
            break;
        case kind::text:
            fits = value.size() <= 64 * 1024;
            break;
        case kind::read_only:
            return unknown(a.name);
    }
    if (!fits) return bad(a.name);
    return {};
}

/// What is said takes the place of what was.
result<void> apply(queue_attributes& to, const queue_attributes& changes, bool is_fifo) {
    for (const auto& [name, value] : changes) {
        const attribute* a = find(name);
        if (!a || (a->fifo_only && !is_fifo)) return unknown(name);
        HEARTH_CHECK(check(*a, value));
        if (value.empty())
            to.erase(name);
        else
            to[name] = value;
    }
    if (is_fifo && to["FifoThroughputLimit"] == "perMessageGroupId" &&
        to["DeduplicationScope"] != "messageGroup")
        return bad("FifoThroughputLimit");
    return {};
}

}  // namespace

result<void> check_queue_name(std::string_view name, bool is_fifo) {
    std::string_view stem = name;
    if (name.ends_with(".fifo")) stem.remove_suffix(5);
    const bool is_word = !stem.empty() && std::ranges::all_of(stem, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    });
    if (is_word && name.size() <= 80 && (stem.size() != name.size()) == is_fifo) return {};
    return fail(queue_errc::invalid_parameter_value,
                is_fifo ? "The name of a FIFO queue can only include alphanumeric characters, "
                          "hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in "
                          "length."
                        : "Can only include alphanumeric characters, hyphens, or underscores. 1 to "
                          "80 in length");
}

result<settings> make_settings(const queue_attributes& given) {
    const auto said = given.find("FifoQueue");
    const bool is_fifo = said != given.end();
    // AWS: the only valid value is true.
    if (is_fifo && said->second != "true") return bad("FifoQueue");
    queue_attributes values;
    for (const attribute& a : known)
        if (!a.standard.empty() && (is_fifo || !a.fifo_only)) values.emplace(a.name, a.standard);
    HEARTH_CHECK(apply(values, given, is_fifo));
    return read_settings(std::move(values));
}

result<settings> change_settings(const settings& from, const queue_attributes& changes) {
    const auto said = changes.find("FifoQueue");
    if (said != changes.end() && !(from.is_fifo && said->second == "true"))
        return from.is_fifo ? bad("FifoQueue") : unknown("FifoQueue");
    queue_attributes values = from.values;
    HEARTH_CHECK(apply(values, changes, from.is_fifo));
    return read_settings(std::move(values));
}

settings read_settings(queue_attributes values) {
    settings s;
    const auto text = [&](std::string_view name) -> std::string_view {
        const auto at = values.find(name);
        return at == values.end() ? std::string_view() : at->second;
    };
    const auto seconds = [&](std::string_view name) {
        return std::chrono::seconds(number(text(name)).value_or(0));
    };
    s.is_fifo = text("FifoQueue") == "true";
    s.deduplicates_by_content = text("ContentBasedDeduplication") == "true";
    s.deduplicates_in_group = text("DeduplicationScope") == "messageGroup";
    s.delay = seconds("DelaySeconds");
    s.visibility = seconds("VisibilityTimeout");
    s.wait = seconds("ReceiveMessageWaitTimeSeconds");
    s.retention = seconds("MessageRetentionPeriod");
    s.max_bytes = static_cast<std::size_t>(number(text("MaximumMessageSize")).value_or(0));
    if (auto p = read_redrive(text("RedrivePolicy"))) {
        s.dead_letter_target = std::move(p->target);
        s.max_receives = static_cast<std::uint32_t>(p->max_receives);
    }
    if (auto p = read_allow(text("RedriveAllowPolicy"))) {
        s.allowed_sources = p->allowed;
        s.listed_sources = std::move(p->arns);
    }
    s.values = std::move(values);
    return s;
}

std::string to_json(const std::map<std::string, std::string, std::less<>>& values) {
    json::object o;
    for (const auto& [name, value] : values) o[name] = value;
    return json::serialize(o);
}

std::map<std::string, std::string, std::less<>> from_json(std::string_view text) {
    std::map<std::string, std::string, std::less<>> values;
    json::error_code ec;
    const json::value v = json::parse(json::string_view(text.data(), text.size()), ec);
    if (ec || !v.is_object()) return values;
    for (const auto& [name, value] : v.get_object())
        if (value.is_string()) values.emplace(name, value.get_string());
    return values;
}

}  // namespace hearth::queues

namespace hearth {

bool is_queue_attribute(std::string_view name) noexcept { return queues::find(name) != nullptr; }

}  // namespace hearth
