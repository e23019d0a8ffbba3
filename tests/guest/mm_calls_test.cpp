/// mmap and its family as system calls: what the registers say, what the guest sees.

#include "kernel_world.hpp"

#include <sys/mman.h>

#include <cerrno>

using namespace kernel_test;

namespace {

enum : std::uint64_t {
    sys_mmap = 9,
    sys_mprotect = 10,
    sys_munmap = 11,
    sys_brk = 12,
    sys_mremap = 25,
    sys_msync = 26,
    sys_mincore = 27,
    sys_madvise = 28,
    sys_mlock = 149,
    sys_munlock = 150,
    sys_mlockall = 151,
    sys_munlockall = 152,
    sys_mlock2 = 325,
    sys_pkey_mprotect = 329
};
constexpr std::uint64_t none_fd = ~std::uint64_t{0};
constexpr std::uint64_t rw = PROT_READ | PROT_WRITE;
constexpr std::uint64_t anonymous = MAP_PRIVATE | MAP_ANONYMOUS;

}  // namespace

TEST_CASE("mmap and munmap give and take memory") {
    world w;
    const std::int64_t a = w.call(sys_mmap, {0, 8192, rw, anonymous, none_fd, 0});
    REQUIRE(a > 0);
    w.put<int>(static_cast<std::uint64_t>(a) + 4096, 42);
    REQUIRE(w.call(sys_mprotect, {static_cast<std::uint64_t>(a), 4096, PROT_READ}) == 0);
    REQUIRE(!w.space().accessible(gva{static_cast<std::uint64_t>(a)}, 1, true));
    REQUIRE(w.call(sys_munmap, {static_cast<std::uint64_t>(a), 8192}) == 0);
    REQUIRE(!w.space().accessible(gva{static_cast<std::uint64_t>(a)}, 1, false));
}

TEST_CASE("unknown bits in prot and flags are EINVAL") {
    world w;
    REQUIRE(w.call(sys_mmap, {0, 4096, rw | 0x80, anonymous, none_fd, 0}) == -EINVAL);
    REQUIRE(w.call(sys_mmap, {0, 4096, rw, anonymous | 0x1000'0000, none_fd, 0}) == -EINVAL);
    REQUIRE(w.call(sys_mmap, {0, 4096, rw, MAP_ANONYMOUS, none_fd, 0}) == -EINVAL);
    REQUIRE(w.call(sys_mmap, {0, 4096, rw, anonymous, none_fd, 123}) == -EINVAL);
    REQUIRE(w.call(sys_mmap, {0, 0, rw, anonymous, none_fd, 0}) == -EINVAL);
    REQUIRE(w.call(sys_mmap, {0, 4096, rw, anonymous | MAP_HUGETLB, none_fd, 0}) == -ENOMEM);
    REQUIRE(w.call(sys_mmap, {0, 4096, rw, MAP_PRIVATE, 77, 0}) == -EBADF);
    REQUIRE(w.call(sys_mprotect, {world::data, 4096, 0x80}) == -EINVAL);
    REQUIRE(w.call(sys_mremap, {world::data, 4096, 4096, 0x80, 0}) == -EINVAL);
    REQUIRE(w.call(sys_msync, {world::data, 4096, 8}) == -EINVAL);
    REQUIRE(w.call(sys_msync, {world::data, 4096, MS_SYNC | MS_ASYNC}) == -EINVAL);
    REQUIRE(w.call(sys_madvise, {world::data, 4096, 9999}) == -EINVAL);
    REQUIRE(w.call(sys_mlock2, {world::data, 4096, 2}) == -EINVAL);
    REQUIRE(w.call(sys_mlockall, {0}) == -EINVAL);
    REQUIRE(w.call(sys_pkey_mprotect, {world::data, 4096, PROT_READ, 1}) == -EINVAL);
}

TEST_CASE("brk answers with the break, old or new") {
    world w;
    const std::int64_t start = w.call(sys_brk, {0});
    REQUIRE(start == 0x60'0000);
    REQUIRE(w.call(sys_brk, {0x60'0000 + 10'000}) == start + 10'000);
    w.put<int>(0x60'0000 + 9'000, 1);
    REQUIRE(w.call(sys_brk, {1}) == start + 10'000);
    REQUIRE(w.call(sys_brk, {~std::uint64_t{0}}) == start + 10'000);
}

TEST_CASE("mincore writes one byte a page, and EFAULT when it cannot") {
    world w;
    const auto a =
        static_cast<std::uint64_t>(w.call(sys_mmap, {0, 1 << 20, rw, anonymous, none_fd, 0}));
    w.put<int>(a + 4096, 1);
    REQUIRE(w.call(sys_mincore, {a, 16384, world::data}) == 0);
    REQUIRE(w.get<std::uint32_t>(world::data) == 0x0000'0100);
    REQUIRE(w.call(sys_mincore, {a, 16384, 8}) == -EFAULT);
    REQUIRE(w.call(sys_mincore, {a + 1, 4096, world::data}) == -EINVAL);
    REQUIRE(w.call(sys_mincore, {a, std::uint64_t{1} << 46, world::data}) == -ENOMEM);
}

TEST_CASE("locks hold for what is mapped") {
    world w;
    REQUIRE(w.call(sys_mlock, {world::data + 5, 4096}) == 0);
    REQUIRE(w.call(sys_munlock, {world::data, 4096}) == 0);
    REQUIRE(w.call(sys_mlock, {0x7000'0000, 4096}) == -ENOMEM);
    REQUIRE(w.call(sys_mlock, {world::data + 5, ~std::uint64_t{0}}) == -EINVAL);
    REQUIRE(w.call(sys_mlockall, {MCL_CURRENT | MCL_FUTURE}) == 0);
    REQUIRE(w.call(sys_munlockall) == 0);
}

TEST_CASE("wild arguments to every call of the family are errnos") {
    world w;
    const std::uint64_t wild[] = {0,
                                  1,
                                  4095,
                                  4096,
                                  0x7fff'ffe0'0000,
                                  0x7fff'ffff'f000,
                                  0x8000'0000'0000,
                                  0xffff'ffff'ffff'f000,
                                  ~std::uint64_t{0},
                                  std::uint64_t{1} << 63};
    for (const std::uint64_t number : {sys_mprotect, sys_munmap, sys_mremap, sys_msync, sys_mincore,
                                       sys_madvise, sys_mlock, sys_munlock, sys_mlock2}) {
        for (const std::uint64_t a : wild) {
            for (const std::uint64_t b : wild) {
                if (a < 0x10'0000 && b >= 0x10'0000 && b <= 0x8000'0000'0000)
                    continue;  // would unmap the test's own
                for (const std::uint64_t c :
                     {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4}, ~std::uint64_t{0}}) {
                    const std::int64_t r = w.call(number, {a, b, c, 3, a, b});
                    REQUIRE(r >= -4095);
                    REQUIRE(r <= 0);
                }
            }
        }
    }
    for (const std::uint64_t a : wild)
        for (const std::uint64_t b : wild)
            (void)w.call(sys_mmap, {a, b, rw, anonymous | MAP_FIXED_NOREPLACE, none_fd, 0});
    w.put<int>(world::data, 7);
    REQUIRE(w.get<int>(world::data) == 7);
}
