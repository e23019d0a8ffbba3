/// man 2 adjtimex, clock_adjtime: the clock is the host's, and nobody keeps it in step with another
/// as far as a guest can see.

#include "guest/kernel/kernel.hpp"
#include "guest/sys/time.hpp"

#include <sys/timex.h>

#include <cerrno>

namespace hearth::guest {
namespace {

sysret tell(task& t, guest_ptr<abi::timex> place) {
    const auto asked = t.read(place);
    if (!asked) return asked.error();
    if (asked->modes) return sysret::error(EPERM);
    abi::timex now{};
    now.max_error = now.estimated_error = 16'000'000;  // NTP_PHASE_LIMIT: not known
    now.status = STA_UNSYNC;
    now.constant = 2;
    now.precision = 1;
    now.tolerance = 500 << 16;  // MAXFREQ, scaled
    now.time = to_timeval(t.kernel().host().realtime_now());
    now.tick = 10'000;
    if (auto ok = t.write(place, now); !ok) return ok.error();
    return TIME_ERROR;  // not synchronised
}

}  // namespace

sysret sys_adjtimex(task& t, guest_ptr<abi::timex> place) { return tell(t, place); }

sysret sys_clock_adjtime(task& t, int clock, guest_ptr<abi::timex> place) {
    if (clock == abi::clock_realtime) return tell(t, place);
    const bool known = clock >= 0 && clock <= abi::clock_tai && clock != 10;
    return sysret::error(known ? EOPNOTSUPP : EINVAL);
}

}  // namespace hearth::guest
