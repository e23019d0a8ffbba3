// Times system calls that do nothing, one by one, from the inside. Prints nanoseconds, a line each.
//
//   syscall_null in_stub|emulated|unknown N
//
//   in_stub    getppid: the stub page answers it, without an exit
//   emulated   getpgrp: leaves the guest, and the personality answers
//   unknown    a number no Linux has: leaves the guest, ENOSYS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const long number = strcmp(argv[1], "in_stub") == 0    ? SYS_getppid
                        : strcmp(argv[1], "emulated") == 0 ? SYS_getpgrp
                                                           : 1000;
    const int n = atoi(argv[2]);
    long long* taken = malloc((size_t)n * sizeof *taken);
    if (n < 1 || !taken) return 2;
    for (int i = -100; i < n; i++) {  // the first hundred warm up
        const long long start = now();
        syscall(number);
        taken[i < 0 ? 0 : i] = now() - start;
    }
    for (int i = 0; i < n; i++) printf("%lld\n", taken[i]);
    return 0;
}
