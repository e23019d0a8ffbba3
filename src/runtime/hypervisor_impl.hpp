#pragma once

#include "base/deadline_watch.hpp"
#include "vmm/kvm.hpp"

#include <hearth/hypervisor.hpp>

namespace hearth {

struct hypervisor::impl {
    impl(vmm::kvm k, int signal) : kvm(std::move(k)), kick_signal(signal) {}

    const vmm::kvm kvm;
    const int kick_signal;
    deadline_watch watch;
};

}  // namespace hearth
