#pragma once

/// File descriptors: small numbers to open file descriptions. A value.

#include "base/codec_access.hpp"
#include "guest/kernel/wait_state.hpp"
#include "guest/outcome.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

namespace hearth::guest::vfs {

/// Descriptors a process may have (Lambda: 1,024).
inline constexpr int max_descriptors = 1024;

struct descriptor {
    description_id description{};
    bool close_on_exec = false;
    bool operator==(const descriptor&) const = default;
};

class fd_table {
  public:
    [[nodiscard]] const descriptor* find(int fd) const noexcept;
    [[nodiscard]] descriptor* find(int fd) noexcept;
    /// The lowest free number from `from` on. EMFILE at the limit.
    [[nodiscard]] outcome<int> insert(descriptor d, int from = 0);
    void set(int fd, descriptor d);
    std::optional<descriptor> remove(int fd);
    [[nodiscard]] const std::map<int, descriptor>& all() const noexcept { return entries_; }
    bool operator==(const fd_table&) const = default;

  private:
    friend struct codec::access;
    static auto fields(auto& self) { return std::tie(self.entries_); }
    std::map<int, descriptor> entries_;
};

}  // namespace hearth::guest::vfs
