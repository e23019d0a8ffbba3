#pragma once

/// One watched directory: what inotify says, and scans where it cannot say all, become events of
/// the files that differ from what is kept of them (object_states).
///
/// All happens on a thread of its own, one file at a time: the file is looked at, its event given
/// to the sink, and only then its state kept. What fails is tried again, first after a second, then
/// after twice as long each time, up to a minute; it is the directory that remembers what is to be
/// done. A directory that goes away is waited for, and its files are not taken for deleted.

#include "base/unique_fd.hpp"
#include "control/inotify.hpp"
#include "control/object_event.hpp"
#include "control/object_states.hpp"

#include <hearth/directory_watch.hpp>
#include <hearth/error.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

namespace hearth::control {

class directory_watcher {
  public:
    /// Files that wait to be looked at; more of them, and the whole directory is looked at instead.
    static constexpr std::size_t max_waiting = 10'000;

    struct sink {
        /// Makes the event durable. May block.
        std::function<result<void>(std::string payload)> deliver;
        std::function<void(std::string_view message)> tell;
        std::string region, account_id;
    };

    /// `states` outlives it. @errors errc::invalid_argument: no directory
    static result<std::unique_ptr<directory_watcher>> start(directory_watch what,
                                                            object_states& states,
                                                            sink to);
    /// Waits for the file that is being looked at.
    ~directory_watcher();
    directory_watcher(const directory_watcher&) = delete;
    directory_watcher& operator=(const directory_watcher&) = delete;

  private:
    directory_watcher(directory_watch what, object_states& states, sink to);

    // All on the thread.
    void run();
    /// Watches and looks at everything anew.
    void begin();
    void fail(const error& why);
    void read();
    void take(const directory_event& e);
    /// What waits, until it is done or fails.
    void work();
    result<void> look_at_all();
    /// Watches the directory and all below, and looks at their files.
    result<void> look_below(const std::string& directory);
    result<void> look_at(const std::string& key, bool in_scan);
    result<void> report(object_change change);
    [[nodiscard]] bool counts(std::string_view key) const;
    [[nodiscard]] std::filesystem::path path_of(const std::string& key) const;

    const directory_watch what_;
    const std::string id_;
    object_states& states_;
    const sink sink_;
    std::atomic<bool> stopped_ = false;

    boost::asio::io_context io_{1};
    boost::asio::steady_timer timer_{io_};
    std::optional<boost::asio::posix::stream_descriptor> inotify_;
    alignas(8) std::array<std::byte, 64 * 1024> buffer_{};
    int root_ = -1;
    std::map<int, std::string> directories_;  ///< by watch: "" or "a/b/"
    std::set<std::string> waiting_;           ///< keys
    std::set<std::string> waiting_directories_;
    bool all_ = true;       ///< everything is to be looked at
    bool is_known_ = true;  ///< else what is there is taken down silently
    std::chrono::milliseconds back_off_{0};
    std::thread thread_;
};

}  // namespace hearth::control
