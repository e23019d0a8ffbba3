/* Urgent data to a server outside, which answers in kind. argv: its port, on 127.0.0.1. Prints what it saw. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}

static struct sockaddr_in to = {.sin_family = AF_INET};
static int s;
static void connected(const char* title) {
    s = socket(AF_INET, SOCK_STREAM, 0);
    check(s >= 0 && !connect(s, (void*)&to, sizeof to), "connect");
    puts(title);
}
static void asks(void) {
    check(send(s, "plain", 5, 0) == 5 && send(s, "ab!", 3, MSG_OOB) == 3, "send");
}
static void comes(short events) {
    struct pollfd p = {s, events, 0};
    check(poll(&p, 1, 20000) == 1 && (p.revents & events), "nothing came");
}
static void mark(void) {
    int at = -1;
    check(!ioctl(s, SIOCATMARK, &at), "SIOCATMARK");
    printf("  mark %d\n", at);
}
static void reads(size_t n, int flags) {
    char b[64] = "";
    ssize_t r = recv(s, b, n, flags);
    if (r < 0)
        printf("  %s\n", strerrorname_np(errno));
    else
        printf("  %s%zd '%.*s'\n", flags & MSG_OOB ? "urgent " : "", r, (int)r, b);
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(60); /* what does not come is waited for in vain */
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((unsigned short)atoi(argc > 1 ? argv[1] : "0"));
    const int on = 1;
    sigset_t urgent;
    sigemptyset(&urgent), sigaddset(&urgent, SIGURG);

    connected("beside the others");
    mark();
    reads(1, MSG_OOB);
    asks();
    comes(POLLPRI);
    reads(1, MSG_OOB | MSG_PEEK);
    reads(9, MSG_OOB);
    reads(1, MSG_OOB);
    mark();
    reads(7, MSG_WAITALL);
    mark();
    reads(6, MSG_WAITALL);
    mark();
    reads(1, MSG_DONTWAIT);
    close(s);

    connected("no read goes across");
    asks();
    comes(POLLPRI);
    char first[2] = "", second[5] = "", third[30] = "";
    struct iovec v[] = {{first, 2}, {second, 5}, {third, 30}};
    ssize_t n = readv(s, v, 3);
    printf("  %zd '%.2s' '%.5s' '%.30s'\n", n, first, second, third);
    mark();
    reads(6, MSG_WAITALL);
    close(s);

    connected("in line");
    check(!setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on), "SO_OOBINLINE");
    asks();
    comes(POLLPRI);
    reads(1, MSG_OOB);
    reads(7, MSG_WAITALL);
    mark();
    reads(7, MSG_WAITALL);
    close(s);

    connected("in line from the beginning");
    close(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    check(!setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) && !connect(s, (void*)&to, sizeof to), "connect");
    asks();
    comes(POLLPRI);
    reads(7, MSG_WAITALL);
    reads(7, MSG_WAITALL);
    close(s);

    connected("told by a signal, and by epoll");
    signal(SIGURG, (void (*)(int))exit);
    check(!sigprocmask(SIG_BLOCK, &urgent, NULL) && !fcntl(s, F_SETOWN, getpid()), "F_SETOWN");
    int e = epoll_create1(0);
    struct epoll_event want = {.events = EPOLLPRI | EPOLLET}, got = {0};
    check(!epoll_ctl(e, EPOLL_CTL_ADD, s, &want), "epoll_ctl");
    asks();
    const struct timespec limit = {20, 0};
    check(sigtimedwait(&urgent, NULL, &limit) == SIGURG, "SIGURG");
    check(epoll_wait(e, &got, 1, 20000) == 1 && (got.events & EPOLLPRI), "epoll");
    comes(POLLPRI);
    reads(1, MSG_OOB);
    close(s);
    return 0;
}
