/* A function that dirties everything it can with a secret, and looks for that secret everywhere.
 * Events, on the native path: "count", "dirty", "search", "mess", "layout", "random", "clock", "keep".
 * The secret is in no event and in no constant: it is computed, so that only "dirty" leaves it. */
#define _GNU_SOURCE
#define HEARTH_GUEST_ABI_ONLY
#include <hearth/guest.h>

#include "secret.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
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
static int vectors_hold_secret(void) {
    unsigned char out[4 * 32];
    __asm__ volatile(
        "vmovdqu %%ymm0, 0(%0)\n vmovdqu %%ymm5, 32(%0)\n vmovdqu %%ymm11, 64(%0)\n vmovdqu %%ymm15, 96(%0)\n"
        ::"r"(out) : "memory");
    for (size_t i = 0; i + word <= 128; i += word)
        if (is_secret(out + i)) return 1;
    return 0;
}
static void secret_into_vectors(void) {
    unsigned long long s[4] = {secret(), secret(), secret(), secret()};
    __asm__ volatile(
        "vmovdqu (%0), %%ymm0\n vmovdqu (%0), %%ymm5\n vmovdqu (%0), %%ymm11\n vmovdqu (%0), %%ymm15\n"
        "fildll (%0)\n"
        ::"r"(s) : "memory", "xmm0", "xmm5", "xmm11", "xmm15");
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
    secret_into_vectors();
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
    for (;;) {
        /* "search" looks at the vector registers first of all: nothing may have used them since. */
        long n = syscall(HEARTH_SYS_EXCHANGE, &x);
        const int vectors = vectors_hold_secret();
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
            length = (size_t)sprintf(answer, "dirty");
        } else if (!strcmp(event, "mess")) {
            mess();
            length = (size_t)sprintf(answer, "mess");
        } else if (!strcmp(event, "search")) {
            length = search(answer, sizeof answer);
            length += (size_t)sprintf(answer + length, " vectors=%d", vectors);
        } else if (!strcmp(event, "keep")) { /* 12 MiB, in files alone */
            int places[] = {open("/tmp/large", O_CREAT | O_RDWR, 0600), open("/dev/shm/large", O_CREAT | O_RDWR, 0600),
                            memfd_create("large", 0)};
            for (int i = 0; i < 3; ++i)
                for (int n = 0; n < 4 << 20; n += small)
                    if (write(places[i], from_init, small) != small) return 6;
            length = (size_t)sprintf(answer, "kept");
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
