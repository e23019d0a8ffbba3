/* How TCP connections end: what each side reads, writes and polls after the other closed, reset or
   shut down its half. Prints what it saw; the same natively. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t broken_pipes;
static void count(int s) { (void)s, broken_pipes++; }

static void said(const char* what, long r) {
    const int e = errno;
    printf("  %s: %ld", what, r);
    if (r < 0) printf(" %s", strerrorname_np(e));
    if (broken_pipes) printf(" SIGPIPE");
    puts("");
    broken_pipes = 0;
}
static void sends(const char* who, int s) {
    errno = 0;
    said(who, send(s, "data", 4, MSG_DONTWAIT));
}
static void reads(const char* who, int s) {
    char b[64];
    errno = 0;
    said(who, recv(s, b, sizeof b, MSG_DONTWAIT));
}
static void polls(const char* who, int s) {
    struct pollfd p = {s, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&p, 1, 0);
    printf("  %s:%s%s%s%s%s\n", who, p.revents & POLLIN ? " in" : "",
           p.revents & POLLOUT ? " out" : "", p.revents & POLLRDHUP ? " rdhup" : "",
           p.revents & POLLHUP ? " hup" : "", p.revents & POLLERR ? " err" : "");
}
static void error_of(const char* who, int s) {
    int e = -1;
    socklen_t n = sizeof e;
    getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &n);
    printf("  %s: %s\n", who, e ? strerrorname_np(e) : "none");
}
static void peer_of(int s) {
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    errno = 0;
    said("its peer", getpeername(s, (void*)&a, &n));
}
/* The other side's news has come. */
static void wait_for(int s, short events) {
    struct pollfd p = {s, events, 0};
    if (poll(&p, 1, 5000) != 1) puts("  nothing came");
}
static void resets(int s) {
    const struct linger now = {1, 0};
    setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(s);
}

static int mine, theirs;
static void connection(int family, const char* title) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {.any.sa_family = (sa_family_t)family};
    socklen_t n = sizeof a;
    if (family == AF_INET)
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        a.v6.sin6_addr = in6addr_loopback;
    const int l = socket(family, SOCK_STREAM, 0);
    if (bind(l, &a.any, sizeof a) || listen(l, 1) || getsockname(l, &a.any, &n)) exit(1);
    mine = socket(family, SOCK_STREAM, 0);
    if (connect(mine, &a.any, n)) exit(1);
    theirs = accept(l, NULL, NULL);
    close(l);
    puts(title);
}
static void done(void) {
    close(mine);
    close(theirs);
}

static void all(int family) {
    connection(family, "the peer closes");
    close(theirs);
    wait_for(mine, POLLIN);
    polls("ready", mine);
    reads("read", mine);
    peer_of(mine);
    sends("the first write goes", mine);
    wait_for(mine, POLLERR);
    polls("ready", mine);
    error_of("error", mine);
    sends("the second does not", mine);
    sends("nor the third", mine);
    reads("read", mine);
    polls("ready", mine);
    close(mine);

    connection(family, "the peer closes, and the error is not asked for");
    close(theirs);
    wait_for(mine, POLLIN);
    sends("write", mine);
    wait_for(mine, POLLERR);
    reads("read", mine);
    sends("write", mine);
    sends("write", mine);
    error_of("error", mine);
    close(mine);

    connection(family, "the peer closes; nothing and no signal is sent");
    close(theirs);
    wait_for(mine, POLLIN);
    errno = 0;
    said("nothing", send(mine, "", 0, 0));
    said("nothing", send(mine, "", 0, 0));
    said("write", send(mine, "data", 4, MSG_NOSIGNAL));
    wait_for(mine, POLLERR);
    said("write", send(mine, "data", 4, MSG_NOSIGNAL));
    said("nothing", send(mine, "", 0, MSG_NOSIGNAL));
    close(mine);

    connection(family, "the peer closes, and there is more than the buffer holds");
    const int small = 4096;
    setsockopt(mine, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    close(theirs);
    wait_for(mine, POLLIN);
    static char much[1 << 20];
    const ssize_t some = send(mine, much, sizeof much, MSG_DONTWAIT);
    printf("  some of it: %d\n", some > 0 && some < (ssize_t)sizeof much);
    wait_for(mine, POLLERR | POLLHUP);
    sends("write", mine);
    close(mine);

    connection(family, "the peer has sent, and closes");
    sends("they write", theirs);
    close(theirs);
    wait_for(mine, POLLRDHUP);
    sends("write", mine);
    wait_for(mine, POLLERR);
    reads("what they sent is there", mine);
    reads("read", mine);
    sends("write", mine);
    close(mine);

    connection(family, "the peer closes and has not read");
    sends("write", mine);
    wait_for(theirs, POLLIN);
    sends("they write", theirs);
    close(theirs);
    wait_for(mine, POLLERR);
    polls("ready", mine);
    reads("what they sent is there", mine);
    reads("read", mine);
    reads("read", mine);
    sends("write", mine);
    polls("ready", mine);
    close(mine);

    connection(family, "the peer resets");
    resets(theirs);
    wait_for(mine, POLLERR);
    polls("ready", mine);
    peer_of(mine);
    reads("read", mine);
    reads("read", mine);
    sends("write", mine);
    polls("ready", mine);
    close(mine);

    connection(family, "the peer has sent, and resets");
    sends("they write", theirs);
    resets(theirs);
    wait_for(mine, POLLERR);
    sends("write", mine);
    reads("what they sent is there", mine);
    reads("read", mine);
    sends("write", mine);
    close(mine);

    connection(family, "the peer shuts down its writing, and resets");
    shutdown(theirs, SHUT_WR);
    wait_for(mine, POLLRDHUP);
    sends("write", mine);
    wait_for(theirs, POLLIN);
    resets(theirs);
    wait_for(mine, POLLERR);
    reads("read", mine);
    error_of("error", mine);
    sends("write", mine);
    close(mine);

    connection(family, "the peer resets after our last byte");
    shutdown(mine, SHUT_WR);
    wait_for(theirs, POLLRDHUP);
    resets(theirs);
    wait_for(mine, POLLERR);
    error_of("error", mine);
    reads("read", mine);
    sends("write", mine);
    close(mine);

    connection(family, "the peer shuts down its writing");
    shutdown(theirs, SHUT_WR);
    wait_for(mine, POLLRDHUP);
    polls("ready", mine);
    sends("write", mine);
    sends("write", mine);
    reads("read", mine);
    wait_for(theirs, POLLIN);
    reads("they read", theirs);
    sends("they write", theirs);
    polls("they are ready", theirs);
    shutdown(mine, SHUT_WR);
    wait_for(theirs, POLLHUP);
    polls("they are ready", theirs);
    polls("ready", mine);
    peer_of(mine);
    done();

    connection(family, "the peer shuts down its reading");
    shutdown(theirs, SHUT_RD);
    polls("they are ready", theirs);
    reads("they read", theirs);
    sends("write", mine);
    wait_for(theirs, POLLIN);
    polls("ready", mine);
    reads("they read all the same", theirs);
    reads("they read", theirs);
    sends("write", mine);
    sends("they write", theirs);
    wait_for(mine, POLLIN);
    reads("read", mine);
    done();

    connection(family, "the peer shuts down both");
    shutdown(theirs, SHUT_RDWR);
    wait_for(mine, POLLRDHUP);
    polls("they are ready", theirs);
    polls("ready", mine);
    reads("read", mine);
    peer_of(mine);
    sends("the first write goes", mine);
    wait_for(mine, POLLERR);
    polls("ready", mine);
    sends("the second does not", mine);
    polls("they are ready", theirs);
    reads("they read", theirs);
    sends("they write", theirs);
    done();

    connection(family, "shut down twice, and when nobody is there");
    said("shutdown", shutdown(mine, SHUT_WR));
    said("shutdown", shutdown(mine, SHUT_WR));
    sends("write", mine);
    close(theirs);
    wait_for(mine, POLLHUP);
    said("shutdown", shutdown(mine, SHUT_RD));
    said("shutdown", shutdown(mine, SHUT_RDWR));
    reads("read", mine);
    close(mine);

    connection(family, "a descriptor is left, and nothing is lost");
    const int kept = dup(theirs);
    resets(theirs);
    sends("write", mine);
    wait_for(kept, POLLIN);
    reads("they read", kept);
    theirs = kept;
    done();
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, count);
    all(AF_INET);
    all(AF_INET6);

    puts("a listener closes, and somebody waited");
    const int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    if (bind(l, (void*)&a, sizeof a) || listen(l, 1) || getsockname(l, (void*)&a, &n)) exit(1);
    mine = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(mine, (void*)&a, sizeof a)) exit(1);
    close(l);
    wait_for(mine, POLLERR);
    polls("ready", mine);
    sends("write", mine);
    reads("read", mine);
    sends("write", mine);
    close(mine);

    puts("two that never were TCP");
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) exit(1);
    shutdown(pair[1], SHUT_RD);
    polls("ready", pair[0]);
    sends("write", pair[0]);
    shutdown(pair[0], SHUT_RD);
    polls("ready", pair[0]);
    resets(pair[1]);
    error_of("error", pair[0]);
    reads("read", pair[0]);

    puts("a socket that was never connected");
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    said("shutdown", shutdown(s, SHUT_WR));
    sends("write", s);
    reads("read", s);
    polls("ready", s);
    return 0;
}
