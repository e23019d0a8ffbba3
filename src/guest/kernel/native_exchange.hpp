#pragma once

/// The native path: one private system call hands over a reply and takes the next event, so a warm
/// invocation is one exit. The guest side is `include/hearth/guest.h`, which a function compiles
/// in. Values.

#include "vmm/address.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace hearth::guest {

/// The private system call. Far above Linux's numbers: on real Lambda it answers ENOSYS and the SDK
/// falls back to the Runtime API over HTTP.
inline constexpr std::uint64_t sys_hearth_exchange_number = 0x4845'4152;  // "HEAR"

struct native_event {
    std::string request_id;
    std::int64_t deadline_ms = 0;  ///< since the epoch
    std::string function_arn;
    std::string trace_id;
    std::string client_context;
    std::string tenant_id;  ///< the Runtime API tells it, the native path does not
    std::string payload;
    bool operator==(const native_event&) const = default;
};

/// Replies over this are refused with E2BIG; Lambda refuses them with 413 (its quota of 6 MB, as it
/// counts).
inline constexpr std::uint64_t native_reply_limit = 6'291'556;

struct native_reply {
    bool failed = false;  ///< the payload is an error document
    std::string payload;
    bool operator==(const native_reply&) const = default;
};

struct native_exchange {
    bool waiting = false;   ///< a task is parked in the call, wanting an event
    bool busy = false;      ///< an event has been handed out and its reply is outstanding
    bool restored = false;  ///< came from a snapshot, and no event has told the function yet
    std::optional<native_event> event;  ///< put there by the host, taken by the call
    std::optional<native_reply> reply;  ///< put there by the call, taken by the host
    bool operator==(const native_exchange&) const = default;
};

}  // namespace hearth::guest
