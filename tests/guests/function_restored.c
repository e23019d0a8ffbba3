/*
 * A function that minds its restores, with the SDK: it draws a seed while it initialises and a new one when it is
 * told that it was restored. Replies {"restored":0|1,"seed":"…","calls":N}; to "silent" nothing, so null.
 *
 * With PATH_HTTP in its environment it speaks HTTP even where the system call is. With RESTORE_FAILS too it posts
 * restore/error instead of asking for an event after a restore, and leaves.
 */
#include <hearth/guest.h>

#include <sys/random.h>

struct state {
    unsigned long long seed;
    int calls;
    char reply[128];
};

static void draw(struct state* s) {
    if (getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed) abort();
}

static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
    struct state* s = user;
    const int restored = hearth_restored(h);
    if (restored) draw(s);
    if (!strcmp(event->payload, "\"silent\"")) return 0;
    const int n = snprintf(s->reply, sizeof s->reply, "{\"restored\":%d,\"seed\":\"%016llx\",\"calls\":%d}", restored,
                           s->seed, ++s->calls);
    return hearth_reply(h, s->reply, (size_t)n);
}

/* By the SDK's own means: it has no hook of its own between the restore and the first event. */
static int fail_restore(struct hearth_session* h) {
    static const char document[] = "{\"errorType\":\"Hook.Failed\",\"errorMessage\":\"as asked\"}";
    const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
    char request[512];
    size_t length = 0;
    int status;
    if (!api) return 2;
    status = hearth_wait_for_restore_(h, api);
    if (status || !h->restored) return 3;
    snprintf(request, sizeof request,
             "POST /2018-06-01/runtime/restore/error HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
             "Lambda-Runtime-Function-Error-Type: Runtime.AfterRestoreError\r\nContent-Length: %d\r\n\r\n",
             api, (int)sizeof document - 1);
    status = hearth_http_request_(h, request, document, sizeof document - 1, &length);
    return status == 202 ? 64 : 4;
}

int main(void) {
    static struct state s;
    struct hearth_session h;
    struct hearth_event event;
    int error;
    draw(&s);
    hearth_init(&h);
    if (getenv("PATH_HTTP")) h.path = HEARTH_PATH_HTTP;
    if (getenv("PATH_HTTP") && getenv("RESTORE_FAILS")) return fail_restore(&h);
    while ((error = hearth_next(&h, &event)) == 0) {
        handle(&h, &event, &s);
        if (!h.reply_flags) hearth_reply(&h, "null", 4); /* as hearth_run does */
    }
    fprintf(stderr, "the runtime is gone: %s\n", strerror(-error));
    return 1;
}
