#include "guest/sys/process_vm.hpp"

#include "guest/kernel/credentials.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/sys/files.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/user_buffers.hpp"

#include <sys/ptrace.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace hearth::guest {
namespace {

using vmm::page_size;

/// Null: ESRCH.
process_state* find_owner(kernel_state& state, int id) {
    const auto thread = state.tasks.find(id);
    const auto it = state.processes.find(thread != state.tasks.end() ? thread->second.process : id);
    return it == state.processes.end() || it->second.ended ? nullptr : &it->second;
}

/// A page of the other process at a time, as Linux pins them: what lies before a bad one is moved.
outcome<std::size_t> move_page(mm::address_space& other,
                               gva at,
                               std::size_t length,
                               vfs::guest_buffers& own,
                               bool into_other) {
    std::array<std::byte, page_size> bytes;
    const std::span<std::byte> part{bytes.data(), length};
    if (!into_other) {
        if (auto r = other.read(at, part); !r) return r.error();
        return own.put(part);
    }
    if (!other.accessible(at, length, true)) return os_error{EFAULT};
    const auto taken = own.take(part);
    if (!taken) return taken.error();
    if (auto r = other.write(at, part.first(*taken)); !r) return r.error();
    return *taken;
}

sysret transfer(task& t,
                int process,
                guest_ptr<const abi::iovec> local,
                std::uint64_t local_count,
                guest_ptr<const abi::iovec> remote,
                std::uint64_t remote_count,
                std::uint64_t flags,
                bool into_other) {
    if (flags) return sysret::error(EINVAL);
    const auto here = files::read_segments(t, local, local_count);
    if (!here) return here.error();
    vfs::guest_buffers own(t.memory(), *here);
    if (own.size() == 0) return 0;
    if (remote_count > abi::iov_max) return sysret::error(EINVAL);
    std::vector<abi::iovec> there(remote_count);
    if (auto r = t.memory().read(remote.address, std::as_writable_bytes(std::span(there))); !r)
        return r.error();
    std::uint64_t wanted = 0;
    for (const auto& part : there) {
        if (part.length > static_cast<std::uint64_t>(INT64_MAX)) return sysret::error(EINVAL);
        wanted |= part.length;
    }
    if (wanted == 0) return 0;

    auto& kernel = t.kernel();
    auto& state = kernel.state();
    process_state* const target = find_owner(state, process);
    if (!target) return sysret::error(ESRCH);
    if (!may_attach(t.process(), *target)) return sysret::error(EPERM);
    vfs::file_pages shared(state, kernel.memory());
    mm::address_space other(memory_of(state, *target), state.frames, kernel.memory(), &shared);

    std::int64_t done = 0;
    for (const auto& part : there) {
        std::uint64_t at = part.base;
        for (std::uint64_t left = part.length; left != 0 && own.size() != 0;) {
            const auto length = std::min({left, own.size(), page_size - at % page_size});
            if (at >= mm::user_end.value) return done ? sysret(done) : sysret::error(EFAULT);
            const auto moved =
                move_page(other, gva{at}, static_cast<std::size_t>(length), own, into_other);
            if (!moved) return done ? sysret(done) : sysret(moved.error());
            done += static_cast<std::int64_t>(*moved);
            if (*moved != length) return done;
            at += length;
            left -= length;
        }
    }
    return done;
}

}  // namespace

sysret sys_process_vm_readv(task& t,
                            int process,
                            guest_ptr<const abi::iovec> local,
                            std::uint64_t local_count,
                            guest_ptr<const abi::iovec> remote,
                            std::uint64_t remote_count,
                            std::uint64_t flags) {
    return transfer(t, process, local, local_count, remote, remote_count, flags, false);
}

sysret sys_process_vm_writev(task& t,
                             int process,
                             guest_ptr<const abi::iovec> local,
                             std::uint64_t local_count,
                             guest_ptr<const abi::iovec> remote,
                             std::uint64_t remote_count,
                             std::uint64_t flags) {
    return transfer(t, process, local, local_count, remote, remote_count, flags, true);
}

sysret sys_ptrace(task& t, std::int64_t request, int process) {
    if (request == PTRACE_TRACEME) return sysret::error(EPERM);
    if (!find_owner(t.kernel().state(), process)) return sysret::error(ESRCH);
    const bool begins = request == PTRACE_ATTACH || request == PTRACE_SEIZE;
    return sysret::error(begins ? EPERM : ESRCH);
}

}  // namespace hearth::guest
