#pragma once

/// Rules that invoke functions at times: EventBridge's scheduled rules on the default event bus.
///
/// A rule fires at the times its expression says (UTC); each of its targets then gets an event as
/// an asynchronous invocation, which is on disk before it counts as delivered and is retried like
/// any other. Times at which no process runs with the data directory are not made up for, as those
/// at which a rule is disabled are not; a rule whose time came several times while the machine was
/// asleep fires once.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hearth {

/// Where a rule's events go.
struct rule_target {
    std::string id{};   ///< 1 to 64 of [.\-_A-Za-z0-9], unique in its rule
    std::string arn{};  ///< of a function of this server, with or without a qualifier
    std::string input{};  ///< JSON, 8,192 bytes at most; empty: EventBridge's Scheduled Event
    std::string role_arn{};  ///< kept and shown
    bool operator==(const rule_target&) const = default;
};

struct event_rule {
    std::string name{};  ///< 1 to 64 of [.\-_A-Za-z0-9]
    std::string arn{};
    /// `rate(5 minutes)` or `cron(0 12 ? * MON-FRI *)`: minutes, hours, day of month, month, day of
    /// week and year, with EventBridge's `, - * ? / L W #`.
    std::string schedule_expression{};
    std::string description{};  ///< 512 characters at most
    std::string role_arn{};     ///< kept and shown
    bool enabled = true;
    std::int64_t since = 0;  ///< seconds since 1970: rates are counted from here
    std::vector<rule_target> targets{};  ///< five at most
    std::map<std::string, std::string> tags{};
    bool operator==(const event_rule&) const = default;
};

/// Of PutRule. Fields without a value: the rule's own, or the default for a new one.
struct put_rule_request {
    std::string name{};
    std::optional<std::string> schedule_expression{}, description{}, role_arn{};
    std::optional<bool> enabled{};
    std::map<std::string, std::string> tags{};  ///< of a new rule
};

struct rule_page {
    std::vector<event_rule> rules{};
    std::string next_marker{};
};

/// Of ListRuleNamesByTarget.
struct rule_name_page {
    std::vector<std::string> names{};
    std::string next_marker{};
};

}  // namespace hearth
