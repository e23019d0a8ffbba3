/*
 * The guest of the workloads that need many: does what the event says, over the native path.
 *
 *   {}             nothing
 *   {"sleep":N}    sleeps N milliseconds
 *   {"spin":N}     computes for N milliseconds; the reply is how many rounds that were
 */
#include <hearth/guest.h>

#include <time.h>

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long number_after(const char* event, const char* key) {
    const char* at = strstr(event, key);
    return at ? atol(at + strlen(key)) : 0;
}

static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
    static char reply[32];
    unsigned long long rounds = 0;
    const long sleep = number_after(event->payload, "\"sleep\":");
    const long spin = number_after(event->payload, "\"spin\":");
    (void)user;
    if (sleep) {
        const struct timespec t = {sleep / 1000, sleep % 1000 * 1000000};
        nanosleep(&t, NULL);
    }
    if (spin) {
        const long long end = now_ns() + spin * 1000000;
        do {
            for (volatile int i = 0; i < 1000; i++) {
            }
            rounds++;
        } while (now_ns() < end);
    }
    return hearth_reply(h, reply, (size_t)snprintf(reply, sizeof reply, "%llu", rounds));
}

int main(void) { return hearth_run(handle, NULL) ? 1 : 0; }
