/* Timers and signals as descriptors, alone, in poll and in epoll, across fork. Prints what it saw. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}
static struct itimerspec in_ms(long first, long every) {
    struct itimerspec s = {{every / 1000, every % 1000 * 1000000}, {first / 1000, first % 1000 * 1000000}};
    return s;
}
static void* waits(void* v) {
    uint64_t n = 0;
    return read(*(int*)v, &n, sizeof n) == 8 && n == 1 ? v : NULL;
}

static void timers(void) {
    uint64_t n;
    struct itimerspec s, old;
    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    check(t >= 0 && fcntl(t, F_GETFD) == FD_CLOEXEC, "timerfd_create");
    check(timerfd_create(99, 0) == -1 && errno == EINVAL && timerfd_create(CLOCK_REALTIME, 64) == -1, "wrong arguments");
    check(read(t, &n, 8) == -1 && errno == EAGAIN, "disarmed");
    check(write(t, &n, 8) == -1 && errno == EINVAL, "no writing");
    check(!timerfd_gettime(t, &s) && !s.it_value.tv_sec && !s.it_value.tv_nsec, "shows nothing");
    s = in_ms(10000, 0);
    check(!timerfd_settime(t, 0, &s, NULL) && !timerfd_gettime(t, &old), "settime");
    check(old.it_value.tv_sec == 9 && !old.it_interval.tv_sec, "what is left");
    s = in_ms(5, 5);
    check(!timerfd_settime(t, 0, &s, &old) && old.it_value.tv_sec == 9, "the old value");
    struct pollfd p = {t, POLLIN, 0};
    check(poll(&p, 1, 2000) == 1 && p.revents == POLLIN, "poll");
    usleep(20000);
    check(read(t, &n, 4) == -1 && errno == EINVAL, "too little room");
    check(read(t, &n, 8) == 8 && n >= 3, "several expirations");
    s.it_value.tv_nsec = 2000000000;
    check(timerfd_settime(t, 0, &s, NULL) == -1 && errno == EINVAL, "a wrong time");

    int ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};
    check(!epoll_ctl(ep, EPOLL_CTL_ADD, t, &e), "epoll_ctl");
    check(epoll_wait(ep, &e, 1, 2000) == 1, "an edge");
    check(epoll_wait(ep, &e, 1, 12) == 0, "none before it is read");
    check(read(t, &n, 8) == 8 && n >= 2, "read");
    check(epoll_wait(ep, &e, 1, 2000) == 1, "the next edge");
    s = in_ms(0, 0);
    check(!timerfd_settime(t, 0, &s, NULL), "disarm");
    check(read(t, &n, 8) == -1 && errno == EAGAIN, "nothing is left");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    s = in_ms(0, 0);
    s.it_value = now;
    check(!timerfd_settime(t, TFD_TIMER_ABSTIME, &s, NULL), "an instant that is over");
    check(epoll_wait(ep, &e, 1, 2000) == 1 && read(t, &n, 8) == 8 && n == 1, "is due at once");
    close(ep), close(t);

    t = timerfd_create(CLOCK_REALTIME, 0);
    clock_gettime(CLOCK_REALTIME, &now);
    s = in_ms(0, 0);
    s.it_value = now;
    s.it_value.tv_nsec += 10000000;
    if (s.it_value.tv_nsec >= 1000000000) s.it_value.tv_sec++, s.it_value.tv_nsec -= 1000000000;
    check(!timerfd_settime(t, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &s, NULL), "a time of day");
    pthread_t thread;
    void* ok;
    pthread_create(&thread, NULL, waits, &t);
    pthread_join(thread, &ok);
    check(ok != NULL, "a blocking read");
    struct timespec later;
    clock_gettime(CLOCK_REALTIME, &later);
    check(later.tv_sec > s.it_value.tv_sec || (later.tv_sec == s.it_value.tv_sec && later.tv_nsec >= s.it_value.tv_nsec), "not early");
    s = in_ms(10, 0);
    check(!timerfd_settime(t, 0, &s, NULL), "settime");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit(waits(&t) ? 0 : 1);
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "a timer that two processes share");
    close(t);
    puts("timers");
}

static void signals(void) {
    sigset_t set, wrong;
    sigemptyset(&set), sigemptyset(&wrong);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGCHLD);
    sigaddset(&wrong, SIGKILL);
    check(!sigprocmask(SIG_BLOCK, &set, NULL), "block");
    int f = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    check(f >= 0, "signalfd");
    struct signalfd_siginfo info[4];
    check(read(f, info, sizeof info) == -1 && errno == EAGAIN, "none pending");
    check(read(f, info, 100) == -1 && errno == EINVAL, "too little room");
    raise(SIGUSR1), raise(SIGUSR1);
    union sigval v = {.sival_int = 42};
    check(!sigqueue(getpid(), SIGRTMIN, v) && !sigqueue(getpid(), SIGRTMIN, v), "sigqueue");
    struct pollfd p = {f, POLLIN, 0};
    check(poll(&p, 1, 1000) == 1 && p.revents == POLLIN, "poll");
    check(read(f, info, sizeof info) == 3 * (ssize_t)sizeof *info, "three signals");
    check(info[0].ssi_signo == SIGUSR1 && info[0].ssi_pid == (unsigned)getpid(), "who sent it");
    check(info[1].ssi_signo == (unsigned)SIGRTMIN && info[1].ssi_int == 42 && info[1].ssi_code == SI_QUEUE, "its value");
    check(poll(&p, 1, 0) == 0, "taken");
    int ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN};
    check(!epoll_ctl(ep, EPOLL_CTL_ADD, f, &e), "epoll_ctl");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        check(poll(&p, 1, 0) == 0, "the parent's signals are not the child's");
        usleep(5000);
        _exit(7);
    }
    check(epoll_wait(ep, &e, 1, 2000) == 1, "SIGCHLD through epoll");
    check(read(f, info, sizeof info) == (ssize_t)sizeof *info && info[0].ssi_signo == SIGCHLD &&
              info[0].ssi_pid == (unsigned)child && info[0].ssi_status == 7 && info[0].ssi_code == CLD_EXITED, "the child's end");
    waitpid(child, NULL, 0);
    check(signalfd(f, &wrong, 0) == f, "another mask");
    raise(SIGUSR1);
    check(poll(&p, 1, 0) == 0, "is not in it");
    check(signalfd(ep, &set, 0) == -1 && errno == EINVAL && signalfd(999, &set, 0) == -1 && errno == EBADF, "not a signalfd");
    puts("signals");
}

int main(void) {
    timers();
    signals();
    return 0;
}
