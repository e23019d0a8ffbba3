/* Clocks go forward and agree; sleeping takes as long as asked; the vDSO and the call tell the same. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long long ns(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }
static long long now(clockid_t c) {
    struct timespec t;
    clock_gettime(c, &t);
    return ns(t);
}
static long long call(clockid_t c) {
    struct timespec t;
    syscall(SYS_clock_gettime, c, &t);
    return ns(t);
}
int main(void) {
    long long a = now(CLOCK_MONOTONIC), b;
    int forward = 1;
    for (int i = 0; i < 100000; ++i) {
        b = now(CLOCK_MONOTONIC);
        if (b < a) forward = 0;
        a = b;
    }
    printf("forward %d\n", forward);
    for (int i = 0; i < 2; ++i) {
        clockid_t c = i ? CLOCK_REALTIME : CLOCK_MONOTONIC;
        long long x = call(c), y = now(c), z = call(c);
        printf("between %d\n", x - 1000000 <= y && y <= z + 1000000);
    }
    long long start = now(CLOCK_MONOTONIC);
    struct timespec nap = {0, 50000000};
    printf("slept %d\n", nanosleep(&nap, 0));
    long long slept = now(CLOCK_MONOTONIC) - start;
    printf("50 ms %d\n", slept >= 49900000 && slept < 500000000);
    struct timeval tv;
    int ok = gettimeofday(&tv, 0);
    printf("gettimeofday %d, time %d\n", ok, time(0) - tv.tv_sec <= 1);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 10000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    printf("absolute %d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0));
    struct timespec res;
    ok = clock_getres(CLOCK_MONOTONIC, &res);
    printf("resolution %d %ld\n", ok, res.tv_nsec);
    return 0;
}
