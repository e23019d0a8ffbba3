#include "vmm/vcpu.hpp"

#include <signal.h>

#include <cstring>

namespace hearth::vmm {
namespace {

sigset_t only(int signal) noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

}  // namespace

int default_kick_signal() noexcept { return SIGRTMIN + 7; }

run_scope::run_scope(int signal) noexcept : signal_(signal ? signal : default_kick_signal()) {
    const sigset_t kick = only(signal_);
    sigset_t before;
    sigemptyset(&before);
    pthread_sigmask(SIG_BLOCK, &kick, &before);
    was_blocked_ = sigismember(&before, signal_) == 1;
    sigdelset(&before, signal_);
    // glibc's sigset_t begins with the kernel's 64-bit one.
    static_assert(sizeof before >= sizeof run_mask_);
    std::memcpy(&run_mask_, &before, sizeof run_mask_);
}

run_scope::~run_scope() {
    if (was_blocked_) return;
    const sigset_t kick = only(signal_);
    pthread_sigmask(SIG_UNBLOCK, &kick, nullptr);
}

}  // namespace hearth::vmm
