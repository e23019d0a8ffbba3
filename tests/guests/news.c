/* Signals that tell of news on descriptors: F_SETOWN, F_SETSIG, O_ASYNC; SIGIO, SIGURG (man 2 fcntl). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifndef FIOSETOWN
#define FIOSETOWN 0x8901
#define FIOGETOWN 0x8903
#endif

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}
#define FAILS(call, error, what) check((call) == -1 && errno == (error), what)
#include "in_child.h"

static int first; /* free descriptor at the start */
static sigset_t told;
static int quiet; /* how often a signal comes that is not queued is not ours to say */

/* What has come: waits for the first if there shall be one. */
static void hears(const char* when, int any) {
    siginfo_t i;
    struct timespec t = {any ? 10 : 0, 0};
    printf("  %s:", when);
    int last = 0;
    for (; sigtimedwait(&told, &i, &t) > 0; t.tv_sec = 0) {
        const int n = i.si_signo;
        if (quiet && n == last) continue;
        last = n;
        if (n == SIGIO)
            printf(" SIGIO%s", i.si_code == SI_KERNEL ? "" : " ?");
        else if (n == SIGURG)
            printf(" SIGURG%s", i.si_code == SI_KERNEL ? "" : " ?");
        else
            printf(" RT%d code %d band %lx fd %d", n - SIGRTMIN, i.si_code, i.si_band,
                   i.si_fd < 40 ? i.si_fd - first : i.si_fd);
    }
    puts("");
}
static void async(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    check(!fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC), "F_SETFL");
    check(!(fcntl(fd, F_GETFL) & O_ASYNC) == !on, "F_GETFL");
}

static void owners(void) {
    puts("owners");
    int p[2], child;
    struct f_owner_ex ex = {9, 9};
    check(!pipe(p), "pipe");
    check(fcntl(p[0], F_GETOWN) == 0 && fcntl(p[0], F_GETSIG) == 0 && !fcntl(p[0], F_GETOWN_EX, &ex), "nobody");
    printf("  nobody: type %d, %d\n", ex.type, ex.pid);
    check(!fcntl(p[0], F_SETOWN, getpid()) && fcntl(p[0], F_GETOWN) == getpid() && fcntl(p[1], F_GETOWN) == 0, "a process");
    check(!fcntl(p[0], F_GETOWN_EX, &ex), "F_GETOWN_EX");
    printf("  a process: type %d, %d\n", ex.type, ex.pid == getpid());
    setpgid(0, 0);
    check(!fcntl(p[0], F_SETOWN, -getpgrp()) && fcntl(p[0], F_GETOWN_EX, &ex) == 0, "a group");
    printf("  a group: type %d, %d, %d\n", ex.type, ex.pid == getpgrp(), fcntl(p[0], F_GETOWN) == -getpgrp());
    ex.type = F_OWNER_TID, ex.pid = gettid();
    check(!fcntl(p[0], F_SETOWN_EX, &ex) && fcntl(p[0], F_GETOWN) == gettid(), "a thread");
    FAILS(fcntl(p[0], F_SETOWN, 0x3ffffff), ESRCH, "no process");
    FAILS(fcntl(p[0], F_SETOWN, -0x3ffffff), ESRCH, "no group");
    FAILS(fcntl(p[0], F_SETOWN, 0x80000000), EINVAL, "no number");
    ex.type = 3;
    FAILS(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL, "no type");
    FAILS(fcntl(p[0], F_SETOWN_EX, (void*)8), EFAULT, "nowhere");
    FAILS(fcntl(p[0], F_GETOWN_EX, (void*)8), EFAULT, "nowhere");
    FAILS(fcntl(p[0], F_SETSIG, 65), EINVAL, "no signal");
    FAILS(fcntl(p[0], F_SETSIG, -1), EINVAL, "no signal");
    check(!fcntl(p[0], F_SETSIG, SIGUSR1) && fcntl(p[0], F_GETSIG) == SIGUSR1 && !fcntl(p[0], F_SETSIG, 0), "F_SETSIG");
    if ((child = fork()) == 0) pause();
    check(!fcntl(p[0], F_SETOWN, child) && !kill(child, SIGKILL) && waitpid(child, NULL, 0) == child, "a child");
    check(fcntl(p[0], F_GETOWN) == 0, "is gone");
    check(!fcntl(p[0], F_SETOWN, 0) && fcntl(p[0], F_GETOWN) == 0, "nobody again");
    int zero = open("/dev/null", O_RDWR), on = 1, s = socket(AF_INET, SOCK_DGRAM, 0), who = getpid();
    check(!fcntl(zero, F_SETFL, O_ASYNC) && !(fcntl(zero, F_GETFL) & O_ASYNC), "a device tells nothing");
    check(!fcntl(zero, F_SETOWN, getpid()) && fcntl(zero, F_GETOWN) == getpid(), "of a device too");
    FAILS(ioctl(zero, FIOASYNC, &on), ENOTTY, "it tells nothing");
    FAILS(ioctl(p[0], FIOSETOWN, &who), ENOTTY, "of sockets");
    check(!ioctl(s, FIOSETOWN, &who) && fcntl(s, F_GETOWN) == who && !ioctl(s, FIOGETOWN, &on) && on == who, "FIOSETOWN");
    on = 1;
    check(!ioctl(p[0], FIOASYNC, &on) && (fcntl(p[0], F_GETFL) & O_ASYNC), "FIOASYNC");
    on = 0;
    check(!ioctl(p[0], FIOASYNC, &on) && !(fcntl(p[0], F_GETFL) & O_ASYNC), "and not");
    close(p[0]), close(p[1]), close(zero), close(s);
}

static void pipes(void) {
    puts("pipes");
    int p[2];
    char b[10];
    check(!pipe(p), "pipe");
    check(write(p[1], "before", 6) == 6 && !fcntl(p[0], F_SETOWN, getpid()), "F_SETOWN");
    hears("not asked for", 0);
    check(write(p[1], "x", 1) == 1, "write");
    hears("not O_ASYNC", 0);
    async(p[0], 1);
    hears("what was before", 0);
    check(write(p[1], "x", 1) == 1, "write");
    hears("a write", 1);
    check(write(p[1], "x", 1) == 1 && write(p[1], "y", 1) == 1, "write");
    hears("two, once", 1);
    check(read(p[0], b, 3) == 3, "read");
    hears("a read", 0);
    check(!fcntl(p[0], F_SETSIG, SIGRTMIN + 1), "F_SETSIG");
    check(write(p[1], "x", 1) == 1 && write(p[1], "y", 1) == 1, "write");
    hears("two, queued", 1);
    int other = dup2(p[1], 40);
    check(other == 40 && !fcntl(40, F_SETOWN, getpid()) && !fcntl(40, F_SETSIG, SIGRTMIN + 2), "the other end");
    async(40, 1);
    check(read(p[0], b, 2) == 2, "read");
    hears("a read", 1);
    close(40), close(p[1]);
    hears("its end", 1);
    close(p[0]);

    check(!pipe(p) && !fcntl(p[0], F_SETOWN, getpid()) && !fcntl(p[0], F_SETSIG, SIGIO), "pipe");
    async(p[0], 1);
    check(write(p[1], "x", 1) == 1, "write");
    siginfo_t i;
    check(sigwaitinfo(&told, &i) == SIGIO, "sigwaitinfo");
    printf("  asked for by name: code %d band %lx fd %d\n", i.si_code, i.si_band, i.si_fd == p[0]);
    async(p[0], 0);
    check(write(p[1], "x", 1) == 1, "write");
    hears("no more", 0);
    async(p[0], 1);
    int sfd = signalfd(-1, &told, 0);
    struct signalfd_siginfo si;
    check(write(p[1], "x", 1) == 1 && read(sfd, &si, sizeof si) == sizeof si, "signalfd");
    printf("  by signalfd: %d code %d band %x fd %d\n", si.ssi_signo == SIGIO, si.ssi_code, si.ssi_band, si.ssi_fd == p[0]);
    close(p[0]), close(p[1]), close(sfd);
}

static void pairs(void) {
    puts("pairs");
    int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}, p[2];
    char b[4096] = "";
    for (int i = 0; i < 3; i++) {
        check(!socketpair(AF_UNIX, types[i], 0, p) && !fcntl(p[0], F_SETOWN, getpid()) && !fcntl(p[0], F_SETSIG, SIGRTMIN), "pair");
        async(p[0], 1);
        check(write(p[1], "x", 1) == 1 && write(p[1], "y", 1) == 1, "write");
        hears("two", 1);
        check(read(p[0], b, 10) > 0, "read");
        hears("a read", 0);
        close(p[0]), close(p[1]);
    }
    check(!socketpair(AF_UNIX, SOCK_STREAM, 0, p) && !fcntl(p[0], F_SETOWN, getpid()), "pair");
    async(p[0], 1);
    close(p[1]);
    hears("its end", 1);
    close(p[0]);
}

static int mine, theirs, listener;
static struct sockaddr_in at = {.sin_family = AF_INET};
static void connection(void) {
    socklen_t n = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK), at.sin_port = 0;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(!bind(listener, (void*)&at, n) && !listen(listener, 5) && !getsockname(listener, (void*)&at, &n), "listen");
    mine = socket(AF_INET, SOCK_STREAM, 0);
    check(!connect(mine, (void*)&at, n), "connect");
    theirs = accept(listener, NULL, NULL);
}
static void sockets(void) {
    puts("sockets");
    connection();
    quiet = 1;
    check(!fcntl(mine, F_SETOWN, getpid()), "F_SETOWN");
    check(send(theirs, "x", 1, 0) == 1, "send");
    hears("not O_ASYNC", 0);
    check(send(theirs, "!", 1, MSG_OOB) == 1, "urgent");
    hears("urgent", 1);
    check(send(theirs, "?", 1, MSG_OOB) == 1, "urgent");
    hears("again", 1);
    check(!fcntl(mine, F_SETOWN, 0) && send(theirs, "!", 1, MSG_OOB) == 1, "nobody's");
    struct pollfd p = {mine, POLLPRI, 0};
    check(poll(&p, 1, 10000) == 1, "poll");
    hears("nobody", 0);
    check(!fcntl(mine, F_SETOWN, getpid()), "F_SETOWN");
    async(mine, 1);
    hears("what was before", 0);
    check(send(theirs, "x", 1, 0) == 1, "send");
    hears("sent", 1);
    check(!fcntl(listener, F_SETOWN, getpid()), "of a listener");
    async(listener, 1);
    int another = socket(AF_INET, SOCK_STREAM, 0), second;
    check(!connect(another, (void*)&at, sizeof at), "connect");
    hears("a connection", 1);
    check((second = accept(listener, NULL, NULL)) >= 0, "accept");
    check(send(another, "x", 1, 0) == 1, "send");
    hears("the accepted one has no owner", 0);
    close(second), close(another), close(theirs);
    hears("its end", 1);
    close(mine), close(listener);

    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t n = sizeof at;
    at.sin_port = 0;
    check(!bind(a, (void*)&at, n) && !getsockname(a, (void*)&at, &n) && !fcntl(a, F_SETOWN, getpid()), "datagrams");
    async(a, 1);
    check(sendto(b, "x", 1, 0, (void*)&at, n) == 1, "sendto");
    hears("a datagram", 1);
    close(a), close(b);
    quiet = 0;
}

static int shared[2];
static void waits(void) {
    siginfo_t i;
    check(!setpgid(0, 0) && !fcntl(shared[0], F_SETOWN, -getpid()), "a group");
    async(shared[0], 1);
    pid_t p = fork();
    if (p == 0) {
        check(write(shared[1], "w", 1) == 1, "write");
        check(sigwaitinfo(&told, &i) == SIGIO, "its sender is of the group");
        _exit(0);
    }
    check(sigwaitinfo(&told, &i) == SIGIO, "sigwaitinfo");
    int s;
    check(waitpid(p, &s, 0) == p && s == 0, "the other");
    puts("  all of a group");
}
static void dies(void) {
    check(!fcntl(shared[0], F_SETOWN, getpid()), "F_SETOWN");
    async(shared[0], 1);
    sigprocmask(SIG_UNBLOCK, &told, NULL);
    check(write(shared[1], "w", 1) == 1, "write");
    pause();
}
static void* thread(void* x) {
    struct f_owner_ex ex = {F_OWNER_TID, gettid()};
    siginfo_t i;
    check(!fcntl(shared[0], F_SETOWN_EX, &ex), "F_OWNER_TID");
    async(shared[0], 1);
    check(write(shared[1], "w", 1) == 1 && sigwaitinfo(&told, &i) == SIGIO, "a thread");
    return x;
}
static void not_allowed(void) {
    int p = getppid();
    if (geteuid() == 0) check(!setresuid(1000, 1000, 1000), "setuid");
    check(!fcntl(shared[0], F_SETOWN, p), "another's process");
    check(write(shared[1], "w", 1) == 1, "write");
}
static void others(void) {
    puts("others");
    check(!pipe(shared), "pipe");
    in_child(waits);
    pthread_t t;
    check(!pthread_create(&t, NULL, thread, NULL) && !pthread_join(t, NULL), "a thread");
    hears("and nobody else", 0);
    fflush(stdout);
    int s;
    pid_t p = fork();
    if (p == 0) dies(), _exit(0);
    check(waitpid(p, &s, 0) == p, "wait");
    printf("  ended by %d\n", WIFSIGNALED(s) ? WTERMSIG(s) : 0);
    if (geteuid() == 0) in_child(not_allowed);
    hears("by who may not kill", 0);
    close(shared[0]), close(shared[1]);
}

static void never(int n) { _exit(n); }
int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    first = dup(0); /* some may have been inherited */
    close(first);
    sigemptyset(&told);
    sigaddset(&told, SIGIO), sigaddset(&told, SIGURG);
    for (int i = 0; i < 3; i++) sigaddset(&told, SIGRTMIN + i);
    sigprocmask(SIG_BLOCK, &told, NULL);
    signal(SIGURG, never); /* not ignored: it waits to be taken */
    owners();
    pipes();
    pairs();
    sockets();
    others();
    return 0;
}
