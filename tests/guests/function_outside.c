/* A function that keeps a connection to the echoing server on 127.0.0.1, port $PORT, from init on.
 * Its reply: whether that one is "kept" or was "reset" (it is made anew then), and the event as a
 * new connection gives it back. */
#define _GNU_SOURCE
#define HEARTH_GUEST_ABI_ONLY
#include <hearth/guest.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[(6 << 20) + 4096];
static char answer[8192], echoed[4096];

static int connected(void) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((unsigned short)atoi(getenv("PORT")));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (void*)&to, sizeof to) != 0) {
        perror("connect");
        exit(8);
    }
    return s;
}

static int echo(int s, const char* text, size_t n) {
    if (send(s, text, n, MSG_NOSIGNAL) != (ssize_t)n) return -1;
    if (recv(s, echoed, n, MSG_WAITALL) != (ssize_t)n) return -1;
    return memcmp(echoed, text, n) ? -1 : 0;
}

int main(void) {
    int old = connected();
    struct hearth_exchange x;
    memset(&x, 0, sizeof x);
    x.size = sizeof x;
    x.buffer = (uint64_t)(uintptr_t)buffer;
    x.capacity = sizeof buffer;
    for (;;) {
        const long n = syscall(HEARTH_SYS_EXCHANGE, &x);
        if (n < 0 || n > 4000) return 9;
        const char* state = "kept";
        if (echo(old, "old", 3) != 0) {
            state = errno == ECONNRESET ? "reset" : strerror(errno);
            close(old);
            old = connected();
        }
        const int fresh = connected();
        if (echo(fresh, buffer, (size_t)n) != 0) return 10;
        close(fresh);
        x.flags = HEARTH_EXCHANGE_REPLY;
        x.reply = (uint64_t)(uintptr_t)answer;
        x.reply_length = (uint64_t)sprintf(answer, "[\"%s\",%.*s]", state, (int)n, echoed);
    }
}
