#include "guest/kernel/identity.hpp"

#include "guest/abi/process.hpp"
#include "guest/kernel/parts.hpp"
#include "guest/kernel/signals.hpp"

#include <fmt/format.h>

namespace hearth::guest {
namespace {

void draw_boot_id(identity& id, const std::function<void(std::span<std::byte>)>& random) {
    if (random) random(id.boot_id);
    // A random UUID (RFC 4122, 4.4).
    id.boot_id[6] = (id.boot_id[6] & std::byte{0x0f}) | std::byte{0x40};
    id.boot_id[8] = (id.boot_id[8] & std::byte{0x3f}) | std::byte{0x80};
}

}  // namespace

kernel_state make_initial_state(const initial_parameters& in) {
    kernel_state state;
    state.frames = mm::frame_allocator(in.first_frame, in.end_frame, in.limit_pages);
    state.identity.hostname = in.hostname;
    state.identity.boot_time = in.boot_time;
    draw_boot_id(state.identity, in.random);
    state.running = first_process;

    auto& p = state.processes[first_process];
    p.id = p.group = p.session = first_process;
    p.started = in.boot_time;
    p.actions = parts::add(state, signal_actions{});
    p.uid = p.ids.euid = p.ids.suid = p.ids.fsuid = in.uid;
    p.gid = p.ids.egid = p.ids.sgid = p.ids.fsgid = in.gid;
    p.ids.groups = {in.gid};
    if (in.uid != 0) p.ids.effective = p.ids.permitted = 0;

    constexpr auto none = abi::rlim_infinity;
    constexpr std::uint64_t mib = 1 << 20;
    p.limits = {
        {abi::rlimit_stack, {8 * mib, 8 * mib}},
        {abi::rlimit_core, {0, 0}},  // nowhere to write one
        {abi::rlimit_nofile, {vfs::max_descriptors, vfs::max_descriptors}},
        {abi::rlimit_nproc, {1024, 1024}},  // Lambda's quota of processes and threads
        {abi::rlimit_as, {none, none}},
        {abi::rlimit_memlock, {8 * mib, 8 * mib}},
        {abi::rlimit_sigpending, {signals::queue_limit, signals::queue_limit}},
        {abi::rlimit_msgqueue, {0, 0}},
        {abi::rlimit_nice, {0, 0}},
        {abi::rlimit_rtprio, {0, 0}},
    };

    auto& t = state.tasks[first_process];
    t.tid = t.process = first_process;
    t.name = in.name.substr(0, 15);
    t.files = parts::add(state, vfs::fd_table{});
    t.view = parts::add(state, viewpoint{.working_directory = in.working_directory});
    return state;
}

void renew_identity(kernel_state& state,
                    vmm::guest_memory& memory,
                    const std::function<void(std::span<std::byte>)>& random) {
    draw_boot_id(state.identity, random);
    for (auto& [id, process] : state.processes) {
        if (process.mm.random_bytes.value == 0) continue;
        std::array<std::byte, 16> bytes;
        random(bytes);
        mm::address_space space(process.mm, state.frames, memory);
        (void)space.write(process.mm.random_bytes,
                          bytes);  // unmapped or read-only by now: its affair
    }
    for (auto& [id, d] : state.vfs.descriptions)
        if (auto* socket = std::get_if<vfs::host_socket>(&d.body)) socket->id = 0;
    state.vfs.gone_outside.clear();
    state.native.event.reset();
    state.native.reply.reset();
    state.native.busy = false;
    state.native.restored = true;
}

void forget_retired(kernel_state& state) {
    std::erase_if(state.retired, [&](const mm::mm_state& mm) {
        if (mm.root == vmm::layout::pml4) return false;
        mm::release_tables(mm, state.frames);
        return true;
    });
}

std::string format_boot_id(const identity& id) {
    std::string out;
    for (std::size_t i = 0; i < id.boot_id.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
        out += fmt::format("{:02x}", std::to_integer<unsigned>(id.boot_id[i]));
    }
    return out;
}

}  // namespace hearth::guest
