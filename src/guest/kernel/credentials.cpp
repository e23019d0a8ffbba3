#include "guest/kernel/credentials.hpp"

#include "guest/abi/signal.hpp"

#include <linux/capability.h>
#include <linux/securebits.h>

#include <initializer_list>

namespace hearth::guest {
namespace {

constexpr std::uint64_t set_of(std::initializer_list<int> capabilities) {
    std::uint64_t set = 0;
    for (const int c : capabilities) set |= std::uint64_t{1} << c;
    return set;
}
/// CAP_FS_SET, with what goes with it.
constexpr std::uint64_t file_capabilities =
    set_of({CAP_CHOWN, CAP_MKNOD, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID,
            CAP_LINUX_IMMUTABLE, CAP_MAC_OVERRIDE});

bool secured(const process_state& p, int bit) noexcept {
    return (p.ids.secure_bits & issecure_mask(bit)) != 0;
}

}  // namespace

bool may_signal(const process_state& from, const process_state& to, int number) noexcept {
    if (&from == &to || capable(from, CAP_KILL)) return true;
    for (const auto id : {from.ids.euid, from.uid})
        if (id == to.uid || id == to.ids.suid) return true;
    return number == abi::sigcont && from.session == to.session;
}

bool may_attach(const process_state& who, const process_state& to) noexcept {
    if (&who == &to || capable(who, CAP_SYS_PTRACE)) return true;
    const auto all_are = [](std::uint32_t own, std::uint32_t a, std::uint32_t b, std::uint32_t c) {
        return own == a && own == b && own == c;
    };
    return all_are(who.uid, to.uid, to.ids.euid, to.ids.suid) &&
           all_are(who.gid, to.gid, to.ids.egid, to.ids.sgid) && to.dumpable &&
           (to.ids.permitted & ~who.ids.permitted) == 0;
}

id_change::id_change(process_state& p, bool of_files) noexcept
    : p_(p),
      of_files_(of_files),
      uid_(p.uid),
      euid_(p.ids.euid),
      suid_(p.ids.suid),
      fsuid_(p.ids.fsuid),
      egid_(p.ids.egid),
      fsgid_(p.ids.fsgid) {}

/// security/commoncap.c, cap_task_fix_setuid; kernel/cred.c, commit_creds.
id_change::~id_change() {
    credentials& ids = p_.ids;
    if (of_files_ && !secured(p_, SECURE_NO_SETUID_FIXUP)) {
        if (fsuid_ == 0 && ids.fsuid != 0) ids.effective &= ~file_capabilities;
        if (fsuid_ != 0 && ids.fsuid == 0) ids.effective |= ids.permitted & file_capabilities;
    } else if (!secured(p_, SECURE_NO_SETUID_FIXUP)) {
        const bool was_root = uid_ == 0 || euid_ == 0 || suid_ == 0;
        if (was_root && p_.uid != 0 && ids.euid != 0 && ids.suid != 0) {
            if (!secured(p_, SECURE_KEEP_CAPS)) ids.permitted = ids.effective = 0;
            ids.ambient = 0;
        }
        if (euid_ == 0 && ids.euid != 0) ids.effective = 0;
        if (euid_ != 0 && ids.euid == 0) ids.effective = ids.permitted;
    }
    if (euid_ != ids.euid || fsuid_ != ids.fsuid || egid_ != ids.egid || fsgid_ != ids.fsgid) {
        p_.dumpable = false;
        p_.parent_death_signal = 0;
    }
}

void execute_with(process_state& p) noexcept {
    credentials& ids = p.ids;
    const auto before = ids.permitted;
    const auto file_user = ids.fsuid, file_group = ids.fsgid;
    ids.permitted = ids.ambient;
    ids.effective = ids.ambient;
    if (!secured(p, SECURE_NOROOT) && (ids.euid == 0 || p.uid == 0)) {
        ids.permitted = ids.inheritable | ids.bounding;
        if (ids.euid == 0) ids.effective = ids.permitted;
    }
    ids.suid = ids.fsuid = ids.euid;
    ids.sgid = ids.fsgid = ids.egid;
    ids.secure_bits &= ~std::uint32_t{issecure_mask(SECURE_KEEP_CAPS)};
    p.dumpable = ids.euid == p.uid && ids.egid == p.gid && ids.fsuid == file_user &&
                 ids.fsgid == file_group && (ids.permitted & ~before) == 0;
}

}  // namespace hearth::guest
