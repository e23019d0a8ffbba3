#include "guest/sys/random.hpp"

#include "guest/abi/process.hpp"
#include "guest/kernel/kernel.hpp"

#include <algorithm>
#include <array>

namespace hearth::guest {

sysret sys_getrandom(task& t, guest_ptr<void> out, std::uint64_t length, std::uint32_t flags) {
    constexpr std::uint32_t known = abi::grnd_nonblock | abi::grnd_random | abi::grnd_insecure;
    constexpr std::uint32_t contradiction = abi::grnd_random | abi::grnd_insecure;
    if ((flags & ~known) || (flags & contradiction) == contradiction) return sysret::error(EINVAL);
    length = std::min(length, abi::getrandom_max);
    std::array<std::byte, 1024> chunk;
    std::uint64_t done = 0;
    while (done < length) {
        const auto part =
            std::span(chunk).first(std::min<std::uint64_t>(length - done, chunk.size()));
        t.kernel().host().random(part);
        if (auto r = t.memory().write(out.address + done, part); !r)
            return done ? sysret(static_cast<std::int64_t>(done)) : sysret(r.error());
        done += part.size();
    }
    return static_cast<std::int64_t>(done);
}

}  // namespace hearth::guest
