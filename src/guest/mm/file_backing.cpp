#include "guest/mm/file_backing.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hearth::guest::mm {

std::int64_t read_backing(const file_backing& file,
                          std::uint64_t offset,
                          std::span<std::byte> into) noexcept {
    if (offset >= file.size) return 0;
    const std::size_t wanted = std::min<std::uint64_t>(into.size(), file.size - offset);
    if (!file.fd) {
        if (!file.bytes || offset >= file.bytes->size()) return wanted == 0 ? 0 : -1;
        const std::size_t n = std::min<std::uint64_t>(wanted, file.bytes->size() - offset);
        std::memcpy(into.data(), file.bytes->data() + offset, n);
        return static_cast<std::int64_t>(n);
    }
    std::size_t done = 0;
    while (done < wanted) {
        const ssize_t n = ::pread(file.fd->get(), into.data() + done, wanted - done,
                                  static_cast<off_t>(file.fd_offset + offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    return static_cast<std::int64_t>(done);
}

}  // namespace hearth::guest::mm
