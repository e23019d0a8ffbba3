#include "base/try.hpp"
#include "control/directory_watcher.hpp"
#include "control/object_states.hpp"

#include <hearth/control.hpp>
#include <hearth/directory_watch.hpp>
#include <hearth/observer.hpp>

#include <utility>

namespace hearth {

struct directory_watches::impl {
    std::unique_ptr<control::object_states> states;
    std::vector<std::unique_ptr<control::directory_watcher>> watchers;  // go first
};

directory_watches::directory_watches(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
directory_watches::~directory_watches() = default;
directory_watches::directory_watches(directory_watches&&) noexcept = default;
directory_watches& directory_watches::operator=(directory_watches&&) noexcept = default;

result<directory_watches> directory_watches::start(control_plane& control,
                                                   const std::vector<directory_watch>& what,
                                                   const std::filesystem::path& kept,
                                                   std::shared_ptr<observer> told) {
    if (what.size() > max_watches)
        return error(errc::invalid_argument,
                     "no more than " + std::to_string(max_watches) + " directories are watched");
    auto self = std::make_unique<impl>();
    HEARTH_TRY(self->states, control::object_states::open(kept));
    for (const directory_watch& each : what) {
        HEARTH_CHECK(control.function_arn(each.function));
        HEARTH_TRY(
            auto watcher,
            control::directory_watcher::start(
                each, *self->states,
                {.deliver = [&control,
                             function = each.function](std::string payload) -> result<void> {
                     HEARTH_CHECK(control.enqueue(function, std::move(payload)));
                     return {};
                 },
                 .tell =
                     [told](std::string_view message) {
                         if (told)
                             told->on_log({log_record::severity::warning, "control", message});
                     },
                 .region = control.region(),
                 .account_id = control.account_id()}));
        self->watchers.push_back(std::move(watcher));
    }
    return directory_watches(std::move(self));
}

}  // namespace hearth
