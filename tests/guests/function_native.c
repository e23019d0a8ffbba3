/* A function on the native path, by the bare system call. The event's first word says what to do:
 * "count" a global grows, "spin HOW", "fail", "burn", else the event comes back. */
#define _GNU_SOURCE
#define HEARTH_GUEST_ABI_ONLY
#include <hearth/guest.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spinner.h"

static long long now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Computes until it was held off the CPU ten times, 5 ms or longer each, or has used 500 ms of it. At that moment: the
 * nanoseconds of CPU it had, and those that passed. */
static void burn(long long* used, long long* passed) {
    const long long cpu = now(CLOCK_PROCESS_CPUTIME_ID), start = now(CLOCK_MONOTONIC);
    long long gap = 0; /* what passed without being used */
    for (int gaps = 0; gaps < 10 && *used < 500000000;) {
        *used = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        *passed = now(CLOCK_MONOTONIC) - start;
        if (*passed - *used < gap + 5000000) continue;
        gap = *passed - *used;
        ++gaps;
    }
}

static char buffer[(6 << 20) + 4096];
static char answer[7 << 20];
static int count;

int main(void) {
    if (getenv("SPIN")) start_spinner(getenv("SPIN"));
    struct hearth_exchange x;
    memset(&x, 0, sizeof x);
    x.size = sizeof x;
    x.buffer = (uint64_t)(uintptr_t)buffer;
    x.capacity = sizeof buffer;
    for (;;) {
        long n = syscall(HEARTH_SYS_EXCHANGE, &x);
        if (n < 0) {
            perror("exchange");
            return 9;
        }
        x.flags = HEARTH_EXCHANGE_REPLY;
        x.reply = x.buffer;
        x.reply_length = (uint64_t)n;
        if (!strcmp(buffer, "\"count\"")) {
            x.reply_length = (uint64_t)sprintf(answer, "%d", ++count);
            x.reply = (uint64_t)(uintptr_t)answer;
        } else if (!strncmp(buffer, "\"spin ", 6)) {
            x.reply_length = (uint64_t)sprintf(answer, "%d", start_spinner(buffer + 6));
            x.reply = (uint64_t)(uintptr_t)answer;
        } else if (!strcmp(buffer, "\"fail\"")) {
            x.flags |= HEARTH_EXCHANGE_FAILED;
            x.reply_length = (uint64_t)sprintf(answer, "{\"errorMessage\":\"as asked\",\"errorType\":\"Asked\"}");
            x.reply = (uint64_t)(uintptr_t)answer;
        } else if (!strcmp(buffer, "\"burn\"")) {
            long long used = 0, passed = 0;
            burn(&used, &passed);
            x.reply_length = (uint64_t)sprintf(answer, "[%lld,%lld]", used, passed);
            x.reply = (uint64_t)(uintptr_t)answer;
        } else if (!strcmp(buffer, "\"about\"")) {
            x.reply_length = (uint64_t)sprintf(answer, "{\"id\":\"%s\",\"arn\":\"%s\",\"trace\":\"%s\",\"context\":\"%s\",\"left\":%d}",
                                               x.request_id, x.function_arn, x.trace_id, buffer + x.client_context,
                                               x.deadline_ms > 0);
            x.reply = (uint64_t)(uintptr_t)answer;
        }
    }
}
