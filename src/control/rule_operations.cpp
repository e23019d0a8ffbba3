/// Scheduled rules, as the control plane's callers see them, and where their events go.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/destination.hpp"
#include "control/events.hpp"
#include "control/rules.hpp"

#include <utility>

namespace hearth {

namespace {

/// The functions of this server, invoked asynchronously.
class event_sink final : public control::rule_sink {
  public:
    explicit event_sink(control_plane::impl& owner) : owner_(owner) {}

    result<void> check(std::string_view arn) override {
        const auto where = control::parse_destination(arn);
        if (where.has_error() || !std::holds_alternative<control::function_destination>(*where))
            return error(errc::invalid_argument,
                         "The target ARN " + std::string(arn) +
                             " is no function's: a rule's targets are functions of this server");
        HEARTH_TRY(const auto name, owner_.parse(arn, {}));
        if (owner_.find_version(name).has_error())
            return error(errc::invalid_argument, "The target ARN " + std::string(arn) +
                                                     " names no function here: create it first");
        return {};
    }

    void deliver(const std::string& arn,
                 std::string payload,
                 std::function<void(error)> done) override {
        auto e = owner_.events_->prepare(arn, std::move(payload), {}, {});
        if (e.has_error()) return done(e.error());
        const auto taken = owner_.events_->accept(std::move(*e), done);
        if (taken.has_error()) done(taken.error());
    }

    void tell(std::string_view message) override { owner_.tell(message); }

  private:
    control_plane::impl& owner_;
};

}  // namespace

result<void> control_plane::impl::open_rules() {
    rule_sink_ = std::make_unique<event_sink>(*this);
    rules_ = std::make_unique<control::rules>(
        *storage_, *rule_sink_, options_.region, options_.account_id,
        [] { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); });
    return rules_->load();
}

result<event_rule> control_plane::put_rule(const put_rule_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    return impl_->rules_->put(request);
}

result<void> control_plane::delete_rule(std::string_view name) {
    if (impl_->draining_) return error(errc::shutting_down);
    return impl_->rules_->remove(name);
}

result<event_rule> control_plane::get_rule(std::string_view name) const {
    return impl_->rules_->get(name);
}

rule_page control_plane::list_rules(std::string_view prefix,
                                    std::string_view marker,
                                    std::size_t max_items) const {
    return impl_->rules_->list(prefix, marker, max_items);
}

result<void> control_plane::enable_rule(std::string_view name, bool enabled) {
    if (impl_->draining_) return error(errc::shutting_down);
    return impl_->rules_->enable(name, enabled);
}

result<void> control_plane::put_targets(std::string_view rule,
                                        const std::vector<rule_target>& targets) {
    if (impl_->draining_) return error(errc::shutting_down);
    return impl_->rules_->put_targets(rule, targets);
}

result<void> control_plane::remove_targets(std::string_view rule,
                                           const std::vector<std::string>& ids) {
    if (impl_->draining_) return error(errc::shutting_down);
    return impl_->rules_->remove_targets(rule, ids);
}

result<void> control_plane::tag_rule(std::string_view rule,
                                     const std::map<std::string, std::string>& tags) {
    if (impl_->draining_) return error(errc::shutting_down);
    return impl_->rules_->tag(rule, tags);
}

result<void> control_plane::untag_rule(std::string_view rule,
                                       const std::vector<std::string>& keys) {
    if (impl_->draining_) return error(errc::shutting_down);
    return impl_->rules_->untag(rule, keys);
}

rule_name_page control_plane::list_rule_names_by_target(std::string_view arn,
                                                        std::string_view marker,
                                                        std::size_t max_items) const {
    return impl_->rules_->names_by_target(arn, marker, max_items);
}

}  // namespace hearth
