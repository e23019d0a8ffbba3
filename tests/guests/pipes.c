/* Pipes inside one process: capacity, poll, non-blocking, end of file, EPIPE; a socketpair. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    int p[2];
    printf("pipe %d\n", pipe2(p, O_CLOEXEC | O_NONBLOCK));
    char b[4096];
    ssize_t r = read(p[0], b, 1);
    printf("empty %zd %d\n", r, errno == EAGAIN);
    long total = 0;
    memset(b, 'x', sizeof b);
    for (ssize_t n; (n = write(p[1], b, sizeof b)) > 0;) total += n;
    printf("capacity %ld %d\n", total, errno == EAGAIN);
    struct pollfd f[2] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}};
    int ready = poll(f, 2, 0);
    printf("poll %d %d %d\n", ready, f[0].revents, f[1].revents);
    long back = 0;
    for (ssize_t n; (n = read(p[0], b, sizeof b)) > 0;) back += n;
    printf("back %d\n", back == total);
    f[0].revents = f[1].revents = 0;
    ready = poll(f, 2, 0);
    printf("poll %d %d %d\n", ready, f[0].revents, f[1].revents);
    f[0].fd = p[0], f[0].events = POLLIN;
    printf("timeout %d\n", poll(f, 1, 20));
    printf("write %zd\n", write(p[1], "bye", 3));
    close(p[1]);
    printf("read %zd\n", read(p[0], b, sizeof b));
    printf("eof %zd\n", read(p[0], b, sizeof b));
    pipe(p);
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    r = write(p[1], "x", 1);
    printf("epipe %zd %d\n", r, errno == EPIPE);
    int s[2];
    printf("pair %d\n", socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    printf("sent %zd\n", send(s[0], "hello", 5, 0));
    printf("got %zd\n", recv(s[1], b, sizeof b, 0));
    return 0;
}
