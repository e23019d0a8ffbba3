#include "control/inotify.hpp"

#include "base/system_error.hpp"

#include <sys/inotify.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace hearth::control {
namespace {

using kind = directory_event::kind;

constexpr std::uint32_t wanted = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                 IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR |
                                 IN_DONT_FOLLOW | IN_EXCL_UNLINK;

std::optional<kind> kind_of(std::uint32_t mask) {
    if (mask & IN_Q_OVERFLOW) return kind::overflow;
    if (mask & IN_IGNORED) return kind::unwatched;
    if (mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) return kind::root_gone;
    if (mask & IN_ISDIR) {
        if (mask & (IN_CREATE | IN_MOVED_TO)) return kind::new_directory;
        if (mask & IN_MOVED_FROM) return kind::lost_directory;
        return std::nullopt;  // its files said so themselves
    }
    if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) return kind::written;
    if (mask & (IN_DELETE | IN_MOVED_FROM)) return kind::gone;
    return std::nullopt;  // IN_CREATE of a file: it is not written yet
}

}  // namespace

std::vector<directory_event> read_directory_events(std::span<const std::byte> bytes) {
    std::vector<directory_event> events;
    while (bytes.size() >= sizeof(inotify_event)) {
        inotify_event e;
        std::memcpy(&e, bytes.data(), sizeof e);
        const std::size_t size = sizeof e + e.len;
        if (size > bytes.size()) break;
        const auto* name = reinterpret_cast<const char*>(bytes.data() + sizeof e);
        if (const auto what = kind_of(e.mask))
            events.push_back({*what, e.wd, std::string(name, ::strnlen(name, e.len))});
        bytes = bytes.subspan(size);
    }
    return events;
}

result<unique_fd> open_inotify() {
    unique_fd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd)
        return system_failure(errc::io_failed,
                              "cannot watch directories (fs.inotify.max_user_instances)");
    return fd;
}

result<int> watch_directory(int inotify, const std::filesystem::path& directory) {
    const int watch = ::inotify_add_watch(inotify, directory.c_str(), wanted);
    if (watch >= 0) return watch;
    const int why = errno;
    if (why == ENOENT || why == ENOTDIR || why == ELOOP)
        return error(errc::not_found, directory.string() + " is no directory");
    return system_failure(errc::io_failed,
                          "cannot watch " + directory.string() +
                              (why == ENOSPC ? " (fs.inotify.max_user_watches)" : ""),
                          why);
}

}  // namespace hearth::control
