#include "machine.hpp"
#include "vmm/x86_64/syscall_stub.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

using namespace hearth::vmm;
using namespace hearth::vmm::test;
using namespace std::chrono_literals;

namespace {

/// A kick that arrives on a busy emulated machine too may take its time; a lost one takes for ever.
class kicker {
  public:
    explicit kicker(vcpu& cpu, std::chrono::microseconds after = 2ms)
        : thread_([&cpu, after] {
              std::this_thread::sleep_for(after);
              cpu.kick();
          }) {}
    ~kicker() { thread_.join(); }

  private:
    std::thread thread_;
};

bool kick_signal_blocked() {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    return sigismember(&mask, default_kick_signal()) == 1;
}

}  // namespace

TEST_CASE("a kick from another thread stops a program that spins, and it can go on") {
    machine m;
    m.code({0x48, 0xff, 0xc3, 0xeb, 0xfb});  // L: inc rbx ; jmp L
    std::uint64_t last = 0;
    m.cpu().set_state(m.state);
    for (int i = 0; i < 5 || (last == 0 && i < 1000); i++) {
        kicker k(m.cpu());
        REQUIRE(describe(m.run()) == "interrupted");
        const vcpu_state s = m.cpu().state();
        CHECK(s.rbx >= last);  // equal where the kick came before the program could run
        CHECK((s.rip == code_at.value || s.rip == code_at.value + 3));
        last = s.rbx;
    }
    CHECK(last > 0);
}

TEST_CASE("a kick before a run stops that run and no other") {
    machine m;
    m.code({0x0f, 0x05, 0xeb, 0xfc});
    m.cpu().set_state(m.state);
    m.cpu().kick();
    m.cpu().kick();
    CHECK(describe(m.run()) == "interrupted");
    CHECK(m.cpu().state().rip == code_at.value);
    CHECK(describe(m.run()) == "syscall");
}

TEST_CASE("a forgotten kick stops nothing") {
    machine m;
    m.code({0x0f, 0x05});
    m.cpu().kick();
    m.cpu().clear_kick();
    CHECK(describe(m.start()) == "syscall");
}

TEST_CASE(
    "a kick between a system call and the next run loses neither the answer nor an instruction") {
    machine m;
    // xor ebx,ebx ; L: mov eax,0x1000 ; syscall ; add rbx,rax ; jmp L
    m.code({0x31, 0xdb, 0xb8, 0x00, 0x10, 0, 0, 0x0f, 0x05, 0x48, 0x01, 0xc3, 0xeb, 0xf4});
    REQUIRE(describe(m.start()) == "syscall");
    for (std::uint64_t i = 1; i <= 20; i++) {
        m.cpu().return_from_syscall(1);
        m.cpu().kick();
        REQUIRE(describe(m.run()) == "interrupted");
        const vcpu_state s = m.cpu().state();
        REQUIRE(s.rax == 1);
        REQUIRE(s.rip == code_at.value + 9);
        if (i % 2) m.cpu().set_state(s);  // as a switch between tasks does
        REQUIRE(describe(m.run()) == "syscall");
        REQUIRE(m.cpu().state().rbx == i);
    }
}

TEST_CASE("kicks racing with system calls and with answers in the stub lose nothing") {
    machine m;
    // The host adds up its answers, the guest too; getpid's answer, 5, is added from the stub page.
    // xor ebx,ebx ; L: mov eax,0x1000 ; syscall ; add rbx,rax ; mov eax,39 ; syscall ; add rbx,rax
    // ; jmp L
    m.code({0x31, 0xdb, 0xb8, 0x00, 0x10, 0,    0,    0x0f, 0x05, 0x48, 0x01, 0xc3,
            0xb8, 39,   0,    0,    0,    0x0f, 0x05, 0x48, 0x01, 0xc3, 0xeb, 0xea});
    reinterpret_cast<vvar*>(m.memory().at(layout::vvar, sizeof(vvar)))->pid = 5;

    constexpr int kicks = 1000;
    std::atomic<bool> done = false;
    std::thread other([&] {
        for (int i = 0; i < kicks; i++) {
            m.cpu().kick();
            std::this_thread::sleep_for(std::chrono::microseconds(i % 37));
        }
        done = true;
    });
    m.cpu().set_state(m.state);
    std::uint64_t expected = 0, calls = 0, interruptions = 0;
    std::string wrong;
    while (!done && wrong.empty()) {
        const vm_exit e = m.run();
        const vcpu_state s = m.cpu().state();
        if (is<interrupted_exit>(e)) {
            interruptions++;
            // Half the time as a snapshot would: taken out and put in again.
            if (interruptions % 2) m.cpu().set_state(s);
        } else if (is<syscall_exit>(e)) {
            if (s.rbx != expected) wrong = "sum";
            if (s.rax != 0x1000 || s.rip != code_at.value + 9) wrong = "arguments";
            calls++;
            m.cpu().return_from_syscall(calls);
            expected += calls + 5;
        } else {
            wrong = describe(e);
        }
    }
    other.join();
    CHECK(wrong == "");
    CHECK(interruptions > 0);
    CHECK(calls > 0);
    m.cpu().clear_kick();
    vm_exit e = m.run();
    while (is<interrupted_exit>(e)) e = m.run();
    REQUIRE(describe(e) == "syscall");
    CHECK(m.cpu().state().rbx == expected);
}

TEST_CASE("kicks racing with exceptions lose none of them") {
    machine m;
    m.code({0x48, 0xff, 0xc3, 0xcc, 0xeb, 0xfa});  // L: inc rbx ; int3 ; jmp L
    std::atomic<bool> done = false;
    std::thread other([&] {
        for (int i = 0; i < 300; i++) {
            m.cpu().kick();
            std::this_thread::sleep_for(std::chrono::microseconds(i % 53));
        }
        done = true;
    });
    m.cpu().set_state(m.state);
    std::uint64_t traps = 0;
    std::string wrong;
    while (!done && wrong.empty()) {
        const vm_exit e = m.run();
        if (is<interrupted_exit>(e)) {
            m.cpu().set_state(m.cpu().state());
            continue;
        }
        traps++;
        if (describe(e) != exception(3)) wrong = describe(e);
        if (m.cpu().state().rbx != traps)
            wrong = "rbx " + std::to_string(m.cpu().state().rbx) + " after " +
                    std::to_string(traps) + " traps";
    }
    other.join();
    CHECK(wrong == "");
}

TEST_CASE("a program that has met an INT3 can still be stopped while it spins") {
    machine m;
    m.code({0xcc, 0xeb, 0xfe});  // int3 ; jmp .
    REQUIRE(describe(m.start()) == exception(3));
    kicker k(m.cpu());
    CHECK(describe(m.run()) == "interrupted");
}

TEST_CASE(
    "wherever a program is stopped in the stub, its state is that of a call to be made again") {
    machine m;
    reinterpret_cast<vvar*>(m.memory().at(layout::vvar, sizeof(vvar)))->pid = 77;
    // mov eax,39 ; syscall ; mov rbx,rax ; mov eax,0x1000 ; syscall
    m.code({0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xc3, 0xb8, 0, 0x10, 0, 0, 0x0f, 0x05});
    m.state.rflags = 0x202 | 0x8d5;
    std::byte* stub = m.memory().at(layout::syscall_stub, page_size);
    // The guest is held there by a loop in place of the stub's own code: with RAX intact at the
    // entry, and with RAX lost in the answer's slot.
    const std::pair<gva, std::vector<int>> holds[] = {
        {x86_64::stub_entry, {0xeb, 0xfe}},                // jmp .
        {x86_64::stub_answers, {0x31, 0xc0, 0xeb, 0xfe}},  // xor eax,eax ; jmp .
    };
    for (const auto& [where, loop] : holds) {
        std::byte* at = stub + (where - x86_64::stub_entry);
        const std::vector<std::byte> original(at, at + loop.size());
        std::ranges::transform(loop, at, [](int b) { return static_cast<std::byte>(b); });
        m.cpu().set_state(m.state);
        vcpu_state s;
        for (int i = 0; i < 100 && s.rip != code_at.value + 5; i++) {
            kicker k(m.cpu());
            REQUIRE(describe(m.run()) == "interrupted");
            s = m.cpu().state();
        }
        REQUIRE(s.rip == code_at.value + 5);
        CHECK(s.rax == 39);
        CHECK((s.rflags & 0x8d5) == 0x8d5);

        std::ranges::copy(original, at);
        m.cpu().set_state(s);
        REQUIRE(describe(m.run()) == "syscall");
        CHECK(m.cpu().state().rbx == 77);
    }
}

TEST_CASE("a program stopped in the stub with its answer keeps the answer") {
    if (the_kvm().flavour() != flavour::hardware) return;  // software KVM never comes back to it
    machine m(false);
    m.code({0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xc3, 0x0f, 0x05});
    REQUIRE(describe(m.start()) == "syscall");
    std::byte* after =
        m.memory().at(layout::syscall_stub + (x86_64::stub_after_out - x86_64::stub_entry), 2);
    after[0] = std::byte{0xeb}, after[1] = std::byte{0xfe};  // jmp .
    m.cpu().return_from_syscall(55);
    kicker k(m.cpu());
    REQUIRE(describe(m.run()) == "interrupted");
    const vcpu_state s = m.cpu().state();
    CHECK(s.rip == code_at.value + 7);
    CHECK(s.rax == 55);
    m.cpu().set_state(s);
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(m.cpu().state().rbx == 55);
}

TEST_CASE("kicks leave nothing behind on the thread, and no handler on the process") {
    {
        machine m;
        m.code({0xeb, 0xfe});
        m.cpu().set_state(m.state);
        CHECK(kick_signal_blocked());
        {
            kicker k(m.cpu());
            REQUIRE(describe(m.run()) == "interrupted");
        }
        m.cpu().kick();
        {
            run_scope nested(0);
            REQUIRE(describe(m.run()) == "interrupted");
        }
        CHECK(kick_signal_blocked());
        m.cpu().kick();
    }
    // The signal's default action would end the process now, were one left pending.
    CHECK(!kick_signal_blocked());
    struct sigaction action {};
    sigaction(default_kick_signal(), nullptr, &action);
    CHECK(action.sa_handler == SIG_DFL);
}

TEST_CASE("kicks reach a vCPU that moves between threads, and never a thread it left") {
    machine m;
    m.code({0x0f, 0x05, 0xeb, 0xfc});  // L: syscall ; jmp L
    m.cpu().set_state(m.state);
    std::atomic<bool> done = false;
    std::thread other([&] {
        while (!done) {
            m.cpu().kick();
            std::this_thread::sleep_for(20us);
        }
    });
    std::string wrong;
    for (int t = 0; t < 20; t++) {
        std::thread owner([&] {
            run_scope scope(0);
            for (int i = 0; i < 10; i++) {
                const vm_exit e = m.cpu().run(scope);
                if (is<syscall_exit>(e))
                    m.cpu().return_from_syscall(0);
                else if (!is<interrupted_exit>(e))
                    wrong = describe(e);
            }
        });
        owner.join();
    }
    done = true;
    other.join();
    CHECK(wrong == "");
}

TEST_CASE("a signal the embedder handles is delivered to its handler, and ends the run") {
    static std::atomic<int> seen;  // a handler can reach nothing else
    seen = 0;
    struct sigaction action {
    }, before{};
    action.sa_handler = [](int) { seen = 1; };
    sigaction(SIGUSR2, &action, &before);
    machine m;
    m.code({0xeb, 0xfe});
    m.cpu().set_state(m.state);
    const pthread_t self = pthread_self();
    std::atomic<bool> done = false;
    std::thread other([&] {
        // Again and again: one may come before the program runs, and then ends nothing.
        while (!done) {
            std::this_thread::sleep_for(2ms);
            pthread_kill(self, SIGUSR2);
        }
    });
    CHECK(describe(m.run()) == "interrupted");
    done = true;
    other.join();
    CHECK(seen == 1);
    sigaction(SIGUSR2, &before, nullptr);
}

TEST_CASE("a signal blocked on the thread stays blocked inside the guest") {
    machine m;
    m.code({0xeb, 0xfe});
    m.cpu().set_state(m.state);
    sigset_t usr2, before;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &usr2, &before);
    const pthread_t self = pthread_self();
    pthread_kill(self, SIGUSR2);  // its default action would end this process
    {
        kicker k(m.cpu());
        CHECK(describe(m.cpu().run()) == "interrupted");
    }
    const timespec now{};
    CHECK(sigtimedwait(&usr2, nullptr, &now) == SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
