#pragma once

/// The system-call table is data: one row per x86-64 number, with a level and, unless full, a
/// sentence. The README's table, the tracer and metric labels derive from it.

#include "guest/kernel/sysret.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hearth::guest {

class task;

enum class support_level {
    full,     ///< as man 2 says
    partial,  ///< the note names what is missing
    stub,     ///< answers as if done, does nothing; the note says why that is right
    refused,  ///< ENOSYS (or the errno the note names), a decision the note explains
};

/// A handler as the table holds it; `bind<sys_read>` (bind.hpp) makes one. Empty when refused.
struct binding {
    sysret (*call)(task&) = nullptr;  ///< decodes six registers and calls the handler
    std::string (*format)(task&) =
        nullptr;  ///< the arguments for the tracer: "3, \"/etc\", 0x80000"
    /// Says in a constant expression that `call` is set: under UBSan, GCC takes no function's address for
    /// known to be non-null (GCC bug 71962).
    bool bound = false;
};

struct syscall_row {
    std::uint32_t number = 0;
    std::string_view name;
    support_level level = support_level::refused;
    binding handler;
    std::string_view note = {};
    std::string_view since = {};  ///< the release that brought it (introduced_in); empty: 2.4 or before
};

/// A table belongs to a kernel instance; an embedder's override is a copy of it with rows replaced.
class syscall_table {
  public:
    /// Numbers are below this; the private call of the native path is no row of a table.
    static constexpr std::size_t capacity = 512;

    explicit syscall_table(std::span<const syscall_row> rows);
    /// The row of a number; null where Linux has none either: ENOSYS.
    [[nodiscard]] const syscall_row* find(std::uint64_t number) const noexcept {
        if (number >= capacity || index_[number] == absent) return nullptr;
        return &rows_[index_[number]];
    }
    [[nodiscard]] std::span<const syscall_row> rows() const noexcept {
        return {rows_.data(), count_};
    }
    /// Replaces the row of that number, or adds it. Numbers from `capacity` on are ignored.
    void replace(const syscall_row& row);

  private:
    static constexpr std::uint16_t absent = 0xffff;
    std::array<syscall_row, capacity> rows_{};
    std::array<std::uint16_t, capacity> index_ = [] {
        std::array<std::uint16_t, capacity> none{};
        none.fill(absent);
        return none;
    }();
    std::size_t count_ = 0;
};

/// The rows of this library.
const syscall_table& default_table();

}  // namespace hearth::guest
