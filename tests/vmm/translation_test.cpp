#include "machine.hpp"

using namespace hearth::vmm;
using namespace hearth::vmm::test;

namespace {

const gva page{0x70'0000};

// mov [rdi],eax ; syscall
void store_program(machine& m) {
    m.code({0x89, 0x07, 0x0f, 0x05});
    m.state.rdi = page.value;
}

}  // namespace

TEST_CASE("a page made read-only faults once its translations are dropped") {
    machine m;
    store_program(m);
    auto& entry = m.map(page, rw);
    REQUIRE(describe(m.start()) == "syscall");
    entry &= ~x86_64::pte_write;
    m.memory().drop_translations(gpa{entry & 0x000f'ffff'ffff'f000}, page_size);
    CHECK(describe(m.start()) == exception(14, 7, page.value));
}

TEST_CASE("without dropping them software KVM goes on using the old translation") {
    // What the recipe is for. Hardware may behave either way, so only software KVM is held to it.
    if (the_kvm().flavour() != flavour::software) return;
    machine m;
    store_program(m);
    auto& entry = m.map(page, rw);
    REQUIRE(describe(m.start()) == "syscall");
    entry &= ~x86_64::pte_write;
    CHECK(describe(m.start()) == "syscall");
}

TEST_CASE("discarded frames read as zeroes and their old mapping is gone") {
    machine m;
    store_program(m);
    auto& entry = m.map(page, rw);
    m.state.rax = 7;
    REQUIRE(describe(m.start()) == "syscall");
    const gpa frame{entry & 0x000f'ffff'ffff'f000};
    const std::uint64_t old = std::exchange(entry, 0);
    m.memory().discard(frame, page_size);
    CHECK(describe(m.start()) == exception(14, 6, page.value));
    entry = old;
    CHECK(m.word(page) == 0);
}

TEST_CASE("exchanged tables are seen after all translations are dropped") {
    machine m;
    const gva one{0x4000'0000}, two{0x4020'0000};
    m.map(one, rw);
    m.map(two, rw);
    m.word(one) = 1;
    m.word(two) = 2;
    m.code({0x8b, 0x1f, 0x8b, 0x16, 0x0f, 0x05});  // mov ebx,[rdi] ; mov edx,[rsi] ; syscall
    m.state.rdi = one.value;
    m.state.rsi = two.value;
    REQUIRE(describe(m.start()) == "syscall");
    CHECK(m.cpu().state().rbx == 1);

    gpa table = layout::pml4;
    for (int shift : {39, 30})
        table = {m.memory().word(table + (one.value >> shift & 511) * 8) & ~0xfffull};
    std::swap(m.memory().word(table + 0), m.memory().word(table + 8));
    REQUIRE(m.vm.drop_all_translations().has_value());
    REQUIRE(describe(m.start()) == "syscall");
    CHECK(m.cpu().state().rbx == 2);
    CHECK(m.cpu().state().rdx == 1);
}

TEST_CASE("each root of page tables shows its own memory, switched as often as one likes") {
    machine m;
    const auto code = {0x8b, 0x1f, 0xff, 0x07, 0x0f, 0x05};  // mov ebx,[rdi] ; inc dword [rdi] ; syscall
    m.code(code);
    m.map(page, rw);
    m.word(page) = 100;
    const gpa first = m.root, second = m.another_root();
    m.map(code_at, rx);
    m.code(code);
    m.map(page, rw);
    m.word(page) = 200;
    m.state.rdi = page.value;
    CHECK(m.cpu().root() == first);
    for (std::uint64_t i = 0; i < 3; ++i) {
        for (const auto& [root, value] : {std::pair(first, 100 + i), std::pair(second, 200 + i)}) {
            m.cpu().set_root(root);
            REQUIRE(describe(m.start()) == "syscall");
            CHECK(m.cpu().state().rbx == value);
            CHECK(m.cpu().root() == root);
        }
        // It stays through what follows a call by itself.
        m.cpu().return_from_syscall(0);
        CHECK(m.cpu().root() == second);
    }
    // A fault in the second is one, though the first has a page there.
    m.state.rdi = data_at.value;
    CHECK(describe(m.start()) == exception(14, 4, data_at.value));
    m.cpu().set_root(first);
    CHECK(describe(m.start()) == "syscall");
}

TEST_CASE("memory the host cannot supply is a memory exit") {
    machine m;
    store_program(m);
    auto& entry = m.map(page, rw);
    const gpa frame{entry & 0x000f'ffff'ffff'f000};
    char name[] = "/tmp/hearth-test-XXXXXX";
    const int fd = mkstemp(name);
    REQUIRE(fd >= 0);
    unlink(name);
    REQUIRE(
        m.memory().map_file(frame, page_size, fd, 0).has_value());  // past the end of an empty file
    const vm_exit e = m.start();
    REQUIRE(is<memory_exit>(e));
    CHECK(std::get<memory_exit>(e).rip == code_at.value);
    REQUIRE(m.memory().unmap_file(frame, page_size).has_value());
    CHECK(describe(m.start()) == "syscall");
    close(fd);
}
