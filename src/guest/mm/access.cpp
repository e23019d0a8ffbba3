/// Guest memory as the host reads and writes it on the guest's behalf.

#include "guest/mm/address_space.hpp"
#include "guest/mm/entry_bits.hpp"
#include "guest/mm/window_copy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace hearth::guest::mm {
namespace {

using vmm::page_size;

/// One span: enough to make a host call worth it, little enough that a large buffer of which a call
/// uses a few bytes does not cost the guest its whole size.
constexpr std::size_t max_span = 64U << 10;

}  // namespace

page_entry* address_space::entry_for(gva page, bool write) {
    if (page >= user_end) return nullptr;
    const std::uint64_t wanted = page_entry::present | (write ? page_entry::writable : 0);
    if (page_entry* const e = tables_.find(page); e && e->has(wanted)) return e;
    if (fault(page, write ? 6 : 4) != fault_result::resolved) return nullptr;
    page_entry* const e = tables_.find(page);
    return e && e->has(wanted) ? e : nullptr;
}

std::optional<address_space::span_of_frames> address_space::span_at(gva at,
                                                                    std::uint64_t length,
                                                                    intent i) {
    const bool write = i != intent::read;
    page_entry* const e = entry_for(at.page(), write);
    if (!e) return std::nullopt;
    // Accessed at once: supplying the next page may take back frames that nobody touched.
    const std::uint64_t touched =
        page_entry::accessed | (i == intent::write_all ? page_entry::dirty : 0);
    e->set(touched);
    span_of_frames s{e->frame() + at.offset_in_page(), 0, e->has(page_entry::window)};
    s.length = std::min<std::uint64_t>(length, page_size - at.offset_in_page());
    while (s.length < length && s.length < max_span) {
        page_entry* const next = entry_for(at + s.length, write);
        if (!next || next->frame() != s.first + s.length ||
            next->has(page_entry::window) != s.window)
            break;
        next->set(touched);
        s.length += std::min<std::uint64_t>(length - s.length, page_size);
    }
    return s;
}

void address_space::mark_written(gva at, std::uint64_t length) {
    if (length == 0) return;
    for (gva page = at.page(); page < at + length; page += page_size)
        tables_.find(page)->set(page_entry::accessed | page_entry::dirty);
}

outcome<void> address_space::read(gva from, std::span<std::byte> into) {
    while (!into.empty()) {
        const auto s = span_at(from, into.size(), intent::read);
        if (!s) return os_error{EFAULT};
        const std::byte* const host = memory_.at(s->first, s->length);
        if (!s->window)
            std::memcpy(into.data(), host, s->length);
        else if (!copy_from_window(into.data(), host, s->length))
            return os_error{EFAULT};
        into = into.subspan(s->length);
        from += s->length;
    }
    return {};
}

outcome<void> address_space::write(gva to, std::span<const std::byte> from) {
    while (!from.empty()) {
        const auto s = span_at(to, from.size(), intent::write_all);
        if (!s) return os_error{EFAULT};
        std::byte* const host = memory_.at(s->first, s->length);
        if (!s->window)
            std::memcpy(host, from.data(), s->length);
        else if (!copy_to_window(host, from.data(), s->length))
            return os_error{EFAULT};
        from = from.subspan(s->length);
        to += s->length;
    }
    return {};
}

outcome<std::string> address_space::read_string(gva from, std::size_t limit) {
    std::string text;
    std::vector<std::byte> page;
    while (true) {
        // One page at a time: the string may end just before an unmapped one.
        const auto s = span_at(from, page_size - from.offset_in_page(), intent::read);
        if (!s) return os_error{EFAULT};
        const std::byte* host = memory_.at(s->first, s->length);
        if (s->window) {
            page.resize(page_size);
            if (!copy_from_window(page.data(), host, s->length)) return os_error{EFAULT};
            host = page.data();
        }
        const void* const end = std::memchr(host, 0, s->length);
        const std::size_t n =
            end ? static_cast<std::size_t>(static_cast<const std::byte*>(end) - host) : s->length;
        if (n >= limit - text.size()) return os_error{ENAMETOOLONG};
        text.append(reinterpret_cast<const char*>(host), n);
        if (end) return text;
        from += s->length;
    }
}

outcome<std::size_t> address_space::for_each_span(
    gva start,
    std::size_t length,
    bool write,
    const std::function<std::size_t(std::span<std::byte>)>& use) {
    std::size_t done = 0;
    std::vector<std::byte> bounce;
    while (done < length) {
        const auto s = span_at(start, length - done, write ? intent::write_some : intent::read);
        const auto failed = [&]() -> outcome<std::size_t> {
            if (done == 0) return os_error{EFAULT};
            return done;
        };
        if (!s) return failed();
        std::byte* const host = memory_.at(s->first, s->length);
        std::size_t used = 0;
        if (!s->window) {
            used = use({host, s->length});
        } else {
            bounce.resize(s->length);
            if (!write && !copy_from_window(bounce.data(), host, s->length)) return failed();
            used = use(bounce);
            if (write &&
                !copy_to_window(host, bounce.data(), std::min<std::size_t>(used, s->length)))
                return failed();
        }
        used = std::min<std::size_t>(used, s->length);
        if (write) mark_written(start, used);
        done += used;
        start += used;
        if (used < s->length) break;
    }
    return done;
}

bool address_space::accessible(gva start, std::uint64_t length, bool write) const {
    if (length == 0) return true;
    if (length > user_end.value || start.value > user_end.value - length) return false;
    const gva end = start + length;
    for (auto it = find_vma(state_.vmas, start.page()); start < end; ++it) {
        if (it == state_.vmas.end() || it->first > start) return false;
        if (write ? !it->second.prot.write : it->second.prot.none()) return false;
        start = it->second.end;
    }
    return true;
}

}  // namespace hearth::guest::mm
