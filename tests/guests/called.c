/* A function that does what its event says, for tests of the lower floor: "count", "touch N" (pages), "spin",
 * "nap" (20 ms), "sleep", "exit N", "crash", "eat" (all memory), "alarm"; else the event comes back. */
#include <hearth/guest.h>

#include <signal.h>
#include <time.h>

static int count, init_count;
static char* area;

static void on_alarm(int signal) {
    (void)signal;
    ++count;
}

static void sleep_for(long milliseconds) {
    struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&t, 0);
}

static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
    static char answer[256];
    (void)user;
    if (!strcmp(event->payload, "count")) {
        snprintf(answer, sizeof answer, "%d", ++count);
    } else if (!strcmp(event->payload, "about")) {
        snprintf(answer, sizeof answer, "restored=%d init=%d", hearth_restored(h), init_count);
    } else if (!strncmp(event->payload, "touch ", 6)) {
        const int pages = atoi(event->payload + 6);
        for (int i = 0; i < pages; ++i) area[i * 4096] = 1;
        snprintf(answer, sizeof answer, "touched");
    } else if (!strcmp(event->payload, "spin")) {
        for (;;) __asm__ volatile("" ::: "memory");
    } else if (!strcmp(event->payload, "nap")) {
        sleep_for(20);
        snprintf(answer, sizeof answer, "napped");
    } else if (!strcmp(event->payload, "sleep")) {
        sleep_for(1000000);
    } else if (!strncmp(event->payload, "exit ", 5)) {
        _exit(atoi(event->payload + 5));
    } else if (!strcmp(event->payload, "crash")) {
        *(volatile int*)16 = 1;
    } else if (!strcmp(event->payload, "eat")) {
        for (;;) memset(malloc(1 << 20), 1, 1 << 20);
    } else if (!strcmp(event->payload, "alarm")) { /* a timer comes while the code runs */
        const int before = count;
        signal(SIGALRM, on_alarm);
        ualarm(5000, 0);
        while (*(volatile int*)&count == before) __asm__ volatile("" ::: "memory");
        snprintf(answer, sizeof answer, "rang");
    } else if (!strcmp(event->payload, "fail")) {
        return hearth_fail(h, "Asked", "as asked");
    } else {
        return hearth_reply(h, event->payload, event->length);
    }
    return hearth_reply(h, answer, strlen(answer));
}

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "say")) printf("%s\n", argv[++i]), fflush(stdout);
        if (!strcmp(argv[i], "complain")) fprintf(stderr, "%s\n", argv[++i]);
        if (!strcmp(argv[i], "nap")) sleep_for(20);
        if (!strcmp(argv[i], "exit")) return atoi(argv[++i]);
    }
    area = calloc(1024, 4096);
    ++init_count;
    return -hearth_run(handle, 0);
}
