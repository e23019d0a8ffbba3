#include "guest/sys/exchange.hpp"

#include "guest/abi/text_field.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/sys/bind.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace hearth::guest {
namespace {

// Tripwires: this is guest ABI, compiled into functions. A change of layout is a new, larger size.
static_assert(offsetof(hearth_exchange, needed) == 40 &&
              offsetof(hearth_exchange, request_id) == 80);
static_assert(sizeof(hearth_exchange) == 80 + 64 + 256 + 256);
static_assert(HEARTH_SYS_EXCHANGE == sys_hearth_exchange_number &&
              HEARTH_REPLY_LIMIT == native_reply_limit);

/// Takes the reply off the guest's hands. The flags are cleared in guest memory first of all:
/// should a signal end the wait, the call can be made again as it stands.
outcome<void> take_reply(task& t,
                         native_exchange& native,
                         guest_ptr<hearth_exchange> at,
                         const hearth_exchange& x) {
    if (!native.busy) return os_error{EINVAL};
    if (x.reply_length > native_reply_limit) return os_error{E2BIG};
    native_reply reply;
    reply.failed = x.flags & HEARTH_EXCHANGE_FAILED;
    reply.payload.resize(x.reply_length);
    if (auto r = t.memory().read(gva{x.reply}, std::as_writable_bytes(std::span(reply.payload)));
        !r)
        return r.error();
    const guest_ptr<std::uint32_t> flags{at.address + offsetof(hearth_exchange, flags)};
    if (auto r = t.write(flags, 0); !r) return r.error();
    native.reply = std::move(reply);
    native.busy = false;
    return {};
}

sysret give_event(task& t,
                  native_exchange& native,
                  guest_ptr<hearth_exchange> at,
                  hearth_exchange& x) {
    const auto& event = *native.event;
    x.flags = 0;
    x.needed = event.payload.size() + 1 + event.client_context.size() + 1;
    if (x.needed > x.capacity) {
        if (auto r = t.write(at, x); !r) return r.error();
        return sysret::error(ENOBUFS);
    }
    if (native.restored) x.flags = HEARTH_EXCHANGE_RESTORED;
    x.event_length = event.payload.size();
    x.client_context = event.payload.size() + 1;
    x.client_context_length = event.client_context.size();
    x.deadline_ms = event.deadline_ms;
    abi::put_text(x.request_id, event.request_id);
    abi::put_text(x.trace_id, event.trace_id);
    abi::put_text(x.function_arn, event.function_arn);
    // The zero bytes come along: std::string ends in one.
    const auto with_zero = [](const std::string& s) {
        return std::as_bytes(std::span(s.c_str(), s.size() + 1));
    };
    if (auto r = t.memory().write(gva{x.buffer}, with_zero(event.payload)); !r) return r.error();
    if (auto r =
            t.memory().write(gva{x.buffer} + x.client_context, with_zero(event.client_context));
        !r)
        return r.error();
    if (auto r = t.write(at, x); !r) return r.error();
    const auto length = static_cast<std::int64_t>(x.event_length);
    native.event.reset();
    native.restored = false;
    native.busy = true;
    native.waiting = false;
    return length;
}

}  // namespace

sysret sys_hearth_exchange(task& t, guest_ptr<hearth_exchange> at) {
    auto& native = t.kernel().native();
    native.waiting = false;
    auto x = t.read(at);
    if (!x) return x.error();
    x->flags &= ~HEARTH_EXCHANGE_RESTORED;  // left there by the last call
    if (x->size != sizeof(hearth_exchange) ||
        (x->flags & ~(HEARTH_EXCHANGE_REPLY | HEARTH_EXCHANGE_FAILED)))
        return sysret::error(EINVAL);
    if (x->flags & HEARTH_EXCHANGE_REPLY) {
        if (auto r = take_reply(t, native, at, *x); !r) return r.error();
    } else if (x->flags) {
        return sysret::error(EINVAL);
    }
    if (native.busy) return sysret::error(EBUSY);
    if (native.event) return give_event(t, native, at, *x);
    if (t.interrupted()) return sysret::park(*t.wait());
    native.waiting = true;
    wait_state wait;
    wait.native_event = true;
    return sysret::park(std::move(wait));
}

const syscall_row& exchange_row() noexcept {
    static constexpr syscall_row row{static_cast<std::uint32_t>(sys_hearth_exchange_number),
                                     "hearth_exchange",
                                     support_level::full,
                                     bind<sys_hearth_exchange>,
                                     "",
                                     ""};
    return row;
}

}  // namespace hearth::guest
