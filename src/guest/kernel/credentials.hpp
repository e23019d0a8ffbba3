#pragma once

/// What the ids and capabilities of a process allow, and how they change (man 7 credentials, man 7
/// capabilities). They are the guest's own affair: nothing outside of it asks about them. There are
/// no set-id programs and no capabilities of files.

#include "guest/kernel/kernel_state.hpp"

namespace hearth::guest {

/// CAP_KILL and its like, in effect.
inline bool capable(const process_state& p, int capability) noexcept {
    return (p.ids.effective >> capability & 1) != 0;
}

/// Whether a signal may be sent (man 2 kill).
[[nodiscard]] bool may_signal(const process_state& from,
                              const process_state& to,
                              int number) noexcept;
/// PTRACE_MODE_ATTACH_REALCREDS (man 2 ptrace, "Ptrace access mode checking").
[[nodiscard]] bool may_attach(const process_state& who, const process_state& to) noexcept;

/// A change of ids: made while this lives, then its consequences are drawn.
class id_change {
  public:
    /// `of_files`: by setfsuid, which takes and gives what concerns files alone.
    explicit id_change(process_state& p, bool of_files = false) noexcept;
    ~id_change();
    id_change(const id_change&) = delete;
    id_change& operator=(const id_change&) = delete;

  private:
    process_state& p_;
    const bool of_files_;
    const std::uint32_t uid_, euid_, suid_, fsuid_, egid_, fsgid_;
};

/// execve: root gets what the bounding set leaves, others keep what is ambient.
void execute_with(process_state& p) noexcept;

}  // namespace hearth::guest
