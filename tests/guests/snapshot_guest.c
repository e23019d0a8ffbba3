/* A function that dirties everything it can with a secret, and looks for that secret everywhere.
 * Events, on the native path: "count", "dirty", "search", "mess", "layout", "random", "clock", "arm", "spin",
 * "keep".
 * The secret is in no event and in no constant: it is computed, so that only "dirty" leaves it. */
#define _GNU_SOURCE
#define HEARTH_GUEST_ABI_ONLY
#include <hearth/guest.h>

#include "secret.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static char event[64 << 10];
static char answer[64 << 10];
static int count;
static char in_bss[9 * 4096];
static char in_data[3 * 4096] = {1};
static char* from_init;   /* anonymous, mapped before the snapshot */
static char* to_unmap;    /* the same, which "mess" takes away */
static char* file_page;   /* a private writable file mapping */
static size_t file_length;
static char* shared_page;  /* a shared mapping of a file in /tmp */
static int shared_file;
static volatile sig_atomic_t alarms;

enum { small = 5 * 4096, big = 1 << 20 };

static void on_alarm(int n) {
    (void)n;
    ++alarms;
}

/* The exchange, with `mark` in every general register that outlives a system call and, if it is not 0, in registers of
 * each other kind and as the FS base; and all of them as they are right after it, before compiled code has run. */
long exchange(struct hearth_exchange* x, long number, unsigned long long mark);
enum { general_count = 11 };
__attribute__((used)) static unsigned long long general[general_count];
__attribute__((used, aligned(64))) static unsigned char extended[16 << 10]; /* as XSAVE lays it out */
__attribute__((used)) static unsigned long own_fs, fs_then;
__attribute__((used)) static unsigned short marked_control = 0x77f;
__attribute__((used)) static unsigned marked_modes = 0x7f80;
__attribute__((used)) static unsigned char has_avx512;
__asm__(
    ".text\n.type exchange, @function\nexchange:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rdi, %r12\n mov %rsi, %r13\n mov %rdx, %r14\n"
    "test %r14, %r14\n jz 1f\n"
    "push %r14\n push %r14\n push %r14\n push %r14\n"
    "vmovdqu (%rsp), %ymm0\n vmovdqu (%rsp), %ymm5\n vmovdqu (%rsp), %ymm11\n vmovdqu (%rsp), %ymm15\n"
    "movq %r14, %mm3\n fldcw marked_control(%rip)\n vldmxcsr marked_modes(%rip)\n"
    "lea 32(%rsp), %rsp\n cmpb $0, has_avx512(%rip)\n je 2f\n"
    "vpbroadcastq %r14, %zmm11\n vpbroadcastq %r14, %zmm16\n vpbroadcastq %r14, %zmm31\n kmovq %r14, %k5\n 2:\n"
    "mov $158, %eax\n mov $0x1002, %edi\n mov %r14, %rsi\n shl $17, %rsi\n shr $17, %rsi\n syscall\n" /* ARCH_SET_FS */
    "1: mov %r13, %rax\n mov %r12, %rdi\n"
    "mov %r14, %rbx\n mov %r14, %rbp\n mov %r14, %rsi\n mov %r14, %rdx\n mov %r14, %r8\n mov %r14, %r9\n"
    "mov %r14, %r10\n mov %r14, %r12\n mov %r14, %r13\n mov %r14, %r15\n"
    "syscall\n"
    "mov %rbx, general(%rip)\n mov %rbp, general+8(%rip)\n mov %rsi, general+16(%rip)\n"
    "mov %rdx, general+24(%rip)\n mov %r8, general+32(%rip)\n mov %r9, general+40(%rip)\n"
    "mov %r10, general+48(%rip)\n mov %r12, general+56(%rip)\n mov %r13, general+64(%rip)\n"
    "mov %r14, general+72(%rip)\n mov %r15, general+80(%rip)\n"
    "mov %rax, %rbx\n mov $-1, %eax\n mov $-1, %edx\n xsave64 extended(%rip)\n"
    "test %r14, %r14\n jz 3f\n"
    "mov $158, %eax\n mov $0x1003, %edi\n lea fs_then(%rip), %rsi\n syscall\n" /* ARCH_GET_FS */
    "mov $158, %eax\n mov $0x1002, %edi\n mov own_fs(%rip), %rsi\n syscall\n jmp 4f\n"
    /* Unmarked, so without a system call: libc keeps the base at the base; another's would make this fault. */
    "3: mov %fs:0, %rax\n mov %rax, fs_then(%rip)\n 4:\n"
    "mov %rbx, %rax\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

/* Where in them the secret was. */
static size_t search_registers(char* report) {
    size_t regs = 0, avx512 = 0;
    for (int i = 0; i < general_count; ++i) regs += (size_t)is_secret(&general[i]);
    const char* const area = (const char*)extended;
    const size_t x87 = occurrences(area + 32, area + 160);
    size_t vectors = occurrences(area + 160, area + 416);
    for (unsigned i = 2; i < 8; ++i) { /* AVX is 2, AVX-512 is 5 to 7 */
        unsigned size = 0, at = 0, c, d;
        __cpuid_count(0xd, i, size, at, c, d);
        if (!size || at + size > sizeof extended) continue;
        *(i == 2 ? &vectors : &avx512) += occurrences(area + at, area + at + size);
    }
    unsigned short control;
    unsigned modes;
    memcpy(&control, extended, 2);
    memcpy(&modes, extended + 24, 4);
    return (size_t)sprintf(report, " x87=%zu vectors=%zu avx512=%zu fcw=%x mxcsr=%x regs=%zu fs=%d", x87, vectors, avx512,
                           control, modes & 0xffc0, regs, fs_then != own_fs);
}

/* What can be read from descriptors; some of it only once. */
static size_t secrets_in_files(void) {
    static char piece[64 << 10];
    size_t found = 0;
    for (int fd = 3; fd < 1024; ++fd) {
        if (fcntl(fd, F_GETFD) < 0) continue;
        if (lseek(fd, 0, SEEK_CUR) >= 0) {
            ssize_t n;
            for (off_t at = 0; (n = pread(fd, piece, sizeof piece, at)) > 0; at += n) found += occurrences(piece, piece + n);
        } else {
            struct pollfd p = {fd, POLLIN, 0};
            const ssize_t n = poll(&p, 1, 0) == 1 && (p.revents & POLLIN) ? read(fd, piece, sizeof piece) : 0;
            if (n > 0) found += occurrences(piece, piece + n);
        }
    }
    memset(piece, 0, sizeof piece);
    return found;
}

static size_t search_files_and_signals(char* report) {
    int timers = 0, timer_files = 0;
    struct itimerspec left;
    for (long id = 0; id < 32; ++id) timers += syscall(SYS_timer_gettime, id, &left) == 0;
    for (int fd = 3; fd < 1024; ++fd)
        timer_files += timerfd_gettime(fd, &left) == 0 && left.it_value.tv_sec != 0;
    unsigned long mask = 0, pending = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, &mask, 8);
    syscall(SYS_rt_sigpending, &pending, 8);
    stack_t alternate;
    sigaltstack(0, &alternate);
    return (size_t)sprintf(report, " files=%zu timers=%d timerfds=%d mask=%lx pending=%lx altstack=%d", secrets_in_files(),
                           timers, timer_files, mask, pending, alternate.ss_flags != SS_DISABLE);
}

static void dirty_files_and_signals(void) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || write(ends[1], in_bss, 4096) != 4096) abort();
    if (write(memfd_create("secret", 0), in_bss, sizeof in_bss) != (ssize_t)sizeof in_bss) abort();
    const unsigned long long s = secret();
    if (write(eventfd(0, EFD_NONBLOCK), &s, sizeof s) != sizeof s) abort();
    struct sigevent event_of = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    const struct itimerspec late = {{0, 0}, {1000, 0}};
    int timer = -1; /* the kernel's number, not libc's */
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event_of, &timer) || syscall(SYS_timer_settime, timer, 0, &late, 0))
        abort();
    if (timerfd_settime(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 0, &late, 0)) abort();
    const unsigned long blocked = 1ul << (SIGUSR1 - 1) | 1ul << (SIGUSR2 - 1) | 1ul << (40 - 1);
    if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, 0, 8)) abort();
    kill(getpid(), SIGUSR1);
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2);
    const stack_t alternate = {.ss_sp = from_init, .ss_size = small};
    if (sigaltstack(&alternate, 0)) abort();
}

static volatile sig_atomic_t ticked;
static void on_tick(int n) {
    (void)n;
    ticked = 1;
}

static void dirty(void) {
    char on_stack[3 * 4096];
    fill(on_stack, sizeof on_stack);
    __asm__ volatile("" ::"r"(on_stack) : "memory");
    fill(in_bss, sizeof in_bss);
    fill(in_data, sizeof in_data);
    fill(from_init, small);
    fill(to_unmap, small);
    fill(file_page, 4096);
    fill(shared_page + 4096, small - 4096);
    /* A file whose pages no mapping shows any more, though it is still mapped. */
    int hidden = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (ftruncate(hidden, big)) abort();
    char* shown = mmap(0, big, PROT_READ | PROT_WRITE, MAP_SHARED, hidden, 0);
    fill(shown, big);
    munmap(shown, big - 4096);
    char* heap = malloc(200 << 10);
    fill(heap, 200 << 10);
    char* area = mmap(0, big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(area, big);
    char* far = mmap((void*)0x230000000000, small, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    fill(far, small);
    fill(sbrk(small), small);
    int fd = open("/tmp/secret", O_CREAT | O_RDWR, 0600);
    if (write(fd, in_bss, sizeof in_bss) != (ssize_t)sizeof in_bss) abort();
    int ends[2];
    if (pipe(ends) || write(ends[1], in_bss, 4096) != 4096) abort();
    syscall(SYS_arch_prctl, ARCH_SET_GS, secret() & 0x7fffffffffffull);
    signal(SIGALRM, on_alarm);
    struct itimerval timer = {{0, 0}, {1000, 0}};
    setitimer(ITIMER_REAL, &timer, 0);
    dirty_files_and_signals();
}

/* Changes what is mapped how, in each way that needs a recipe of its own when it is undone. */
static void mess(void) {
    munmap(to_unmap, small);
    munmap(shared_page + 8192, small - 8192);
    if (ftruncate(shared_file, 8192)) abort();
    char* other = mmap(0, small, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(other, small); /* its frames were to_unmap's */
    mprotect(from_init, 4096, PROT_READ);
    mprotect(from_init + 4096, 4096, PROT_NONE);
    from_init = mremap(from_init, small, small, MREMAP_MAYMOVE | MREMAP_FIXED,
                       (void*)0x240000000000);
    madvise(in_bss, 4 * 4096, MADV_DONTNEED);
    madvise(file_page, 4096, MADV_DONTNEED);
    mprotect(file_page, 4096, PROT_READ);
    for (int i = 3; i < 20; ++i) close(i);
    unlink("/tmp/kept");
}

static size_t search(char* report, size_t room) {
    const size_t found = occurrences_in_memory();
    unsigned long gs = 0;
    syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
    struct sigaction action;
    sigaction(SIGALRM, 0, &action);
    struct itimerval timer;
    getitimer(ITIMER_REAL, &timer);
    int open_fds = 0;
    for (int i = 0; i < 64; ++i) open_fds += fcntl(i, F_GETFD) >= 0;
    return (size_t)snprintf(report, room,
                            "memory=%zu file=%d gs=%lx handler=%d timer=%d fds=%d unclean=%zu", found,
                            access("/tmp/secret", F_OK) == 0, gs, action.sa_handler == on_alarm,
                            timer.it_value.tv_sec != 0, open_fds, unclean_new_memory());
}

int main(int argc, char** argv) {
    from_init = mmap(0, small, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    to_unmap = mmap(0, small, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < small; ++i) from_init[i] = (char)(i * 7), to_unmap[i] = (char)(i * 13 + 1);
    int self = open(argv[0], O_RDONLY);
    struct stat st;
    fstat(self, &st);
    file_length = (size_t)st.st_size;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &own_fs);
    has_avx512 = __builtin_cpu_supports("avx512bw") != 0;
    file_page = mmap(0, file_length, PROT_READ | PROT_WRITE, MAP_PRIVATE, self, 0);
    file_page[8192] = 'x'; /* a file page written before the snapshot */
    int kept = open("/tmp/kept", O_CREAT | O_RDWR, 0600);
    if (write(kept, "kept\n", 5) != 5) return 8;
    lseek(kept, 2, SEEK_SET);
    int named = open("/tmp/shared", O_CREAT | O_RDWR, 0600);
    shared_file = fcntl(named, F_DUPFD, 200); /* which "mess" does not close */
    close(named);
    if (ftruncate(shared_file, small)) return 8;
    shared_page = mmap(0, small, PROT_READ | PROT_WRITE, MAP_SHARED, shared_file, 0);
    for (int i = 4096; i < small; ++i) shared_page[i] = (char)(i * 11);
    (void)argc;

    struct hearth_exchange x;
    memset(&x, 0, sizeof x);
    x.size = sizeof x;
    x.buffer = (uint64_t)(uintptr_t)event;
    x.capacity = sizeof event;
    unsigned long long mark = 0;
    for (;;) {
        long n = exchange(&x, HEARTH_SYS_EXCHANGE, mark);
        mark = 0;
        if (n < 0) return 9;
        event[n] = 0;
        x.flags = HEARTH_EXCHANGE_REPLY;
        x.reply = (uint64_t)(uintptr_t)answer;
        size_t length = 0;
        if (!strcmp(event, "count")) {
            char in_file = 0; /* the count is kept in a shared mapping too */
            ++shared_page[0];
            ++count;
            if (pread(shared_file, &in_file, 1, 0) != 1 || in_file != count) count = -1;
            length = (size_t)sprintf(answer, "%d", count);
        } else if (!strcmp(event, "dirty")) {
            dirty();
            mark = secret();
            length = (size_t)sprintf(answer, "dirty");
        } else if (!strcmp(event, "mess")) {
            mess();
            length = (size_t)sprintf(answer, "mess");
        } else if (!strcmp(event, "search")) {
            length = search(answer, sizeof answer);
            length += search_registers(answer + length);
            length += search_files_and_signals(answer + length);
        } else if (!strcmp(event, "arm")) { /* of its own CPU time: it stands still while nothing runs */
            const struct itimerval soon = {{0, 0}, {0, 50000}};
            signal(SIGVTALRM, on_tick);
            setitimer(ITIMER_VIRTUAL, &soon, 0);
            length = (size_t)sprintf(answer, "armed");
        } else if (!strcmp(event, "keep")) { /* 12 MiB, in files alone */
            int places[] = {open("/tmp/large", O_CREAT | O_RDWR, 0600), open("/dev/shm/large", O_CREAT | O_RDWR, 0600),
                            memfd_create("large", 0)};
            for (int i = 0; i < 3; ++i)
                for (int n = 0; n < 4 << 20; n += small)
                    if (write(places[i], from_init, small) != small) return 6;
            length = (size_t)sprintf(answer, "kept");
        } else if (!strcmp(event, "spin")) { /* without a system call */
            while (!ticked) continue;
            length = (size_t)sprintf(answer, "ticked");
        } else if (!strcmp(event, "layout")) {
            unsigned long sum = 0;
            for (int i = 0; i < small; ++i) sum = sum * 31 + (unsigned char)from_init[i];
            for (int i = 0; i < small; ++i) sum = sum * 31 + (unsigned char)to_unmap[i];
            from_init[4096] = 1; /* still writable */
            for (int i = 4096; i < small; ++i) sum = sum * 31 + (unsigned char)shared_page[i];
            if (pread(shared_file, answer, small, 0) != small) return 7;
            for (int i = 4096; i < small; ++i) sum = sum * 31 + (unsigned char)answer[i];
            for (size_t i = 0; i < file_length; ++i) sum = sum * 31 + (unsigned char)file_page[i];
            file_page[0] = file_page[0];
            char c = 0;
            ssize_t got = read(kept, &c, 1);
            length = (size_t)sprintf(answer, "%lx %zd %c", sum, got, c);
        } else if (!strcmp(event, "random")) {
            unsigned char bytes[16];
            memcpy(bytes, (void*)getauxval(AT_RANDOM), 16);
            for (int i = 0; i < 16; ++i) length += (size_t)sprintf(answer + length, "%02x", bytes[i]);
            int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
            length += (size_t)read(fd, answer + length, 36);
            close(fd);
        } else if (!strcmp(event, "clock")) {
            struct timespec t;
            clock_gettime(CLOCK_MONOTONIC, &t);
            length = (size_t)sprintf(answer, "%lld", t.tv_sec * 1000000000ll + t.tv_nsec);
        }
        x.reply_length = length;
    }
}
