/* The empty handler of warm_invoke: one exit per invocation and nothing else. */
#include <hearth/guest.h>

static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
    (void)event, (void)user;
    return hearth_reply(h, "{}", 2);
}

int main(void) { return hearth_run(handle, NULL) ? 1 : 0; }
