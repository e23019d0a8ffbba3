#pragma once

/// Errors of the library itself: "we could not do it". A function that fails (throws, times out,
/// exits) is not an error but a value in `response`.
///
/// `result<T>` is `boost::system::result<T, hearth::error>`: a code that Asio and Beast speak, and a
/// sentence that says what is wrong in this case and how to mend it. `.value()` throws
/// `boost::system::system_error` with that sentence as `what()`.

#include <boost/assert/source_location.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <string>
#include <type_traits>
#include <utility>

namespace hearth {

using boost::system::error_code;

/// Stable: values are never renumbered; new ones are added at the end of their group.
enum class errc {
    // The host.
    kvm_missing = 1,      ///< /dev/kvm does not exist
    kvm_forbidden = 2,    ///< /dev/kvm may not be opened by this user
    kvm_unsupported = 3,  ///< this KVM lacks something we need; the detail names it
    kvm_failed = 4,       ///< a KVM ioctl failed unexpectedly
    no_room = 5,          ///< the memory budget or the host has no room for another microVM
    io_failed = 6,        ///< reading or writing a host file failed
    storage_failed = 7,   ///< the data directory or its database cannot be used
    snapshot_unusable = 8, ///< a stored snapshot cannot be used and is to be made anew; the detail says why

    // What the user gave us.
    invalid_argument = 20,    ///< a configuration value is out of range; the detail says which
    bad_package = 21,         ///< the deployment package cannot be read, or is refused
    package_too_large = 22,   ///< over 50 MB zipped or 250 MB unzipped
    missing_entry_point = 23, ///< no `bootstrap` in the package
    not_executable = 24,      ///< the program has no execute permission
    bad_executable = 25,      ///< not an x86-64 Linux ELF file, or a malformed one
    missing_interpreter = 26, ///< the program's interpreter or a library it needs is not there
    payload_too_large = 27,   ///< an event over 6 MB
    not_found = 28,           ///< no such function or version
    already_exists = 29,      ///< a function of that name exists
    unsupported = 30,         ///< asks for something Hearth does not do yet; the detail names it
    precondition_failed = 31, ///< the RevisionId given is not the function's latest
    code_storage_exceeded = 32, ///< all packages together are over the code storage limit

    // The moment.
    throttled = 40,           ///< a concurrency limit is reached
    init_failed = 41,         ///< the function failed before it asked for its first event
    not_ready = 42,           ///< the function is still Pending, or Failed
    shutting_down = 43,       ///< the runtime drains or has been destroyed
    sandbox_poisoned = 44,    ///< the last run of this sandbox did not end at a boundary
    not_snapshotable = 45,    ///< the sandbox holds something that has no value form
    address_in_use = 46,      ///< another server listens there
    conflict = 47,            ///< the function is being created or updated
    recursive_invocation = 48, ///< the function would go on with a loop of invocations
};

const boost::system::error_category& error_category() noexcept;

inline error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

/// A code and, where there is more to say than the code's own message, a sentence.
class error {
  public:
    error() = default;
    error(errc code) : code_(make_error_code(code)) {}  // NOLINT(google-explicit-constructor)
    error(error_code code) : code_(code) {}             // NOLINT(google-explicit-constructor)
    error(errc code, std::string detail) : code_(make_error_code(code)), detail_(std::move(detail)) {}
    error(error_code code, std::string detail) : code_(code), detail_(std::move(detail)) {}

    [[nodiscard]] error_code code() const noexcept { return code_; }
    /// Empty when the code says it all.
    [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
    /// The detail, or the code's message.
    [[nodiscard]] std::string message() const { return detail_.empty() ? code_.message() : detail_; }

    friend bool operator==(const error& e, errc c) noexcept { return e.code_ == make_error_code(c); }

  private:
    error_code code_;
    std::string detail_;
};

[[noreturn]] inline void throw_exception_from_error(const error& e, const boost::source_location&) {
    throw boost::system::system_error(e.code(), e.message());
}

template <class T>
using result = boost::system::result<T, error>;

}  // namespace hearth

template <>
struct boost::system::is_error_code_enum<hearth::errc> : std::true_type {};
