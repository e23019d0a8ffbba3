#include <hearth/error.hpp>
#include <hearth/version.hpp>

namespace hearth {
namespace {

class category final : public boost::system::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "hearth"; }
    [[nodiscard]] std::string message(int value) const override {
        switch (static_cast<errc>(value)) {
            case errc::kvm_missing: return "/dev/kvm does not exist: load the kvm module, or enable virtualisation";
            case errc::kvm_forbidden: return "/dev/kvm may not be opened: add this user to the group kvm";
            case errc::kvm_unsupported: return "this KVM lacks a capability Hearth needs";
            case errc::kvm_failed: return "a KVM operation failed";
            case errc::no_room: return "no room for another microVM";
            case errc::io_failed: return "reading or writing a file failed";
            case errc::storage_failed: return "the data directory cannot be used";
            case errc::snapshot_unusable: return "the stored snapshot cannot be used";
            case errc::invalid_argument: return "a configuration value is out of range";
            case errc::bad_package: return "the deployment package cannot be used";
            case errc::package_too_large: return "the deployment package is too large";
            case errc::missing_entry_point: return "the deployment package has no bootstrap at its root";
            case errc::not_executable: return "the program has no execute permission";
            case errc::bad_executable: return "the program is not an x86-64 Linux ELF executable";
            case errc::missing_interpreter: return "the program's interpreter or a library is missing";
            case errc::payload_too_large: return "the event is larger than 6 MB";
            case errc::not_found: return "no such function";
            case errc::already_exists: return "a function of that name exists";
            case errc::unsupported: return "this is not supported yet";
            case errc::precondition_failed: return "the RevisionId is not the latest";
            case errc::code_storage_exceeded: return "the code storage limit is exceeded";
            case errc::throttled: return "a concurrency limit is reached";
            case errc::init_failed: return "the function failed to initialise";
            case errc::not_ready: return "the function is not active";
            case errc::shutting_down: return "the runtime is shutting down";
            case errc::sandbox_poisoned: return "the sandbox was left in an undefined state";
            case errc::not_snapshotable: return "the sandbox holds a host resource that cannot be saved";
            case errc::address_in_use: return "another server listens on that address";
            case errc::conflict: return "the function is being created or updated";
            case errc::recursive_invocation: return "the function is part of a recursive loop";
        }
        return "unknown error " + std::to_string(value);
    }
};

}  // namespace

const boost::system::error_category& error_category() noexcept {
    static const category instance;
    return instance;
}

#define HEARTH_TEXT_(x) #x
#define HEARTH_TEXT(x) HEARTH_TEXT_(x)
const char* version() noexcept {
    return HEARTH_TEXT(HEARTH_VERSION_MAJOR) "." HEARTH_TEXT(HEARTH_VERSION_MINOR) "." HEARTH_TEXT(HEARTH_VERSION_PATCH);
}

}  // namespace hearth
