#include "sandbox/memory_image.hpp"

#include "base/all_zero.hpp"
#include "base/system_error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

namespace hearth::detail {
namespace {

using vmm::gpa;
using vmm::page_size;

/// Zero pages between two extents that are worth less than one more host mapping in every clone.
constexpr std::uint64_t max_hole_pages = 16;
/// A guest that touches every so many pages must not use up the host's mappings (vm.max_map_count)
/// with a few clones.
constexpr std::size_t max_extents = 128;

result<void> write_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return system_failure(errc::no_room, "writing a snapshot's memory");
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

/// Closes the smallest gaps until few enough extents are left.
void join_extents(std::vector<memory_image::extent>& extents) {
    if (extents.size() <= max_extents) return;
    const auto gap_before = [&](std::size_t i) {
        const auto& e = extents[i - 1];
        return (extents[i].first - e.first) / page_size - e.pages;
    };
    std::vector<std::uint64_t> gaps;
    for (std::size_t i = 1; i < extents.size(); ++i) gaps.push_back(gap_before(i));
    const auto widest = gaps.begin() + static_cast<std::ptrdiff_t>(max_extents - 1);
    std::ranges::nth_element(gaps, widest, std::greater{});
    std::vector<memory_image::extent> joined{extents.front()};
    for (std::size_t i = 1; i < extents.size(); ++i) {
        auto& last = joined.back();
        if (gap_before(i) > *widest)
            joined.push_back(extents[i]);
        else
            last.pages = (extents[i].first - last.first) / page_size + extents[i].pages;
    }
    extents = std::move(joined);
}

}  // namespace

result<memory_image::builder> memory_image::builder::create(byte_count size) {
    if (size.bytes() == 0 || size.bytes() % page_size != 0)
        return error(errc::invalid_argument, "a memory image holds whole pages");
    // Growing a memfd over this limit would be a SIGXFSZ for the whole process.
    rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < size.bytes())
        return error(errc::no_room,
                     "this process may not have files as large as a snapshot's memory; raise the "
                     "limit (ulimit -f, LimitFSIZE=)");
    builder b;
    b.image_.reset(new memory_image);
    b.image_->size_ = size.bytes();
    b.image_->fd_ = unique_fd(::memfd_create("hearth-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!b.image_->fd_) return system_failure(errc::no_room, "making a memfd for a snapshot");
    if (::ftruncate(b.image_->fd_.get(), static_cast<off_t>(size.bytes())) != 0)
        return system_failure(errc::no_room, "sizing a memfd for a snapshot");
    return b;
}

result<void> memory_image::builder::add(gpa first, std::span<const std::byte> pages) {
    memory_image& image = *image_;
    auto& extents = image.extents_;
    const auto end_of_last = [&] {
        return extents.back().first.value + extents.back().pages * page_size;
    };
    if (first.value % page_size != 0 || pages.size() % page_size != 0 ||
        first.value > image.size_ || pages.size() > image.size_ - first.value ||
        (!extents.empty() && first.value < end_of_last()))
        return error(errc::invalid_argument,
                     "a snapshot's pages must be whole, inside and ascending");

    const std::uint64_t count = pages.size() / page_size;
    for (std::uint64_t i = 0; i < count;) {
        if (all_zero(pages.subspan(i * page_size, page_size))) {
            ++i;
            continue;
        }
        std::uint64_t n = 1;
        while (i + n < count && !all_zero(pages.subspan((i + n) * page_size, page_size))) ++n;
        const std::uint64_t at = first.value + i * page_size;
        auto written = write_all(image.fd_.get(), pages.subspan(i * page_size, n * page_size), at);
        if (written.has_error()) return written.error();
        if (!extents.empty() && at - end_of_last() <= max_hole_pages * page_size)
            extents.back().pages = (at - extents.back().first.value) / page_size + n;
        else
            extents.push_back({gpa{at}, n});
        image.pages_ += n;
        i += n;
    }
    return {};
}

result<std::shared_ptr<const memory_image>> memory_image::builder::finish() && {
    memory_image& image = *image_;
    join_extents(image.extents_);
    constexpr int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (::fcntl(image.fd_.get(), F_ADD_SEALS, seals) != 0)
        return system_failure(errc::no_room, "sealing a snapshot's memory");
    if (!image.extents_.empty()) {
        const std::uint64_t start = image.extents_.front().first.value;
        const auto& last = image.extents_.back();
        const std::uint64_t length = last.first.value + last.pages * page_size - start;
        // Private: before Linux 6.7 a write-sealed memfd cannot be mapped shared by a writable
        // descriptor.
        void* view = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, image.fd_.get(),
                            static_cast<off_t>(start));
        if (view == MAP_FAILED) return system_failure(errc::no_room, "mapping a snapshot's memory");
        image.view_ = mapping(view, length);
        // A child of the embedder has no use for it.
        ::madvise(view, length, MADV_DONTFORK);
    }
    return std::shared_ptr<const memory_image>(std::move(image_));
}

const std::byte* memory_image::page(gpa at) const noexcept {
    auto it = std::upper_bound(extents_.begin(), extents_.end(), at,
                               [](gpa a, const extent& e) { return a < e.first; });
    if (it == extents_.begin()) return nullptr;
    --it;
    if (at.value - it->first.value >= it->pages * page_size) return nullptr;
    return view_.data() + (at.page().value - extents_.front().first.value);
}

const std::byte* memory_diff::page(gpa at) const noexcept {
    const auto it = std::lower_bound(pages.begin(), pages.end(), at.value / page_size);
    if (it == pages.end() || *it != at.value / page_size) return nullptr;
    return bytes.data() + static_cast<std::size_t>(it - pages.begin()) * page_size;
}

}  // namespace hearth::detail
