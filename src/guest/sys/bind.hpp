#pragma once

/// `bind<sys_pipe2>` turns a handler with the C prototype of its system call into a row's two
/// functions. The handler's type is the ABI, written once: registers are narrowed to each
/// parameter's type as the kernel's SYSCALL_DEFINE wrappers do (an `int fd` ignores the upper
/// half), and the tracer prints from it.

#include "guest/guest_ptr.hpp"
#include "guest/kernel/task.hpp"
#include "guest/kernel/tracer.hpp"
#include "guest/sys/table.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

namespace hearth::guest {

/// The six argument registers in order.
inline std::array<std::uint64_t, 6> arguments_of(const vmm::vcpu_state& r) noexcept {
    return {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9};
}

namespace bind_detail {

template <class T>
struct argument {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    static T decode(std::uint64_t raw) noexcept { return static_cast<T>(raw); }
    static std::string format(task&, T value) {
        if constexpr (std::is_enum_v<T> || std::is_signed_v<T>)
            return tracer::format_number(static_cast<std::int64_t>(value));
        else
            return tracer::format_number(static_cast<std::uint64_t>(value));
    }
};
template <class T>
struct argument<guest_ptr<T>> {
    static guest_ptr<T> decode(std::uint64_t raw) noexcept { return {gva{raw}}; }
    static std::string format([[maybe_unused]] task& t, guest_ptr<T> p) {
        if constexpr (std::is_same_v<T, const char>) {  // a string argument
            if (p) return tracer::format_text(t, p.address.value);
        }
        return tracer::format_pointer(p.address.value);
    }
};

template <auto Handler, class... Args, std::size_t... I>
sysret call(task& t, sysret (*)(task&, Args...), std::index_sequence<I...>) {
    [[maybe_unused]] const auto raw = arguments_of(t.registers());
    return Handler(t, argument<Args>::decode(raw[I])...);
}
template <class... Args, std::size_t... I>
std::string format(task& t, sysret (*)(task&, Args...), std::index_sequence<I...>) {
    [[maybe_unused]] const auto raw = arguments_of(t.registers());
    std::string out;
    (out.append(I ? ", " : "").append(argument<Args>::format(t, argument<Args>::decode(raw[I]))),
     ...);
    return out;
}
template <class... Args>
constexpr auto indices(sysret (*)(task&, Args...)) {
    static_assert(sizeof...(Args) <= 6);
    return std::index_sequence_for<Args...>{};
}

}  // namespace bind_detail

template <auto Handler>
sysret bind_call(task& t) {
    return bind_detail::call<Handler>(t, Handler, bind_detail::indices(Handler));
}
template <auto Handler>
std::string bind_format(task& t) {
    return bind_detail::format(t, Handler, bind_detail::indices(Handler));
}

template <auto Handler>
inline constexpr binding bind{&bind_call<Handler>, &bind_format<Handler>, true};

}  // namespace hearth::guest
