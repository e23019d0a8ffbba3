/* Connections to servers outside, which echo. argv: port of TCP, port of UDP, both on 127.0.0.1. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) printf("line %d: %s: %s\n", __LINE__, #condition, strerror(errno)); \
    } while (0)

static struct sockaddr_in tcp, udp;

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static int connected(void) {
    const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(s, (void*)&tcp, sizeof tcp) == 0);
    return s;
}

static void a_stream(void) {
    const int s = connected();
    struct sockaddr_in a = {0};
    socklen_t n = sizeof a;
    CHECK(getpeername(s, (void*)&a, &n) == 0 && a.sin_port == tcp.sin_port && n == sizeof a);
    CHECK(getsockname(s, (void*)&a, &n) == 0 && a.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(a.sin_port != 0);
    const int one = 1;
    CHECK(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    CHECK(connect(s, (void*)&tcp, sizeof tcp) == -1 && errno == EISCONN);
    CHECK(write(s, "abcdef", 6) == 6);
    char b[64] = {0};
    CHECK(recv(s, b, 6, MSG_WAITALL) == 6 && memcmp(b, "abcdef", 6) == 0);
    struct iovec two[] = {{"12", 2}, {"345", 3}};
    CHECK(writev(s, two, 2) == 5);
    CHECK(recv(s, b, 5, MSG_WAITALL | MSG_PEEK) >= 1 && b[0] == '1');
    struct iovec into[] = {{b, 1}, {b + 10, 4}};
    struct msghdr m = {.msg_iov = into, .msg_iovlen = 2};
    CHECK(recvmsg(s, &m, MSG_WAITALL) == 5 && b[0] == '1' && memcmp(b + 10, "2345", 4) == 0);
    CHECK(recv(s, b, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    const struct timeval limit = {.tv_usec = 30000};
    CHECK(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    CHECK(recv(s, b, 1, 0) == -1 && errno == EAGAIN);
    CHECK(write(s, "xyz", 3) == 3);
    struct pollfd p = {.fd = s, .events = POLLIN};
    CHECK(poll(&p, 1, 20000) == 1 && p.revents == POLLIN);
    CHECK(recv(s, b, 3, MSG_WAITALL) == 3);
    CHECK(shutdown(s, SHUT_WR) == 0);
    CHECK(send(s, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    p.events = POLLIN | POLLRDHUP;
    CHECK(poll(&p, 1, 20000) == 1 && (p.revents & POLLIN));
    CHECK(read(s, b, 1) == 0);
    close(s);
    puts("a stream");
}

enum { amount = 3 << 20 };

/* More than the buffers on the way hold, in both directions at once, by two processes. */
static void much(void) {
    const int s = connected();
    char* out = malloc(amount);
    for (int i = 0; i < amount; ++i) out[i] = (char)(i * 2654435761u >> 24);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        int sent = 0;
        while (sent < amount) {
            const ssize_t n = write(s, out + sent, (size_t)(amount - sent));
            if (n <= 0) _exit(1);
            sent += (int)n;
        }
        _exit(0);
    }
    char* in = malloc(amount);
    CHECK(recv(s, in, amount, MSG_WAITALL) == amount);
    CHECK(memcmp(in, out, amount) == 0);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    const int file = open("/proc/self/exe", O_RDONLY);
    CHECK(sendfile(s, file, NULL, 4) == 4);
    CHECK(recv(s, in, 4, MSG_WAITALL) == 4 && memcmp(in, "\177ELF", 4) == 0);
    close(file);
    free(in);
    free(out);
    close(s);
    puts("much");
}

/* Edge-triggered, all under way at once. */
static void many(void) {
    enum { count = 20 };
    const int set = epoll_create1(0);
    int done = 0, state[64] = {0};
    for (int i = 0; i < count; ++i) {
        const int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(connect(s, (void*)&tcp, sizeof tcp) == 0 || errno == EINPROGRESS);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = s};
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, s, &e) == 0);
    }
    while (done < count) {
        struct epoll_event events[8];
        const int n = epoll_wait(set, events, 8, 20000);
        CHECK(n > 0);
        if (n <= 0) break;
        for (int i = 0; i < n; ++i) {
            const int s = events[i].data.fd;
            if ((events[i].events & EPOLLOUT) && state[s] == 0) {
                int error = -1;
                socklen_t size = sizeof error;
                CHECK(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
                CHECK(write(s, "ping", 4) == 4);
                state[s] = 1;
            }
            char b[16];
            const ssize_t got = read(s, b, sizeof b);
            if (got < 0) {
                CHECK(errno == EAGAIN);
                continue;
            }
            state[s] += (int)got;
            if (state[s] < 5) continue;
            CHECK(state[s] == 5);
            CHECK(epoll_ctl(set, EPOLL_CTL_DEL, s, NULL) == 0);
            close(s);
            ++done;
        }
    }
    close(set);
    puts("many");
}

static void* waits(void* from) {
    char b[8];
    const int s = *(int*)from;
    CHECK(read(s, b, sizeof b) == 4 && memcmp(b, "late", 4) == 0);
    return NULL;
}

/* One thread waits while another works. */
static void threads(void) {
    int s = connected();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waits, &s) == 0);
    volatile unsigned long sum = 0;
    for (unsigned long i = 0; i < 3000000; ++i) sum += i;
    CHECK(write(s, "late", 4) == 4);
    for (unsigned long i = 0; i < 3000000; ++i) sum += i;
    pthread_join(thread, NULL);
    close(s);
    puts("threads");
}

static void datagrams(void) {
    const int s = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(sendto(s, "hello", 5, 0, (void*)&udp, sizeof udp) == 5);
    char b[64] = {0};
    struct sockaddr_in from = {0};
    socklen_t n = sizeof from;
    CHECK(recvfrom(s, b, 2, MSG_PEEK | MSG_TRUNC, (void*)&from, &n) == 5 && b[1] == 'e');
    CHECK(from.sin_port == udp.sin_port && from.sin_addr.s_addr == udp.sin_addr.s_addr);
    CHECK(recv(s, b, sizeof b, 0) == 5 && memcmp(b, "hello", 5) == 0);
    CHECK(connect(s, (void*)&udp, sizeof udp) == 0);
    struct iovec part[2] = {{"one", 3}, {"three", 5}};
    struct mmsghdr out[2] = {{.msg_hdr = {.msg_iov = &part[0], .msg_iovlen = 1}},
                             {.msg_hdr = {.msg_iov = &part[1], .msg_iovlen = 1}}};
    CHECK(sendmmsg(s, out, 2, 0) == 2 && out[1].msg_len == 5);
    struct iovec into[2] = {{b, 8}, {b + 8, 8}};
    struct mmsghdr in[2] = {{.msg_hdr = {.msg_iov = &into[0], .msg_iovlen = 1}},
                            {.msg_hdr = {.msg_iov = &into[1], .msg_iovlen = 1}}};
    CHECK(recvmmsg(s, in, 2, 0, NULL) == 2 && in[0].msg_len == 3 && in[1].msg_len == 5);
    CHECK(memcmp(b, "one", 3) == 0 && memcmp(b + 8, "three", 5) == 0);
    CHECK(send(s, "", 0, 0) == 0);
    CHECK(recv(s, b, sizeof b, 0) == 0);
    char* large = calloc(1, 65508);
    CHECK(send(s, large, 65508, 0) == -1 && errno == EMSGSIZE);
    free(large);
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK(connect(s, &none, sizeof none) == 0);
    CHECK(send(s, "x", 1, 0) == -1 && errno == EDESTADDRREQ);
    close(s);
    puts("datagrams");
}

static void nobody_there(void) {
    const struct sockaddr_in closed = loopback(1);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(s, (const void*)&closed, sizeof closed) == -1 && errno == ECONNREFUSED);
    close(s);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(s, (const void*)&closed, sizeof closed) == -1 && errno == EINPROGRESS) {
        struct pollfd p = {.fd = s, .events = POLLOUT};
        CHECK(poll(&p, 1, 20000) == 1 && (p.revents & POLLERR));
        int error = 0;
        socklen_t size = sizeof error;
        CHECK(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNREFUSED);
    } else {
        CHECK(errno == ECONNREFUSED);
    }
    close(s);
    puts("nobody there");
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    tcp = loopback(atoi(argv[1]));
    udp = loopback(atoi(argv[2]));
    a_stream();
    much();
    many();
    threads();
    datagrams();
    nobody_there();
    return 0;
}
