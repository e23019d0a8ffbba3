/* For `reset`: the event is a decimal number, and so many pages of the snapshot's are written. */
#include <hearth/guest.h>

enum { page = 4096, most = 512 };
static volatile char area[(most + 1) * page];

static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
    (void)user;
    const long pages = strtol(event->payload, NULL, 10);
    for (long i = 0; i < pages && i < most; ++i) ++area[i * page];
    return hearth_reply(h, "{}", 2);
}

int main(void) {
    for (long i = 0; i < most; ++i) area[i * page] = 1;
    return hearth_run(handle, NULL) ? 1 : 0;
}
