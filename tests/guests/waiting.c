// epoll sets inside epoll sets, and descriptors of processes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static const char *name(long n) { return n < 0 ? strerrorname_np(errno) : "ok"; }
static int add(int set, int fd, unsigned events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}
static int ready(int set, int timeout) {
    struct epoll_event e[8];
    return epoll_wait(set, e, 8, timeout);
}
static int events(int fd, int timeout) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, timeout);
    return p.revents;
}
static void count(int fd) {
    uint64_t n = 1;
    write(fd, &n, 8);
}
static void drain(int fd) {
    uint64_t n;
    read(fd, &n, 8);
}

static void sets(void) {
    const int inner = epoll_create1(0), outer = epoll_create1(0);
    const int e = eventfd(0, EFD_NONBLOCK);
    printf("add: %s", name(add(outer, inner, EPOLLIN)));
    printf(" %s", name(add(inner, e, EPOLLIN)));
    printf(", itself: %s", name(add(outer, outer, EPOLLIN)));
    printf(", loop: %s", name(add(inner, outer, EPOLLIN)));
    printf(", exclusive: %s\n", name(add(outer, epoll_create1(0), EPOLLIN | EPOLLEXCLUSIVE)));
    printf("nothing: %d %d %x\n", ready(outer, 0), ready(inner, 0), events(outer, 0));
    count(e);
    printf("ready: %d %d %x\n", ready(outer, 0), ready(inner, 0), events(outer, 0));
    printf("still: %d\n", ready(outer, 0));
    drain(e);
    printf("read: %d %d\n", ready(outer, 0), ready(inner, 0));
    // By many ways to one source.
    for (int i = 0; i < 20; ++i) add(outer, dup(inner), EPOLLIN);
    count(e);
    printf("many ways: %d\n", ready(outer, 0));
    drain(e);
    // One that waits for the outer set hears of the inner one's source, and of its timer.
    const pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        count(e);
        _exit(0);
    }
    printf("waited: %d\n", ready(outer, 5000) > 0);
    waitpid(child, NULL, 0);
    drain(e);
    const int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    const struct itimerspec soon = {.it_value = {0, 20000000}};
    timerfd_settime(timer, 0, &soon, NULL);
    add(inner, timer, EPOLLIN);
    printf("timer: %d\n", ready(outer, 5000) > 0);
    close(timer);
    printf("closed: %d\n", ready(outer, 0));
    close(inner);

    const int edge = epoll_create1(0), below = epoll_create1(0);
    add(edge, below, EPOLLIN | EPOLLET);
    add(below, e, EPOLLIN);
    count(e);
    printf("edge: %d", ready(edge, 0));
    printf(" %d", ready(edge, 0));
    count(e);
    printf(" %d", ready(edge, 0));
    drain(e);
    printf(" %d", ready(edge, 0));
    count(e);
    printf(" %d\n", ready(edge, 0));
    close(edge), close(below);

    int last = epoll_create1(0), depth = 0;
    for (; depth < 20; ++depth) {
        const int next = epoll_create1(0);
        if (add(next, last, EPOLLIN)) break;
        last = next;
    }
    printf("too deep: %s after some: %d\n", strerrorname_np(errno), depth >= 4 && depth < 6);
}

static int pidfd_open_(pid_t p, unsigned flags) { return (int)syscall(SYS_pidfd_open, p, flags); }
static int send_(int fd, int signal, siginfo_t *info, unsigned flags) {
    return (int)syscall(SYS_pidfd_send_signal, fd, signal, info, flags);
}
static void show(const siginfo_t *i, pid_t child) {
    printf("%d %d %d %d", i->si_signo, i->si_code, i->si_status, i->si_pid == child);
}

static void processes(void) {
    siginfo_t info;
    int gate[2];
    pipe(gate);
    pid_t child = fork();
    if (child == 0) {
        char c;
        close(gate[1]);
        read(gate[0], &c, 1);
        _exit(7);
    }
    const int fd = pidfd_open_(child, 0);
    printf("open: %s, flags %x, cloexec %d\n", name(fd), fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    printf("running: %x", events(fd, 0));
    memset(&info, 0, sizeof info);
    printf(" %s", name(waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG)));
    printf(" %d", info.si_pid);
    printf(", probe: %s", name(send_(fd, 0, NULL, 0)));
    printf(", %s", name(send_(fd, 0, NULL, 77)));
    printf(", %s", name(send_(fd, 99, NULL, 0)));
    printf(", read: %s\n", name(read(fd, &info, 8)));
    char directory[32];
    snprintf(directory, sizeof directory, "/proc/%d", (int)child);
    const int place = open(directory, O_DIRECTORY | O_RDONLY), proc = open("/proc", O_DIRECTORY | O_RDONLY);
    printf("by its directory: %s", name(send_(place, 0, NULL, 0)));
    printf(" %s", name(send_(proc, 0, NULL, 0)));
    printf(" %s\n", name(waitid(P_PIDFD, (id_t)place, &info, WEXITED)));
    close(place), close(proc);
    const int set = epoll_create1(0);
    add(set, fd, EPOLLIN);
    close(gate[1]);
    printf("ended: %d", ready(set, 5000));
    printf(" %x", events(fd, 0));
    printf(" %s", name(waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT)));
    putchar(' ');
    show(&info, child);
    printf(", zombie: %s", name(send_(fd, 0, NULL, 0)));
    printf(", %s", name(waitid(P_PIDFD, (id_t)fd, &info, WEXITED)));
    printf(", %s", name(waitid(P_PIDFD, (id_t)fd, &info, WEXITED)));
    printf(", gone: %s", name(send_(fd, 0, NULL, 0)));
    printf(" %d\n", events(fd, 0) & POLLIN);
    close(fd);

    child = fork();
    if (child == 0)
        for (;;) pause();
    const int other = pidfd_open_(child, O_NONBLOCK);
    printf("nonblocking: %x %s", fcntl(other, F_GETFL) & O_NONBLOCK, name(waitid(P_PIDFD, (id_t)other, &info, WEXITED)));
    printf(", kill: %s", name(send_(other, SIGTERM, NULL, 0)));
    printf(" %x ", events(other, 5000));
    printf("%s ", name(waitid(P_PIDFD, (id_t)other, &info, WEXITED)));
    show(&info, child);
    puts("");
    close(other);

    printf("errors: %s", name(pidfd_open_(-1, 0)));
    printf(" %s", name(pidfd_open_(0, 0)));
    printf(" %s", name(pidfd_open_(3999999, 0)));
    printf(" %s", name(pidfd_open_(getpid(), 1)));
    printf(" %s", name(send_(1, 0, NULL, 0)));
    printf(" %s", name(waitid(P_PIDFD, 1, &info, WEXITED)));
    const int self = pidfd_open_(getpid(), 0);
    printf(" %s", name(waitid(P_PIDFD, (id_t)self, &info, WEXITED)));
    memset(&info, 0, sizeof info);
    info.si_signo = SIGUSR1, info.si_code = SI_QUEUE, info.si_value.sival_int = 42;
    sigset_t usr1;
    sigemptyset(&usr1), sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    printf(" %s", name(send_(self, SIGUSR2, &info, 0)));
    printf(" %s", name(send_(self, SIGUSR1, &info, 0)));
    siginfo_t got;
    printf(" %d", sigwaitinfo(&usr1, &got));
    printf(" %d %d\n", got.si_code, got.si_value.sival_int);
    close(self);

    int made = -1;
    child = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &made, NULL, 0L);
    if (child == 0) _exit(9);
    printf("clone: %s", name(made));
    printf(" %d", fcntl(made, F_GETFD));
    printf(" %s ", name(waitid(P_PIDFD, (id_t)made, &info, WEXITED)));
    show(&info, child);
    puts("");
    close(made);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    sets();
    processes();
    return 0;
}
