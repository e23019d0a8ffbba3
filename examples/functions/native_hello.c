/*
 * A Lambda function in C with Hearth's guest SDK: in a Hearth microVM an invocation is one exit; on AWS Lambda
 * the same program speaks the Runtime API over HTTP.
 *
 *   reply: {"message":"hello from native_hello_c","event":<the event>}     {"fail":…} shows a function error
 */
#include <hearth/guest.h>

struct greeter {
    char* reply; /* stands until the next event, as hearth_reply wants it */
    size_t room;
};

static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
    static const char before[] = "{\"message\":\"hello from native_hello_c\",\"event\":";
    struct greeter* greeter = user;
    const char* payload = event->length ? event->payload : "null";
    const size_t length = event->length ? event->length : 4;
    const size_t needed = sizeof before + length + 1;

    if (strstr(event->payload, "\"fail\"")) return hearth_fail(h, "ExampleError", "asked to fail");
    if (needed > greeter->room) {
        char* larger = realloc(greeter->reply, needed);
        if (!larger) return hearth_fail(h, "OutOfMemory", "no room for the reply");
        greeter->reply = larger;
        greeter->room = needed;
    }
    memcpy(greeter->reply, before, sizeof before - 1);
    memcpy(greeter->reply + sizeof before - 1, payload, length);
    greeter->reply[sizeof before - 1 + length] = '}';
    return hearth_reply(h, greeter->reply, sizeof before + length);
}

int main(void) {
    struct greeter greeter = {NULL, 0};
    const int error = hearth_run(handle, &greeter);
    fprintf(stderr, "the runtime is gone: %s\n", strerror(-error));
    return 1;
}
