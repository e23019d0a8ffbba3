/* For reset: an event of N decimal digits' value dirties that many pages, the empty one none. */
#include <hearth/guest.h>

#include <stdlib.h>

enum { page = 4096, most = 1024 };
static volatile char area[most * page];

static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
    (void)user;
    long n = event->payload_length ? strtol(event->payload, 0, 10) : 0;
    for (long i = 0; i < n && i < most; ++i) area[i * page] = (char)(area[i * page] + 1);
    return hearth_reply(h, "{}", 2);
}

int main(void) {
    for (long i = 0; i < most; ++i) area[i * page] = 1; /* memory of the snapshot's */
    return hearth_run(handle, NULL) ? 1 : 0;
}
