#pragma once

/// The value side of files: open file descriptions, pipes, sockets, and the writable trees (/tmp).
/// Everything refers by id, so a copy stands on its own.
///
/// Every description in the arena is held by at least one descriptor of some table (or by the call
/// that is just making it); what it stands for is released with its last reference. So a guest's
/// descriptor limit bounds everything here but tmpfs, which has its own.

#include "guest/kernel/wait_state.hpp"
#include "guest/vfs/description.hpp"
#include "guest/vfs/file_lock.hpp"
#include "guest/vfs/pipe.hpp"
#include "vmm/address.hpp"

#include <cstdint>
#include <map>
#include <vector>

namespace hearth::guest::vfs {

/// A file that shared mappings show: see file_pages.hpp.
struct mapped_file {
    std::uint64_t pages = 0;  ///< of address space, in all processes, that show it
    std::map<std::uint64_t, vmm::gpa> frames;  ///< its pages that stand in guest memory, by number
    bool operator==(const mapped_file&) const = default;
};

struct vfs_state {
    tmpfs files;
    std::vector<inode_id> roots;  ///< of the tmpfs mounts, by the number their mount has
    std::map<description_id, description> descriptions;
    std::map<inode_id, mapped_file> mapped_files;  ///< each counts as open once
    std::map<lock_place, std::vector<file_lock>> locks;  ///< none of an empty list
    std::map<pipe_id, pipe> pipes;
    std::map<pair_id, socket_pair> pairs;
    std::map<std::uint32_t, service_connection> connections;
    /// Sockets by the names they are bound to; several share a port at different addresses.
    std::map<socket_key, std::vector<description_id>> socket_names;
    std::size_t socket_bytes = 0;  ///< in the queues of all sockets but the services' connections
    std::size_t in_flight = 0;     ///< descriptors in those queues
    std::vector<std::uint32_t> gone_outside;  ///< host sockets to be closed; soon
    std::uint32_t next_id = 1;  ///< of descriptions, pipes, pairs and connections alike
    std::uint16_t next_port = 32768;
    std::map<description_id, news_owner> owners;  ///< most descriptions have none
    std::uint32_t epoll_sets =
        0;  ///< how many descriptions are; most guests have none to look through

    bool operator==(const vfs_state&) const = default;

    [[nodiscard]] description* find(description_id id);
    [[nodiscard]] const description* find(description_id id) const;
    /// Takes the references its body implies (a pipe's readers, an inode's opens). Held once.
    description_id add(description d);
    void retain(description_id id);
    /// Drops one reference; with the last one the description goes and what it held is released.
    void release(description_id id);
    /// An id that nothing in this state has.
    std::uint32_t fresh_id();
};

}  // namespace hearth::guest::vfs
