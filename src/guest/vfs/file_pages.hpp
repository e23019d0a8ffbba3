#pragma once

/// Files of the writable trees whose pages stand in guest memory, because some process has a
/// mapping of them.
///
/// While a file is mapped, the pages of it that a mapping has touched are frames, and those
/// are what the file holds there: every mapping shows them, and reads and writes by number go
/// through them. `tmpfs` keeps the file's size, its room, and the pages that are no frames. With
/// the last mapping the frames' contents go back there. So a file costs memory while it is mapped,
/// and room always.
///
/// A snapshot has no such frames: their contents go back in the copy, and what maps them finds its
/// page-table entries empty and faults.
///
/// A handle for the length of a call.

#include "guest/kernel/kernel_state.hpp"
#include "guest/mm/shared_files.hpp"
#include "vmm/guest_memory.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hearth::guest::vfs {

class file_pages final : public mm::shared_files {
  public:
    file_pages(kernel_state& state, vmm::guest_memory& memory) noexcept
        : state_(state), memory_(memory) {}

    // -- a file's bytes, wherever they are: as tmpfs's own functions
    [[nodiscard]] std::size_t read(inode_id file, std::uint64_t offset, std::span<std::byte> out);
    outcome<std::size_t> write(inode_id file,
                               std::uint64_t offset,
                               std::span<const std::byte> in,
                               std::chrono::nanoseconds now);
    outcome<void> truncate(inode_id file, std::uint64_t size, std::chrono::nanoseconds now);
    outcome<void> punch(inode_id file,
                        std::uint64_t offset,
                        std::uint64_t length,
                        std::chrono::nanoseconds now);
    /// All of it; nothing when it is no regular file.
    [[nodiscard]] std::vector<std::byte> contents(inode_id file);

    /// Somebody has, or may give himself, a shared mapping of it that can be written.
    [[nodiscard]] bool is_mapped_writable(inode_id file) const;

    page page_of(std::uint64_t file, std::uint64_t index) override;
    void mapped(std::uint64_t file, std::uint64_t pages) override;
    void unmapped(std::uint64_t file, std::uint64_t pages) override;

  private:
    [[nodiscard]] mapped_file* find(inode_id file);
    /// Calls f(frame, offset in it, bytes before it, length) for each piece of a range that stands
    /// in a frame; ascending.
    template <class F>
    void each_piece(const mapped_file& m, std::uint64_t offset, std::uint64_t length, F&& f);
    /// Pages [first, end) are holes now: no mapping shows them any more.
    void drop(inode_id file, std::uint64_t first, std::uint64_t end, bool copies);

    kernel_state& state_;
    vmm::guest_memory& memory_;
};

/// In a copy of a guest's state: files hold all their bytes themselves, and their frames are free.
/// Memory is the guest's and stays as it is.
void put_back_pages(kernel_state& copy, const vmm::guest_memory& memory);
/// The state is about to go: what its files' frames hold goes too.
void discard_pages(const kernel_state& state, vmm::guest_memory& memory);

}  // namespace hearth::guest::vfs
