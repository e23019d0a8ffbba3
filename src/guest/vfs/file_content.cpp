#include "guest/vfs/file_content.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace hearth::guest::vfs {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t page_up(std::uint64_t n) { return (n + page - 1) & ~(page - 1); }
constexpr std::uint64_t chunk = file_content::chunk_size;

/// Calls f(chunk number, first byte in the chunk, length) over [offset, offset+length).
template <class F>
void over_chunks(std::uint64_t offset, std::uint64_t length, F f) {
    while (length) {
        const std::uint64_t within = offset % chunk;
        const std::uint64_t n = std::min(length, chunk - within);
        f(offset / chunk, within, n);
        offset += n;
        length -= n;
    }
}

}  // namespace

std::vector<std::byte>& cow_bytes::own() {
    if (bytes_.use_count() != 1) {
        bytes_ = std::make_shared<std::vector<std::byte>>(*bytes_);
    } else {
        // The last other owner may have let go on another thread: order its reads before our
        // writes.
        std::atomic_thread_fence(std::memory_order_acquire);
    }
    return *bytes_;
}

std::uint64_t file_content::growth(std::uint64_t offset, std::uint64_t length) const {
    std::uint64_t more = 0;
    over_chunks(offset, length, [&](std::uint64_t number, std::uint64_t within, std::uint64_t n) {
        const auto it = chunks_.find(number);
        const std::uint64_t have = it == chunks_.end() ? 0 : it->second.get().size();
        const std::uint64_t need = page_up(within + n);
        if (need > have) more += need - have;
    });
    return more;
}

std::size_t file_content::read(std::uint64_t offset, std::span<std::byte> out) const {
    if (offset >= size_) return 0;
    const std::uint64_t total = std::min<std::uint64_t>(out.size(), size_ - offset);
    std::byte* to = out.data();
    over_chunks(offset, total, [&](std::uint64_t number, std::uint64_t within, std::uint64_t n) {
        const auto it = chunks_.find(number);
        std::uint64_t copied = 0;
        if (it != chunks_.end() && within < it->second.get().size()) {
            copied = std::min(n, it->second.get().size() - within);
            std::memcpy(to, it->second.get().data() + within, copied);
        }
        if (copied < n) std::memset(to + copied, 0, n - copied);
        to += n;
    });
    return total;
}

void file_content::write(std::uint64_t offset, std::span<const std::byte> in) {
    const std::byte* from = in.data();
    over_chunks(offset, in.size(),
                [&](std::uint64_t number, std::uint64_t within, std::uint64_t n) {
                    std::vector<std::byte>& bytes = chunks_[number].own();
                    if (const std::uint64_t need = page_up(within + n); need > bytes.size()) {
                        held_ += need - bytes.size();
                        bytes.resize(need);
                    }
                    std::memcpy(bytes.data() + within, from, n);
                    from += n;
                });
    size_ = std::max<std::uint64_t>(size_, offset + in.size());
}

void file_content::allocate(std::uint64_t offset, std::uint64_t length) {
    over_chunks(offset, length, [&](std::uint64_t number, std::uint64_t within, std::uint64_t n) {
        const std::uint64_t need = page_up(within + n);
        cow_bytes& bytes = chunks_[number];
        if (need <= bytes.get().size()) return;
        held_ += need - bytes.get().size();
        bytes.own().resize(need);
    });
}

void file_content::resize(std::uint64_t size) {
    if (size < size_) {
        const std::uint64_t last = size / chunk, within = size % chunk;
        auto it = chunks_.lower_bound(last);
        if (it != chunks_.end() && it->first == last && within) {
            std::vector<std::byte>& bytes = it->second.own();
            if (const std::uint64_t keep = page_up(within); keep < bytes.size()) {
                held_ -= bytes.size() - keep;
                bytes.resize(keep);
                bytes.shrink_to_fit();
            }
            // What lies beyond the end must read as zeroes when the file grows again.
            if (within < bytes.size()) std::memset(bytes.data() + within, 0, bytes.size() - within);
            ++it;
        }
        while (it != chunks_.end()) {
            held_ -= it->second.get().size();
            it = chunks_.erase(it);
        }
    }
    size_ = size;
}

void file_content::punch(std::uint64_t offset, std::uint64_t length) {
    if (!length) return;
    const std::uint64_t end = offset + length;
    for (auto it = chunks_.lower_bound(offset / chunk);
         it != chunks_.end() && it->first * chunk < end;) {
        const std::uint64_t first = it->first * chunk;
        const std::uint64_t from = offset > first ? offset - first : 0;
        const std::uint64_t to = std::min(end - first, chunk);
        if (from == 0 && to >= it->second.get().size()) {
            held_ -= it->second.get().size();
            it = chunks_.erase(it);
            continue;
        }
        if (from < it->second.get().size()) {
            std::vector<std::byte>& bytes = it->second.own();
            std::memset(bytes.data() + from, 0, std::min<std::uint64_t>(to, bytes.size()) - from);
        }
        ++it;
    }
}

std::optional<std::uint64_t> file_content::next_data(std::uint64_t offset) const {
    for (auto it = chunks_.lower_bound(offset / chunk); it != chunks_.end(); ++it) {
        const std::uint64_t first = it->first * chunk, end = first + it->second.get().size();
        if (first >= size_) break;
        if (offset < first) return first;
        if (offset < end && offset < size_) return offset;
    }
    return std::nullopt;
}

std::uint64_t file_content::next_hole(std::uint64_t offset) const {
    for (;;) {
        const auto it = chunks_.find(offset / chunk);
        if (it == chunks_.end()) break;
        const std::uint64_t end = it->first * chunk + it->second.get().size();
        if (offset >= end) break;
        offset = end;
        if (it->second.get().size() < chunk) break;
    }
    return std::min(offset, size_);
}

}  // namespace hearth::guest::vfs
