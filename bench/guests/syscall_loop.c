// Times system calls in a row: of every ten thousand the mean, in nanoseconds, a line each.
//
//   syscall_loop getpgrp|getpid|clock_gettime N
//
//   getpgrp         leaves the guest, and the personality answers
//   getpid          a SYSCALL that the stub page answers, without an exit
//   clock_gettime   by the vDSO, without a SYSCALL
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
    const long number = strcmp(argv[1], "getpgrp") == 0  ? SYS_getpgrp
                        : strcmp(argv[1], "getpid") == 0 ? SYS_getpid
                                                         : 0;
    const long n = atol(argv[2]);
    static double means[10000];
    long done = 0;
    for (; done < n / 10000 && done < 10000; done++) {
        const long long start = now();
        for (int i = 0; i < 10000; i++) {
            if (number)
                syscall(number);
            else
                now();
        }
        means[done] = (double)(now() - start) / 10000;
    }
    for (long i = 0; i < done; i++) printf("%.2f\n", means[i]);
    return 0;
}
