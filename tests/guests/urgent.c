/* Urgent data of TCP inside one guest (MSG_OOB, SO_OOBINLINE, SIOCATMARK; man 7 tcp). Prints what it saw; the same natively. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int mine, theirs;
static void connection(const char* title) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    const int l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (void*)&a, sizeof a) || listen(l, 1) || getsockname(l, (void*)&a, &n)) exit(1);
    mine = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(mine, (void*)&a, n)) exit(1);
    theirs = accept(l, NULL, NULL);
    close(l);
    puts(title);
}
static void done(void) { close(mine), close(theirs); }
static void sends(const char* text, int flags) {
    const ssize_t r = send(theirs, text, strlen(text), flags);
    printf("  sent %s%s: %zd\n", text, flags & MSG_OOB ? " urgently" : "", r);
}
/* What is there: ready, at the mark, how much. */
static void state(void) {
    struct pollfd p = {mine, POLLIN | POLLPRI | POLLRDBAND | POLLRDHUP, 0};
    poll(&p, 1, 0);
    int mark = -1, unread = -1;
    ioctl(mine, SIOCATMARK, &mark);
    ioctl(mine, FIONREAD, &unread);
    fd_set exceptional;
    FD_ZERO(&exceptional);
    FD_SET(mine, &exceptional);
    struct timeval now = {0, 0};
    const int selected = select(mine + 1, NULL, NULL, &exceptional, &now);
    printf("  ready:%s%s%s, mark %d, unread %d, exceptional %d\n", p.revents & POLLIN ? " in" : "", p.revents & POLLPRI ? " pri" : "",
           p.revents & ~(POLLIN | POLLPRI) ? " more" : "", mark, unread, selected);
}
static void reads(size_t most, int flags) {
    char b[64] = "";
    struct iovec v = {b, most};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    errno = 0;
    const ssize_t r = recvmsg(mine, &m, flags | MSG_DONTWAIT);
    printf("  %s%s: ", flags & MSG_PEEK ? "peek" : "read", flags & MSG_OOB ? " urgent" : "");
    if (r < 0)
        printf("%s\n", strerrorname_np(errno));
    else
        printf("%zd %.*s%s%s\n", r, (int)r, b, m.msg_flags & MSG_OOB ? ", marked" : "", m.msg_flags & MSG_TRUNC ? ", truncated" : "");
}
static void comes(short events) {
    struct pollfd p = {mine, events, 0};
    if (poll(&p, 1, 5000) != 1) puts("  nothing came");
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    connection("nothing is urgent");
    state();
    reads(10, MSG_OOB);
    sends("plain", 0);
    comes(POLLIN);
    state();
    reads(10, MSG_OOB);
    done();

    connection("one byte");
    sends("!", MSG_OOB);
    comes(POLLPRI);
    state();
    reads(10, MSG_OOB | MSG_PEEK);
    reads(0, MSG_OOB | MSG_PEEK);
    reads(10, MSG_PEEK);
    state();
    reads(10, MSG_OOB);
    state();
    reads(10, MSG_OOB);
    sends("after", 0);
    comes(POLLIN);
    state();
    reads(3, 0);
    state();
    reads(10, MSG_OOB);
    reads(10, 0);
    done();

    connection("one byte, and who does not ask for it");
    sends("!", MSG_OOB);
    comes(POLLPRI);
    reads(10, 0);
    state();
    reads(10, MSG_OOB);
    done();

    connection("amid others");
    sends("before", 0);
    sends("now!", MSG_OOB);
    sends("after", 0);
    comes(POLLPRI);
    comes(POLLIN);
    state();
    reads(4, 0);
    reads(20, MSG_PEEK);
    reads(20, 0);
    state();
    reads(20, MSG_OOB);
    state();
    reads(20, 0);
    state();
    reads(20, MSG_OOB);
    done();

    connection("read past it");
    sends("a", 0);
    sends("b", MSG_OOB);
    sends("c", 0);
    comes(POLLPRI);
    reads(20, 0);
    state();
    reads(20, 0);
    state();
    reads(20, MSG_OOB);
    done();

    connection("in line");
    const int on = 1;
    setsockopt(mine, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    sends("before", 0);
    sends("now!", MSG_OOB);
    sends("after", 0);
    comes(POLLPRI);
    state();
    reads(20, MSG_OOB);
    reads(20, 0);
    state();
    reads(20, 0);
    state();
    reads(20, 0);
    done();

    connection("two of them");
    sends("x", MSG_OOB);
    comes(POLLPRI);
    sends("y", MSG_OOB);
    sends("z", 0);
    comes(POLLPRI);
    comes(POLLIN);
    state();
    reads(20, MSG_OOB);
    reads(20, 0);
    reads(20, 0);
    state();
    done();

    connection("two of them, the first not at once");
    sends("a", 0);
    sends("x", MSG_OOB);
    sends("b", 0);
    sends("y", MSG_OOB);
    comes(POLLPRI);
    state();
    reads(20, 0);
    reads(20, MSG_OOB);
    reads(20, 0);
    done();

    connection("and its end");
    sends("a!", MSG_OOB);
    close(theirs);
    comes(POLLRDHUP);
    state();
    reads(20, 0);
    state();
    reads(20, MSG_OOB);
    reads(20, 0);
    reads(20, MSG_OOB);
    close(mine);

    connection("nothing, and of nobody");
    sends("", MSG_OOB);
    state();
    shutdown(theirs, SHUT_WR);
    sends("late", MSG_OOB | MSG_NOSIGNAL);
    done();

    connection("epoll tells it once");
    const int e = epoll_create1(0);
    struct epoll_event want = {.events = EPOLLPRI | EPOLLET}, got = {0};
    epoll_ctl(e, EPOLL_CTL_ADD, mine, &want);
    sends("p", 0);
    printf("  epoll %d\n", epoll_wait(e, &got, 1, 0));
    sends("u", MSG_OOB);
    const int told = epoll_wait(e, &got, 1, 5000);
    printf("  epoll %d %x\n", told, got.events);
    printf("  epoll %d\n", epoll_wait(e, &got, 1, 0));
    done();

    puts("not TCP");
    int pair[2];
    const int udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(9)};
    const ssize_t datagram = sendto(udp, "x", 1, MSG_OOB, (void*)&a, sizeof a);
    printf("  datagram %zd %s\n", datagram, strerrorname_np(errno));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)) return 1;
    const ssize_t packet = send(pair[0], "x", 1, MSG_OOB);
    printf("  packets %zd %s\n", packet, strerrorname_np(errno));
    return 0;
}
