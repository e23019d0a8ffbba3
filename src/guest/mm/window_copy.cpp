#include "guest/mm/window_copy.hpp"

#include <sys/uio.h>
#include <unistd.h>

namespace hearth::guest::mm {

bool copy_from_window(std::byte* into, const std::byte* from, std::size_t length) noexcept {
    const iovec local{into, length};
    const iovec remote{const_cast<std::byte*>(from), length};
    return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(length);
}

bool copy_to_window(std::byte* into, const std::byte* from, std::size_t length) noexcept {
    const iovec local{const_cast<std::byte*>(from), length};
    const iovec remote{into, length};
    return ::process_vm_writev(::getpid(), &local, 1, &remote, 1, 0) ==
           static_cast<ssize_t>(length);
}

}  // namespace hearth::guest::mm
