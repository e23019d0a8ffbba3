#include "sandbox/snapshot_image.hpp"

/// The size of everything that is stored. A change here is a change of the format: the page is in
/// snapshot_format.hpp.
///
/// Sizes are those of libstdc++ on x86-64; with another standard library the build digest alone
/// stands guard.

#if defined(__GLIBCXX__) && !defined(_GLIBCXX_DEBUG)

#define HEARTH_PINNED(type, size)                                                              \
    static_assert(sizeof(type) == (size), #type                                                \
                  " is part of stored snapshots: read \"Versioning\" in snapshot_format.hpp; " \
                  "do not simply edit the number")

namespace hearth::guest {

HEARTH_PINNED(detail::snapshot_image, 1712);

HEARTH_PINNED(vmm::vcpu_state, 160);
HEARTH_PINNED(vmm::fpu_state, 24);
HEARTH_PINNED(vmm::gpa, 8);

HEARTH_PINNED(kernel_state, 1416);
HEARTH_PINNED(part<vfs::fd_table>, 56);
HEARTH_PINNED(part<viewpoint>, 80);
HEARTH_PINNED(part<signal_actions>, 2088);
HEARTH_PINNED(viewpoint, 72);
HEARTH_PINNED(process_state, 672);
HEARTH_PINNED(job_state, 8);
HEARTH_PINNED(task_state, 632);
HEARTH_PINNED(task_waiting, 256);
HEARTH_PINNED(task_exited, 4);
HEARTH_PINNED(wait_state, 256);
HEARTH_PINNED(wait_state::watch, 8);
HEARTH_PINNED(futex_wait, 48);
HEARTH_PINNED(task_signals, 96);
HEARTH_PINNED(signal_action, 32);
HEARTH_PINNED(signal_info, 40);
HEARTH_PINNED(credentials, 96);
HEARTH_PINNED(interval_timer, 24);
HEARTH_PINNED(posix_timer, 56);
HEARTH_PINNED(process_timers, 136);
HEARTH_PINNED(identity, 96);
HEARTH_PINNED(native_exchange, 264);
HEARTH_PINNED(native_event, 200);
HEARTH_PINNED(native_reply, 40);

HEARTH_PINNED(mm::mm_state, 208);
HEARTH_PINNED(mm::vma, 160);
HEARTH_PINNED(mm::protection, 3);
HEARTH_PINNED(mm::file_backing, 80);
HEARTH_PINNED(mm::page_table, 24);
HEARTH_PINNED(mm::file_window, 104);
HEARTH_PINNED(mm::frame_allocator, 176);

HEARTH_PINNED(vfs::vfs_state, 544);
HEARTH_PINNED(vfs::mapped_file, 56);
HEARTH_PINNED(vfs::lock_place, 48);
HEARTH_PINNED(vfs::file_lock, 40);
HEARTH_PINNED(vfs::lock_wait, 88);
HEARTH_PINNED(vfs::tmpfs, 80);
HEARTH_PINNED(vfs::inode, 264);
HEARTH_PINNED(vfs::directory_body, 144);
HEARTH_PINNED(vfs::directory_body::entry, 16);
HEARTH_PINNED(vfs::symlink_body, 32);
HEARTH_PINNED(vfs::fifo_body, 4);
HEARTH_PINNED(vfs::device_body, 16);
HEARTH_PINNED(vfs::file_content, 64);
HEARTH_PINNED(vfs::cow_bytes, 16);
HEARTH_PINNED(vfs::description, 456);
HEARTH_PINNED(vfs::news_owner, 72);
HEARTH_PINNED(vfs::noticed, 40);
HEARTH_PINNED(vfs::tree_node, 48);
HEARTH_PINNED(vfs::tree_file, 64);
HEARTH_PINNED(vfs::tmpfs_file, 16);
HEARTH_PINNED(vfs::open_directory, 48);
HEARTH_PINNED(vfs::path_only, 48);
HEARTH_PINNED(vfs::text_file, 64);
HEARTH_PINNED(vfs::pipe_end, 32);
HEARTH_PINNED(vfs::pair_end, 8);
HEARTH_PINNED(vfs::service_socket, 4);
HEARTH_PINNED(vfs::unconnected_socket, 128);
HEARTH_PINNED(vfs::listening_socket, 224);
HEARTH_PINNED(vfs::datagram_socket, 336);
HEARTH_PINNED(vfs::host_socket, 16);
HEARTH_PINNED(vfs::socket_name, 64);
HEARTH_PINNED(vfs::socket_key, 48);
HEARTH_PINNED(vfs::peer_credentials, 12);
HEARTH_PINNED(vfs::ancillary, 48);
HEARTH_PINNED(vfs::message, 144);
HEARTH_PINNED(vfs::event_counter, 24);
HEARTH_PINNED(vfs::timer_descriptor, 40);
HEARTH_PINNED(vfs::signal_descriptor, 8);
HEARTH_PINNED(vfs::process_descriptor, 16);
HEARTH_PINNED(vfs::epoll_set, 56);
HEARTH_PINNED(vfs::epoll_set::item, 40);
HEARTH_PINNED(vfs::standard_stream, 4);
HEARTH_PINNED(vfs::device, 56);
HEARTH_PINNED(vfs::pipe, 72);
HEARTH_PINNED(vfs::byte_queue, 40);
HEARTH_PINNED(vfs::socket_pair, 688);
HEARTH_PINNED(vfs::socket_pair::direction, 248);
HEARTH_PINNED(vfs::socket_pair::direction::mark, 64);
HEARTH_PINNED(vfs::service_connection, 96);
HEARTH_PINNED(vfs::fd_table, 48);
HEARTH_PINNED(vfs::descriptor, 8);

}  // namespace hearth::guest

#undef HEARTH_PINNED

#endif
