#include "base/try.hpp"
#include "runtime/hypervisor_impl.hpp"

#include <csignal>
#include <utility>

namespace hearth {

result<hypervisor> hypervisor::open(hypervisor_options options) {
    const int signal = SIGRTMIN + options.kick_signal_offset;
    if (options.kick_signal_offset < 0 || signal > SIGRTMAX)
        return error(errc::invalid_argument, "kick_signal_offset is beyond SIGRTMAX");
    HEARTH_TRY(auto kvm, vmm::kvm::open(options.device.c_str()));
    return hypervisor(std::make_shared<impl>(std::move(kvm), signal));
}

const char* hypervisor::flavour() const noexcept { return vmm::to_string(impl_->kvm.flavour()); }

}  // namespace hearth
