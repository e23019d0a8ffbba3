#pragma once

/// A guest on the native path, without a worker around it: what tests of snapshots ask and restore.

#include "guest/vfs/filesystem.hpp"
#include "sandbox/sandbox.hpp"

#include <catch2/catch.hpp>

#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace snapshot_tests {

using namespace hearth;
using namespace hearth::literals;

inline const int kick_signal = SIGRTMIN + 7;
inline constexpr byte_count memory = 64_MiB;

inline vmm::kvm& the_kvm() {
    static vmm::kvm kvm = vmm::kvm::open().value();
    return kvm;
}
inline detail::shell new_shell(byte_count size = memory) {
    return vmm::vm::create(the_kvm(), detail::sandbox::shell_options(size, kick_signal, false))
        .value();
}
inline std::shared_ptr<guest::vfs::filesystem> new_files() {
    return guest::vfs::filesystem::create(
               guest::vfs::host_root("/", 64_MiB,
                                     std::vector<std::filesystem::path>{HEARTH_GUESTS_DIR})
                   .value())
        .value();
}
inline std::shared_ptr<guest::vfs::filesystem> files() {
    static const auto f = new_files();
    return f;
}

class streams final : public detail::sandbox_streams {
  public:
    std::size_t write(guest::stream, std::span<const std::byte> b) override { return b.size(); }
};
inline streams silent;

struct guest_box {
    explicit guest_box(detail::shell s = new_shell(),
                       std::shared_ptr<guest::vfs::filesystem> f = files(),
                       detail::sandbox_services* services = nullptr)
        : sandbox(std::move(s), {memory, std::move(f), &silent, services, false}) {}

    static guest_box started(const std::string& program = "snapshot_guest") {
        return guest_box(new_shell(), program);
    }
    guest_box(detail::shell s, const std::string& program) : guest_box(std::move(s)) {
        const std::string path = HEARTH_GUESTS_DIR "/" + program;
        const auto loaded = sandbox.load({path, {path}, {"A=b"}, "/"});
        INFO((loaded.has_error() ? loaded.error().message() : ""));
        REQUIRE(loaded.has_value());
        run();
        REQUIRE(sandbox.kernel().native().waiting);
    }
    void run() {
        const vmm::run_scope scope(kick_signal);
        const auto outcome = sandbox.run(scope);
        const auto* exited = std::get_if<detail::run_exited>(&outcome);
        const auto* poisoned = std::get_if<detail::run_poisoned>(&outcome);
        INFO((exited ? "exit " + std::to_string(exited->status.code) + " signal " +
                           std::to_string(exited->status.signal)
                     : "")
             << (poisoned ? poisoned->reason : ""));
        REQUIRE(std::holds_alternative<detail::run_parked>(outcome));
    }
    std::string ask(const std::string& what) {
        guest::native_event e;
        e.payload = what;
        sandbox.kernel().native().event = std::move(e);
        run();
        auto& reply = sandbox.kernel().native().reply;
        REQUIRE(reply);
        std::string text = std::move(reply->payload);
        reply.reset();
        return text;
    }
    auto snapshot() {
        auto s = sandbox.snapshot();
        INFO((s.has_error() ? s.error().message() : ""));
        REQUIRE(s.has_value());
        return *s;
    }
    detail::memory_restored restore(std::shared_ptr<const detail::snapshot_image> image) {
        auto r = sandbox.restore(std::move(image));
        INFO((r.has_error() ? r.error().message() : ""));
        REQUIRE(r.has_value());
        return *r;
    }

    detail::sandbox sandbox;
};

}  // namespace snapshot_tests
