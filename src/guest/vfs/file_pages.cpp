#include "guest/vfs/file_pages.hpp"

#include "base/assert.hpp"
#include "guest/mm/address_space.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace hearth::guest::vfs {
namespace {

using vmm::gpa;
using vmm::page_size;

file_content* content_of(kernel_state& state, inode_id file) {
    inode* const node = state.vfs.files.find(file);
    return node ? std::get_if<file_content>(&node->body) : nullptr;
}

/// What a frame holds becomes the file's own; room for it was taken when the frame was.
void put_back(file_content& content,
              std::uint64_t index,
              gpa frame,
              const vmm::guest_memory& memory) {
    const std::uint64_t at = index * page_size;
    if (at >= content.size()) return;
    const std::uint64_t length = std::min(page_size, content.size() - at);
    const std::span now{memory.at(frame, page_size), length};
    std::array<std::byte, page_size> was;
    content.read(at, std::span(was).first(length));
    if (std::memcmp(was.data(), now.data(), length) != 0) content.write(at, now);
}

/// Calls f(first, pages) for frames that follow each other.
template <class F>
void each_run(const std::map<std::uint64_t, gpa>& frames, F&& f) {
    gpa first{};
    std::uint64_t pages = 0;
    for (const auto& [index, frame] : frames) {
        if (pages != 0 && frame == first + pages * page_size) {
            ++pages;
            continue;
        }
        if (pages != 0) f(first, pages);
        first = frame;
        pages = 1;
    }
    if (pages != 0) f(first, pages);
}

}  // namespace

mapped_file* file_pages::find(inode_id file) {
    auto& all = state_.vfs.mapped_files;
    if (all.empty()) [[likely]]
        return nullptr;
    const auto it = all.find(file);
    return it == all.end() ? nullptr : &it->second;
}

template <class F>
void file_pages::each_piece(const mapped_file& m,
                            std::uint64_t offset,
                            std::uint64_t length,
                            F&& f) {
    const std::uint64_t end = offset + length;
    for (auto it = m.frames.lower_bound(offset / page_size);
         it != m.frames.end() && it->first * page_size < end; ++it) {
        const std::uint64_t begins = it->first * page_size;
        const std::uint64_t from = std::max(begins, offset), to = std::min(begins + page_size, end);
        f(it->second, from - begins, from - offset, to - from);
    }
}

std::size_t file_pages::read(inode_id file, std::uint64_t offset, std::span<std::byte> out) {
    const tmpfs& files = state_.vfs.files;
    const mapped_file* const m = find(file);
    if (!m) return files.read(file, offset, out);
    const file_content* const content = content_of(state_, file);
    if (!content || offset >= content->size()) return 0;
    out = out.first(std::min<std::uint64_t>(out.size(), content->size() - offset));
    // `out` may be one of the frames itself: no byte is stored that is still to be read.
    std::uint64_t done = 0;
    each_piece(*m, offset, out.size(),
               [&](gpa frame, std::uint64_t in_frame, std::uint64_t before, std::uint64_t n) {
                   if (before > done)
                       content->read(offset + done, out.subspan(done, before - done));
                   std::memmove(out.data() + before, memory_.at(frame, page_size) + in_frame, n);
                   done = before + n;
               });
    if (done < out.size()) content->read(offset + done, out.subspan(done));
    return out.size();
}

outcome<std::size_t> file_pages::write(inode_id file,
                                       std::uint64_t offset,
                                       std::span<const std::byte> in,
                                       std::chrono::nanoseconds now) {
    auto wrote = state_.vfs.files.write(file, offset, in, now);
    if (const mapped_file* const m = find(file); m && wrote)
        each_piece(*m, offset, *wrote,
                   [&](gpa frame, std::uint64_t in_frame, std::uint64_t before, std::uint64_t n) {
                       std::memmove(memory_.at(frame, page_size) + in_frame, in.data() + before, n);
                   });
    return wrote;
}

outcome<void> file_pages::truncate(inode_id file,
                                   std::uint64_t size,
                                   std::chrono::nanoseconds now) {
    mapped_file* const m = find(file);
    const file_content* const content = m ? content_of(state_, file) : nullptr;
    const std::uint64_t before = content ? content->size() : 0;
    auto ok = state_.vfs.files.truncate(file, size, now);
    if (!ok || !content) return ok;
    // From the smaller of both sizes on, the page it is in holds nothing of the file's.
    const std::uint64_t end = std::min(before, size);
    if (const std::uint64_t tail = end % page_size)
        if (const auto it = m->frames.find(end / page_size); it != m->frames.end())
            std::memset(memory_.at(it->second, page_size) + tail, 0, page_size - tail);
    if (size < before) drop(file, (size + page_size - 1) / page_size, ~std::uint64_t{0}, true);
    return ok;
}

outcome<void> file_pages::punch(inode_id file,
                                std::uint64_t offset,
                                std::uint64_t length,
                                std::chrono::nanoseconds now) {
    auto ok = state_.vfs.files.punch(file, offset, length, now);
    const mapped_file* const m = find(file);
    if (!ok || !m) return ok;
    each_piece(*m, offset, length,
               [&](gpa frame, std::uint64_t in_frame, std::uint64_t, std::uint64_t n) {
                   std::memset(memory_.at(frame, page_size) + in_frame, 0, n);
               });
    const std::uint64_t first = (offset + page_size - 1) / page_size;
    const std::uint64_t end = (offset + length) / page_size;
    if (first < end) drop(file, first, end, false);
    return ok;
}

std::vector<std::byte> file_pages::contents(inode_id file) {
    const file_content* const content = content_of(state_, file);
    std::vector<std::byte> out(content ? content->size() : 0);
    (void)read(file, 0, out);
    return out;
}

bool file_pages::is_mapped_writable(inode_id file) const {
    if (!state_.vfs.mapped_files.contains(file)) return false;
    return std::ranges::any_of(state_.processes, [&](const auto& process) {
        return std::ranges::any_of(process.second.mm.vmas, [&](const auto& area) {
            return area.second.memory_file == static_cast<std::uint64_t>(file) &&
                   !area.second.shared && !area.second.copies;
        });
    });
}

mm::shared_files::page file_pages::page_of(std::uint64_t file, std::uint64_t index) {
    const auto id = static_cast<inode_id>(file);
    mapped_file* const m = find(id);
    file_content* const content = content_of(state_, id);
    if (!m || !content || index >= file_content::max_size / page_size ||
        index * page_size >= content->size())
        return {page::kind::past_end, {}};
    if (const auto it = m->frames.find(index); it != m->frames.end())
        return {page::kind::found, it->second};
    if (!state_.vfs.files.fill_hole(id, index * page_size, page_size))
        return {page::kind::no_room, {}};
    const auto frame = state_.frames.allocate(1);
    if (!frame) return {page::kind::out_of_memory, {}};
    content->read(index * page_size, {memory_.at(*frame, page_size), page_size});
    m->frames.emplace(index, *frame);
    return {page::kind::found, *frame};
}

void file_pages::mapped(std::uint64_t file, std::uint64_t pages) {
    const auto id = static_cast<inode_id>(file);
    auto& all = state_.vfs.mapped_files;
    const auto [it, is_new] = all.try_emplace(id);
    if (is_new) state_.vfs.files.opened(id);
    it->second.pages += pages;
}

void file_pages::unmapped(std::uint64_t file, std::uint64_t pages) {
    const auto id = static_cast<inode_id>(file);
    auto& all = state_.vfs.mapped_files;
    const auto it = all.find(id);
    HEARTH_ASSERT(it != all.end() && it->second.pages >= pages);
    it->second.pages -= pages;
    if (it->second.pages != 0) return;
    if (const inode* node = state_.vfs.files.find(id); node->links != 0 || node->opens > 1)
        for (const auto& [index, frame] : it->second.frames)
            put_back(*content_of(state_, id), index, frame, memory_);
    each_run(it->second.frames, [&](gpa first, std::uint64_t n) {
        memory_.discard(first, n * page_size);
        state_.frames.release(first, n);
    });
    all.erase(it);
    state_.vfs.files.closed(id);
}

void file_pages::drop(inode_id file, std::uint64_t first, std::uint64_t end, bool copies) {
    mapped_file& m = *find(file);
    const auto from = m.frames.lower_bound(first), to = m.frames.lower_bound(end);
    if (from == to && !copies) return;
    for (auto& [id, process] : state_.processes) {
        if (process.memory_of != 0) continue;
        mm::address_space(process.mm, state_.frames, memory_, this)
            .forget_file(static_cast<std::uint64_t>(file), first, end, copies);
    }
    each_run({from, to}, [&](gpa at, std::uint64_t n) {
        memory_.discard(at, n * page_size);
        state_.frames.release(at, n);
    });
    m.frames.erase(from, to);
}

void put_back_pages(kernel_state& copy, const vmm::guest_memory& memory) {
    for (auto& [id, m] : copy.vfs.mapped_files) {
        file_content* const content = content_of(copy, id);
        for (const auto& [index, frame] : m.frames) {
            put_back(*content, index, frame, memory);
            while (copy.frames.unshare(frame)) {
            }
            copy.frames.release(frame, 1);
        }
        m.frames.clear();
    }
}

void discard_pages(const kernel_state& state, vmm::guest_memory& memory) {
    for (const auto& [id, m] : state.vfs.mapped_files)
        each_run(m.frames,
                 [&](gpa first, std::uint64_t n) { memory.discard(first, n * page_size); });
}

}  // namespace hearth::guest::vfs
