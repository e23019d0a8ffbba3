/* Sockets inside one guest: servers on loopback and at paths, datagrams, half-closed and reset connections,
   names, epoll, and descriptors sent over a socket. Prints what it saw; the same natively. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}

static struct sockaddr_in v4(unsigned address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
    return a;
}
static int port_of(int s) {
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    check(!getsockname(s, (void*)&a, &n), "getsockname");
    return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in*)&a)->sin_port : ((struct sockaddr_in6*)&a)->sin6_port);
}

static void* echo(void* v) {
    int l = *(int*)v;
    for (int i = 0; i < 3; i++) {
        int c = accept(l, NULL, NULL);
        char b[64];
        ssize_t n;
        while ((n = read(c, b, sizeof b)) > 0) (void)!write(c, b, (size_t)n);
        close(c);
    }
    return NULL;
}

static void tcp(void) {
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = v4(INADDR_LOOPBACK, 0);
    check(!bind(l, (void*)&a, sizeof a), "bind");
    int listening = -1;
    socklen_t n = sizeof listening;
    check(!getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) && !listening, "SO_ACCEPTCONN before");
    check(!listen(l, 5), "listen");
    check(!getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) && listening == 1, "SO_ACCEPTCONN");
    int port = port_of(l);
    check(port > 0, "a port was chosen");
    a = v4(INADDR_LOOPBACK, port);
    int again = socket(AF_INET, SOCK_STREAM, 0);
    struct linger keeps = {1, 5}, kept = {0};
    n = sizeof kept;
    check(!setsockopt(again, SOL_SOCKET, SO_LINGER, &keeps, sizeof keeps) &&
              !getsockopt(again, SOL_SOCKET, SO_LINGER, &kept, &n) && kept.l_onoff == 1 && kept.l_linger == 5, "SO_LINGER");
    check(bind(again, (void*)&a, sizeof a) == -1 && errno == EADDRINUSE, "the port is taken");
    close(again);
    pthread_t t;
    pthread_create(&t, NULL, echo, &l);
    for (int i = 0; i < 3; i++) {
        int c = socket(AF_INET, SOCK_STREAM, 0);
        check(!connect(c, (void*)&a, sizeof a), "connect");
        check(connect(c, (void*)&a, sizeof a) == -1 && errno == EISCONN, "connected already");
        struct sockaddr_in peer;
        n = sizeof peer;
        check(!getpeername(c, (void*)&peer, &n) && ntohs(peer.sin_port) == port, "getpeername");
        check(write(c, "hello", 5) == 5, "write");
        check(!shutdown(c, SHUT_WR), "half-close");
        char b[64];
        size_t got = 0;
        ssize_t r;
        while ((r = read(c, b + got, sizeof b - got)) > 0) got += (size_t)r;
        check(r == 0 && got == 5 && !memcmp(b, "hello", 5), "echoed to the end");
        close(c);
    }
    pthread_join(t, NULL);

    // A client that left, a connection reset because nobody read, and no one there.
    int gone = socket(AF_INET, SOCK_STREAM, 0);
    check(!connect(gone, (void*)&a, sizeof a), "a client that leaves");
    int left = accept(l, NULL, NULL);
    close(gone);
    char nothing;
    check(read(left, &nothing, 1) == 0 && send(left, &nothing, 0, 0) == 0, "nothing can be sent to nobody");
    close(left);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    check(!connect(c, (void*)&a, sizeof a), "connect before accept");
    check(write(c, "x", 1) == 1, "write before accept");
    int s = accept(l, NULL, NULL);
    usleep(1000);
    close(s);  // unread
    char b;
    check(read(c, &b, 1) == -1 && errno == ECONNRESET, "reset");
    close(c);
    close(l);
    c = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(c, (void*)&a, sizeof a) == -1 && errno == ECONNREFUSED, "nobody listens");
    close(c);
    puts("tcp");
}

static void tcp6(void) {
    int l = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
    if (l < 0) { puts("tcp6"); return; }  // a host without IPv6
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    if (bind(l, (void*)&any, sizeof any)) { close(l); puts("tcp6"); return; }
    check(!listen(l, 5), "listen");
    struct sockaddr_in a = v4(INADDR_LOOPBACK, port_of(l));
    int c = socket(AF_INET, SOCK_STREAM, 0);
    check(!connect(c, (void*)&a, sizeof a), "IPv4 to a dual-stack listener");
    struct sockaddr_in6 peer;
    socklen_t n = sizeof peer;
    int s = accept(l, (void*)&peer, &n);
    check(s >= 0 && peer.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr), "a mapped address");
    close(s), close(c), close(l);
    puts("tcp6");
}

static void polled(void) {
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = v4(INADDR_ANY, 0);
    check(!bind(l, (void*)&a, sizeof a) && !listen(l, 128), "listen");
    check(accept(l, NULL, NULL) == -1 && errno == EAGAIN, "nobody waits");
    int ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = l};
    check(!epoll_ctl(ep, EPOLL_CTL_ADD, l, &e), "epoll_ctl");
    check(epoll_wait(ep, &e, 1, 0) == 0, "quiet");
    a = v4(INADDR_LOOPBACK, port_of(l));
    enum { clients = 20 };
    int c[clients], s[clients];
    for (int i = 0; i < clients; i++) {
        c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int r = connect(c[i], (void*)&a, sizeof a);
        check(!r || errno == EINPROGRESS, "connect");
        struct pollfd p = {c[i], POLLOUT, 0};
        check(poll(&p, 1, 1000) == 1 && p.revents == POLLOUT, "connected");
        int failed = -1;
        socklen_t n = sizeof failed;
        check(!getsockopt(c[i], SOL_SOCKET, SO_ERROR, &failed, &n) && !failed, "SO_ERROR");
    }
    int accepted = 0;
    while (accepted < clients) {
        check(epoll_wait(ep, &e, 1, 1000) == 1 && e.data.fd == l, "a client waits");
        while ((s[accepted] = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
            e.events = EPOLLIN | EPOLLET;
            e.data.fd = s[accepted];
            check(!epoll_ctl(ep, EPOLL_CTL_ADD, s[accepted], &e), "epoll_ctl");
            if (++accepted == clients) break;
        }
    }
    for (int i = 0; i < clients; i++) check(write(c[i], "ping", 4) == 4, "ping");
    int told = 0, n;
    struct epoll_event all[clients];
    while (told < clients && (n = epoll_wait(ep, all, clients, 1000)) > 0) told += n;
    check(told == clients, "every connection is told once");
    int waiting = 0;
    check(!ioctl(s[0], FIONREAD, &waiting) && waiting == 4, "FIONREAD");
    check(epoll_wait(ep, all, clients, 0) == 0, "edges only");
    for (int i = 0; i < clients; i++) close(c[i]), close(s[i]);
    close(ep), close(l);
    puts("polled");
}

static void unix_streams(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, "/tmp/hearth-sockets-test");
    unlink(a.sun_path);
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    check(!bind(l, (void*)&a, sizeof a), "bind to a path");
    struct stat st;
    check(!stat(a.sun_path, &st) && S_ISSOCK(st.st_mode), "a socket's name");
    check(open(a.sun_path, O_RDWR) == -1 && errno == ENXIO, "it cannot be opened");
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    check(connect(c, (void*)&a, sizeof a) == -1 && errno == ECONNREFUSED, "bound, not listening");
    check(!listen(l, 1), "listen");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int s = accept(l, NULL, NULL);
        struct ucred who;
        socklen_t n = sizeof who;
        if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &n) || who.pid != getppid()) _exit(1);
        char b[6];
        _exit(read(s, b, 6) == 6 && !memcmp(b, "parent", 6) && write(s, "child", 5) == 5 ? 0 : 2);
    }
    check(!connect(c, (void*)&a, sizeof a), "connect");
    check(write(c, "parent", 6) == 6, "write");
    char b[16];
    check(read(c, b, sizeof b) == 5 && !memcmp(b, "child", 5), "answered");
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "the child saw its client");
    check(read(c, b, sizeof b) == 0, "end of file when the child is gone");
    close(c);
    struct sockaddr_un name;
    socklen_t n = sizeof name;
    check(!getsockname(l, (void*)&name, &n) && !strcmp(name.sun_path, a.sun_path) &&
              n == offsetof(struct sockaddr_un, sun_path) + strlen(a.sun_path) + 1, "its name");
    close(l);
    l = socket(AF_UNIX, SOCK_STREAM, 0);
    check(bind(l, (void*)&a, sizeof a) == -1 && errno == EADDRINUSE, "a name stays until it is removed");
    check(!unlink(a.sun_path), "unlink");
    close(l);

    // An abstract name, and a full backlog that is waited for.
    memset(a.sun_path, 0, sizeof a.sun_path);
    strcpy(a.sun_path + 1, "hearth-abstract");
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + 15;
    l = socket(AF_UNIX, SOCK_STREAM, 0);
    check(!bind(l, (void*)&a, length) && !listen(l, 0), "an abstract name");
    int first = socket(AF_UNIX, SOCK_STREAM, 0), second = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    check(!connect(first, (void*)&a, length), "the first");
    check(connect(second, (void*)&a, length) == -1 && errno == EAGAIN, "the backlog is full");
    fflush(stdout);
    child = fork();
    if (child == 0) {
        usleep(20000);
        _exit(accept(l, NULL, NULL) >= 0 && accept(l, NULL, NULL) >= 0 ? 0 : 1);
    }
    fcntl(second, F_SETFL, 0);
    check(!connect(second, (void*)&a, length), "waits for room");
    check(waitpid(child, &status, 0) == child && status == 0, "both accepted");
    close(first), close(second), close(l);
    puts("unix");
}

static void datagrams(void) {
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = v4(INADDR_LOOPBACK, 0), from;
    check(!bind(b, (void*)&to, sizeof to), "bind");
    to = v4(INADDR_LOOPBACK, port_of(b));
    check(sendto(a, "one", 3, 0, (void*)&to, sizeof to) == 3, "sendto");
    check(sendto(a, "second", 6, 0, (void*)&to, sizeof to) == 6, "sendto");
    char buffer[64];
    socklen_t n = sizeof from;
    check(recvfrom(b, buffer, sizeof buffer, 0, (void*)&from, &n) == 3 && n == sizeof from &&
              ntohs(from.sin_port) == port_of(a), "recvfrom says from whom");
    check(recv(b, buffer, 3, MSG_TRUNC) == 6, "a long one is cut");
    check(sendto(b, "back", 4, 0, (void*)&from, sizeof from) == 4 && recv(a, buffer, 64, 0) == 4, "an answer");
    check(!connect(a, (void*)&to, sizeof to) && send(a, "conn", 4, 0) == 4 && recv(b, buffer, 64, 0) == 4, "connected");
    close(b);
    check(send(a, "lost", 4, 0) == 4, "nobody hears it");
    usleep(1000);
    check(recv(a, buffer, 64, MSG_DONTWAIT) == -1 && errno == ECONNREFUSED, "and that is told");
    check(recv(a, buffer, 64, MSG_DONTWAIT) == -1 && errno == EAGAIN, "once");
    close(a);

    struct mmsghdr many[3] = {0};
    struct iovec parts[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    int pair[2];
    check(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
    for (int i = 0; i < 3; i++) many[i].msg_hdr.msg_iov = &parts[i], many[i].msg_hdr.msg_iovlen = 1;
    check(sendmmsg(pair[0], many, 3, 0) == 3 && many[2].msg_len == 3, "sendmmsg");
    char space[3][8];
    for (int i = 0; i < 3; i++) parts[i].iov_base = space[i], parts[i].iov_len = 8;
    check(recvmmsg(pair[1], many, 3, 0, NULL) == 3 && many[1].msg_len == 2 && !memcmp(space[1], "bb", 2), "recvmmsg");
    close(pair[0]), close(pair[1]);
    puts("datagrams");
}

/* What a call's first message has waited for is not taken off its second. */
static void many_on_a_stream(void) {
    static char big[1 << 20], space[1 << 16];
    int pair[2];
    check(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    pid_t child = fork();
    if (!child) {
        close(pair[0]);
        size_t total = 0;
        ssize_t n;
        char last = 0;
        while ((n = read(pair[1], space, sizeof space)) > 0) total += (size_t)n, last = space[n - 1];
        _exit(total == sizeof big + 4 && last == 'l' ? 0 : 1);
    }
    close(pair[1]);
    struct iovec parts[2] = {{big, sizeof big}, {"tail", 4}};
    struct mmsghdr many[2] = {0};
    for (int i = 0; i < 2; i++) many[i].msg_hdr.msg_iov = &parts[i], many[i].msg_hdr.msg_iovlen = 1;
    check(sendmmsg(pair[0], many, 2, 0) == 2, "sendmmsg on a stream");
    check(many[0].msg_len == sizeof big && many[1].msg_len == 4, "their lengths");
    close(pair[0]);
    int status = -1;
    check(waitpid(child, &status, 0) == child && status == 0, "all of it arrived");
    puts("many on a stream");
}

/* Messages are waited for one after the other, as long as the call's time lasts or only for the first. */
static void many_that_come_late(void) {
    int pair[2];
    check(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
    char space[3][8];
    struct iovec parts[3];
    struct mmsghdr many[3] = {0};
    for (int i = 0; i < 3; i++) {
        parts[i].iov_base = space[i], parts[i].iov_len = 8;
        many[i].msg_hdr.msg_iov = &parts[i], many[i].msg_hdr.msg_iovlen = 1;
    }
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < 3; i++) usleep(3000), check(send(pair[0], "late", 2 + i, 0) == 2 + i, "send late");
        _exit(0);
    }
    check(recvmmsg(pair[1], many, 3, 0, NULL) == 3, "all three");
    check(many[0].msg_len == 2 && many[1].msg_len == 3 && many[2].msg_len == 4 && !memcmp(space[2], "late", 4), "in order");
    check(waitpid(child, NULL, 0) == child, "waitpid");
    check(send(pair[0], "a", 1, 0) == 1 && recvmmsg(pair[1], many, 3, MSG_WAITFORONE, NULL) == 1, "MSG_WAITFORONE");
    struct timespec none = {0, 0};
    for (int i = 0; i < 2; i++) check(send(pair[0], "b", 1, 0) == 1, "send");
    check(recvmmsg(pair[1], many, 3, 0, &none) == 1, "no time for a second");
    check(recv(pair[1], space[0], 8, MSG_DONTWAIT) == 1, "which stayed");
    none.tv_nsec = 1000000000;
    check(recvmmsg(pair[1], many, 3, 0, &none) == -1 && errno == EINVAL, "a second of nanoseconds");
    close(pair[0]), close(pair[1]);
    puts("many that come late");
}

static void send_fd(int s, int fd, const char* text) {
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec v = {(void*)text, strlen(text)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    check(sendmsg(s, &m, 0) == (ssize_t)strlen(text), "sendmsg with a descriptor");
}
static int receive_fd(int s, char* text, size_t room, int space) {
    char control[CMSG_SPACE(4 * sizeof(int))];
    struct iovec v = {text, room};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = (size_t)space};
    ssize_t n = recvmsg(s, &m, MSG_CMSG_CLOEXEC);
    check(n > 0, "recvmsg");
    text[n] = 0;
    struct cmsghdr* c = CMSG_FIRSTHDR(&m);
    if (!c) return m.msg_flags & MSG_CTRUNC ? -2 : -1;
    check(c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)), "a descriptor");
    int fd;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    check(fcntl(fd, F_GETFD) == FD_CLOEXEC, "close-on-exec as asked");
    return fd;
}

static void rights(void) {
    int s[2], p[2];
    char text[64];
    check(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && !pipe(p), "pair and pipe");
    check(write(s[0], "before ", 7) == 7, "plain bytes");
    send_fd(s[0], p[1], "with");
    check(write(s[0], " after", 6) == 6, "plain bytes");
    int w = receive_fd(s[1], text, 63, CMSG_SPACE(4));
    check(w >= 0 && !strcmp(text, "before with"), "a read stops after a descriptor");
    close(p[1]);
    check(write(w, "through", 7) == 7 && read(p[0], text, 7) == 7, "it is the pipe");
    close(w);
    check(read(p[0], text, 7) == 0, "the last writer is gone");
    check(recv(s[1], text, 63, MSG_DONTWAIT) == 6, "the rest");

    // Without room it is lost, and closed; unreceived it goes with the socket.
    check(!pipe(p), "pipe");
    send_fd(s[0], p[1], "x");
    close(p[1]);
    check(receive_fd(s[1], text, 63, 0) == -2, "MSG_CTRUNC");
    check(read(p[0], text, 1) == 0, "closed");
    check(!pipe(p), "pipe");
    send_fd(s[0], p[1], "y");
    close(p[1]);
    close(s[1]);
    check(read(p[0], text, 1) == 0, "gone with the socket");
    close(s[0]);
    struct msghdr bad = {.msg_control = text, .msg_controllen = 16};
    memset(text, 0xff, sizeof text);
    check(!socketpair(AF_UNIX, SOCK_DGRAM, 0, s), "socketpair");
    check(sendmsg(s[0], &bad, 0) == -1 && errno == EINVAL, "wild ancillary data");
    puts("rights");
}

/* What IP's datagrams carry beside their bytes: hop limit and traffic class. */
static void carries(int from, int to, const void* control, size_t length, size_t room) {
    char byte = 'x', in[64] = "";
    struct iovec v = {&byte, 1};
    struct msghdr out = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = (void*)control, .msg_controllen = length};
    struct msghdr got = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = in, .msg_controllen = room};
    if (sendmsg(from, &out, 0) != 1) {
        printf("  not sent: %s\n", strerror(errno));
        return;
    }
    check(recvmsg(to, &got, 0) == 1, "recvmsg");
    printf("  got %zu%s:", (size_t)got.msg_controllen, got.msg_flags & MSG_CTRUNC ? ", truncated" : "");
    for (struct cmsghdr* c = CMSG_FIRSTHDR(&got); c; c = CMSG_NXTHDR(&got, c)) {
        int value = 0;
        const size_t n = c->cmsg_len - CMSG_LEN(0);
        memcpy(&value, CMSG_DATA(c), n > sizeof value ? sizeof value : n);
        printf(" %d/%d %zu bytes %d", c->cmsg_level, c->cmsg_type, n, value);
    }
    puts("");
}
static size_t put_control(char* to, size_t at, int level, int type, int value, size_t size) {
    struct cmsghdr* c = (void*)(to + at);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
    memcpy(CMSG_DATA(c), &value, size);
    return at + CMSG_SPACE(size);
}
static void of_ip(int family) {
    const int v6 = family == AF_INET6, level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, on = 1, most = 42;
    const int hops = v6 ? IPV6_HOPLIMIT : IP_TTL, traffic = v6 ? IPV6_TCLASS : IP_TOS;
    printf("of ip %d\n", v6 ? 6 : 4);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr* name = v6 ? (void*)&six : (void*)&four;
    socklen_t n = v6 ? sizeof six : sizeof four;
    int to = socket(family, SOCK_DGRAM, 0), from = socket(family, SOCK_DGRAM, 0);
    check(!bind(to, name, n) && !getsockname(to, name, &n) && !connect(from, name, n), "datagrams");
    char c[64] = "";
    carries(from, to, NULL, 0, 64);
    check(!setsockopt(to, level, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, &on, sizeof on), "asked for");
    carries(from, to, NULL, 0, 64);
    check(!setsockopt(to, level, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, &on, sizeof on), "asked for");
    carries(from, to, NULL, 0, 64);
    check(!setsockopt(from, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, &most, sizeof most), "fewer");
    carries(from, to, NULL, 0, 64);
    carries(from, to, c, put_control(c, 0, level, hops, 7, 4), 64);
    carries(from, to, c, put_control(c, put_control(c, 0, level, hops, 9, 4), level, traffic, 32, 4), 64);
    carries(from, to, c, put_control(c, 0, level, traffic, 32, v6 ? 4 : 1), 64);
    carries(from, to, c, put_control(c, 0, level, hops, 256, 4), 64);
    carries(from, to, c, put_control(c, 0, level, hops, -1, 4), 64);
    carries(from, to, c, put_control(c, 0, level, hops, 7, 2), 64);
    carries(from, to, c, put_control(c, 0, 99, hops, 7, 4), 64);
    for (size_t room = 0; room < 48; room += room < 24 ? 5 : 4) carries(from, to, NULL, 0, room);
    close(from), close(to);
}

static void kinds(void) {
    const int refused[][3] = {{AF_INET, SOCK_DGRAM, IPPROTO_TCP},  {AF_INET6, SOCK_STREAM, IPPROTO_UDP},
                              {AF_INET, SOCK_STREAM, IPPROTO_SCTP}, {AF_INET, SOCK_SEQPACKET, 0},
                              {AF_INET, SOCK_RDM, 0},               {AF_INET, SOCK_DGRAM, 999},
                              {AF_INET, SOCK_STREAM, -1},           {AF_UNIX, SOCK_STREAM, 7},
                              {AF_UNIX, SOCK_RDM, 0}};
    for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
        const int s = socket(refused[i][0], refused[i][1], refused[i][2]);
        printf("no socket %d %d %d: %s\n", refused[i][0], refused[i][1], refused[i][2], s < 0 ? strerror(errno) : "made");
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    kinds();
    of_ip(AF_INET6);
    of_ip(AF_INET);
    tcp();
    tcp6();
    polled();
    unix_streams();
    datagrams();
    many_on_a_stream();
    many_that_come_late();
    rights();
    return 0;
}
