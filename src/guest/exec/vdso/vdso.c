/* Guest code: the vDSO (man 7 vdso). Answers the clock without an exit, from the TSC and the vvar page just below
 * it; whatever it cannot answer becomes the system call. Position independent, no relocations, no data of its own.
 *
 * The host writes vvar only while the guest does not run; tsc0 serves as the sequence number. */

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_MONOTONIC_RAW 4
#define CLOCK_REALTIME_COARSE 5
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME 7

#define SYS_gettimeofday 96
#define SYS_time 201
#define SYS_clock_gettime 228
#define SYS_clock_getres 229
#define SYS_getcpu 309

typedef unsigned long u64;
typedef unsigned int u32;

struct timespec {
    long sec, nsec;
};
struct timeval {
    long sec, usec;
};
struct timezone {
    int minuteswest, dsttime;
};

/* vmm/x86_64/vvar.hpp, which pins the same offsets. */
struct vvar {
    u64 tsc0, monotonic_ns0, realtime_ns0;
    u32 mul, shift;
    u32 pid, tid, ppid, uid, gid, euid, egid;
};
_Static_assert(sizeof(struct vvar) == 64 && __builtin_offsetof(struct vvar, mul) == 24, "vvar.hpp");

extern const volatile struct vvar vvar_page __attribute__((visibility("hidden"))); /* vdso.lds */

static long system_call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* LFENCE: not before earlier loads (SDM, "RDTSC"). */
static u64 tsc(void) {
    u32 low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

/* The clock's time, or zero: not one of ours, or no clock written yet. */
static u64 now_of(int clock) {
    while (1) {
        const u64 then = vvar_page.tsc0;
        const u64 mul = vvar_page.mul;
        u64 base;
        if (mul == 0) return 0;
        switch (clock) {
            case CLOCK_MONOTONIC:
            case CLOCK_MONOTONIC_RAW:
            case CLOCK_MONOTONIC_COARSE:
            case CLOCK_BOOTTIME: base = vvar_page.monotonic_ns0; break;
            case CLOCK_REALTIME:
            case CLOCK_REALTIME_COARSE: base = vvar_page.realtime_ns0; break;
            default: return 0;
        }
        const u64 now = tsc();
        const u32 shift = vvar_page.shift;
        /* The host stopped us in the middle and wrote a new clock: every one has its own tsc0. */
        if (vvar_page.tsc0 != then) continue;
        return now <= then ? base : base + (u64)(((unsigned __int128)(now - then) * mul) >> shift);
    }
}

int __vdso_clock_gettime(int clock, struct timespec* ts) {
    const u64 ns = now_of(clock);
    if (ns == 0) return (int)system_call(SYS_clock_gettime, clock, (long)ts, 0);
    ts->sec = (long)(ns / 1000000000);
    ts->nsec = (long)(ns % 1000000000);
    return 0;
}

int __vdso_gettimeofday(struct timeval* tv, struct timezone* tz) {
    const u64 ns = now_of(CLOCK_REALTIME);
    if (ns == 0) return (int)system_call(SYS_gettimeofday, (long)tv, (long)tz, 0);
    if (tv) {
        tv->sec = (long)(ns / 1000000000);
        tv->usec = (long)(ns % 1000000000 / 1000);
    }
    if (tz) tz->minuteswest = tz->dsttime = 0; /* UTC */
    return 0;
}

long __vdso_time(long* t) {
    const u64 ns = now_of(CLOCK_REALTIME);
    if (ns == 0) return system_call(SYS_time, (long)t, 0, 0);
    const long seconds = (long)(ns / 1000000000);
    if (t) *t = seconds;
    return seconds;
}

int __vdso_clock_getres(int clock, struct timespec* ts) {
    if (now_of(clock) == 0) return (int)system_call(SYS_clock_getres, clock, (long)ts, 0);
    if (ts) {
        ts->sec = 0;
        ts->nsec = 1; /* the coarse clocks too: they are the fine ones here */
    }
    return 0;
}

/* One vCPU, one node. */
long __vdso_getcpu(unsigned* cpu, unsigned* node, void* unused) {
    (void)unused;
    if (cpu) *cpu = 0;
    if (node) *node = 0;
    return 0;
}

#define ALIAS(name) __attribute__((weak, alias("__vdso_" #name)))
int clock_gettime(int clock, struct timespec* ts) ALIAS(clock_gettime);
int gettimeofday(struct timeval* tv, struct timezone* tz) ALIAS(gettimeofday);
long time(long* t) ALIAS(time);
int clock_getres(int clock, struct timespec* ts) ALIAS(clock_getres);
long getcpu(unsigned* cpu, unsigned* node, void* unused) ALIAS(getcpu);
