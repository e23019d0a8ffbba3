#pragma once

/// What the file-like system calls share: from a task's numbers and pointers to descriptions and
/// places.

#include "guest/abi/file.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/file_io.hpp"
#include "guest/vfs/filesystem.hpp"
#include "guest/vfs/user_buffers.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::guest::files {

inline vfs::context context_of(task& t) {
    return {t.kernel().state(), t.process(), t.view(), t.kernel().host(), t.kernel().memory()};
}
inline vfs::filesystem& tree_of(task& t) { return t.kernel().filesystem(); }
inline vfs::vfs_state& state_of(task& t) { return t.kernel().state().vfs; }

/// An open descriptor: its description, by id and for now.
struct opened {
    description_id id{};
    vfs::description* description = nullptr;
    vfs::descriptor* descriptor = nullptr;
};
/// EBADF. Descriptions of O_PATH count only when asked for.
outcome<opened> find(task& t, int fd, bool path_only_too = false);

/// EBADF, ENOTSOCK.
outcome<opened> find_socket(task& t, int fd);

/// Whether `install` would find a number now: before something is made that it must not leave
/// behind. EMFILE
outcome<void> check_free_descriptor(task& t);
/// Gives a new description a descriptor, the lowest from `from` on; on EMFILE releases it.
outcome<int> install(task& t, description_id id, bool close_on_exec, int from = 0);
/// Gives both descriptors and stores their numbers at `fds`; all or nothing, and on failure both
/// descriptions are released. pipe(2), socketpair(2).
sysret install_pair(task& t,
                    description_id first,
                    description_id second,
                    bool close_on_exec,
                    guest_ptr<int[2]> fds);
/// The first number that no descriptor may have: RLIMIT_NOFILE.
int descriptor_limit(task& t);
void close_descriptor(task& t, int fd);

/// Where a relative path of an *at call starts. EBADF, ENOTDIR.
outcome<std::string> base_of(task& t, int directory, std::string_view path);

/// A place named by (directory, path), as the *at calls do; with AT_EMPTY_PATH possibly the
/// descriptor itself.
struct place {
    bool is_open = false;    ///< the descriptor itself
    opened open;             ///< then this
    vfs::location location;  ///< else this
    vfs::attributes attr;    ///< either way
};
enum : int { no_follow = 1, empty_path = 2 };
outcome<place> find_place(task& t, int directory, guest_ptr<const char> path, int how);
/// The inode to change: EROFS on read-only trees, EPERM on what has no changeable node.
outcome<vfs::inode_id> changeable(task& t, const place& p);
outcome<vfs::inode_id> changeable(task& t, const vfs::location& l);
outcome<vfs::inode_id> changeable(task& t, const vfs::description& d);

/// A name to make or remove: its directory and what stands there.
struct entry {
    vfs::walked walk;
    vfs::location directory;
};
outcome<entry> find_entry(task& t, int directory, guest_ptr<const char> path);
/// The entry's directory as a tmpfs inode; EROFS.
outcome<vfs::inode_id> changeable_directory(task& t, const entry& e);

/// Segments of readv and friends: EINVAL beyond IOV_MAX or for a negative length, EFAULT; cut at
/// MAX_RW_COUNT.
outcome<std::vector<vfs::segment>> read_segments(task& t,
                                                 guest_ptr<const abi::iovec> iov,
                                                 std::uint64_t count);
/// An offset that a call takes by pointer, or none. EFAULT; EINVAL when negative.
outcome<std::optional<std::uint64_t>> read_offset(task& t, guest_ptr<std::int64_t> from);
/// One buffer, cut at MAX_RW_COUNT. EFAULT beyond user addresses.
outcome<std::vector<vfs::segment>> one_segment(std::uint64_t address, std::uint64_t length);

/// An EAGAIN of a description that may block: parks for `events`, else answers it. `progress`:
/// bytes already moved, which are the answer when a signal comes.
sysret would_block(task& t,
                   description_id id,
                   short events,
                   std::uint64_t progress = 0,
                   std::optional<std::chrono::nanoseconds> timeout = {});

/// Parks until another description has one of the events.
sysret wait_for(task& t, description_id id, short events);
/// SO_RCVTIMEO or SO_SNDTIMEO, when set.
std::optional<std::chrono::nanoseconds> time_limit(const vfs::description& d, int option);

/// SIGPIPE to the caller's thread.
void broken_pipe(task& t);

std::chrono::nanoseconds now_of(task& t);

}  // namespace hearth::guest::files
