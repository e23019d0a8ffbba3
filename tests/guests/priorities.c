/* getpriority and setpriority: of a thread, of another process, of a group and of a user. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
static int nice_of(int which, int who) {
    errno = 0;
    int n = getpriority(which, (id_t)who);
    check(n != -1 || errno == 0, "getpriority");
    return n;
}
#include "waiting_child.h"

static int base;
static pthread_barrier_t met;
static pid_t thread_id;
static void* thread(void* unused) {
    (void)unused;
    thread_id = (pid_t)syscall(SYS_gettid);
    check(nice_of(PRIO_PROCESS, 0) == base, "a thread begins as its maker");
    check(!setpriority(PRIO_PROCESS, 0, base + 2), "of the calling thread");
    pthread_barrier_wait(&met);
    pthread_barrier_wait(&met);
    check(nice_of(PRIO_PROCESS, 0) == base + 4, "set by another");
    return NULL;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    base = nice_of(PRIO_PROCESS, 0);
    /* One process. */
    pid_t a = waiting_child(), b = waiting_child();
    check(nice_of(PRIO_PROCESS, a) == base, "a child begins as its parent");
    check(!setpriority(PRIO_PROCESS, (id_t)a, base + 5), "setpriority of another");
    check(nice_of(PRIO_PROCESS, a) == base + 5 && nice_of(PRIO_PROCESS, 0) == base && nice_of(PRIO_PROCESS, b) == base,
          "of that one alone");
    puts("process");

    pthread_t t;
    pthread_barrier_init(&met, NULL, 2);
    pthread_create(&t, NULL, thread, NULL);
    pthread_barrier_wait(&met);
    check(nice_of(PRIO_PROCESS, thread_id) == base + 2 && nice_of(PRIO_PROCESS, getpid()) == base, "threads have their own");
    check(!setpriority(PRIO_PROCESS, (id_t)thread_id, base + 4), "of a thread");
    pthread_barrier_wait(&met);
    pthread_join(t, NULL);
    puts("thread");

    /* A group: the most favoured of it is what is told. */
    check(!setpgid(a, a) && !setpgid(b, a), "a group");
    check(nice_of(PRIO_PGRP, a) == base, "the least of a group");
    check(!setpriority(PRIO_PGRP, (id_t)a, base + 6), "setpriority of a group");
    check(nice_of(PRIO_PROCESS, a) == base + 6 && nice_of(PRIO_PROCESS, b) == base + 6 && nice_of(PRIO_PROCESS, 0) == base,
          "of that group alone");
    check(!setpriority(PRIO_PROCESS, (id_t)b, 1000) && nice_of(PRIO_PROCESS, b) == 19, "no more than 19");
    check(nice_of(PRIO_PGRP, a) == base + 6, "the group again");
    puts("group");

    check(getpriority(3, 0) == -1 && errno == EINVAL && setpriority(-1, 0, 0) == -1 && errno == EINVAL, "EINVAL");
    end(b);
    check(getpriority(PRIO_PROCESS, (id_t)b) == -1 && errno == ESRCH, "ESRCH");
    check(setpriority(PRIO_PROCESS, (id_t)b, 0) == -1 && errno == ESRCH, "ESRCH");
    check(getpriority(PRIO_PGRP, (id_t)b) == -1 && errno == ESRCH, "no such group");
    check(getpriority(PRIO_USER, 3000000) == -1 && errno == ESRCH, "no such user");

    /* Users, which takes root to try; what is not one's own, and what nobody may. */
    fflush(stdout);
    pid_t p = fork();
    if (p == 0) {
        if (geteuid() != 0) _exit(0);
        const uid_t user = 100000 + (uid_t)getpid();
        check(!setuid(user), "setuid");
        pid_t mine = waiting_child();
        check(!setpriority(PRIO_USER, user, base + 7), "setpriority of a user");
        check(nice_of(PRIO_PROCESS, 0) == base + 7 && nice_of(PRIO_PROCESS, mine) == base + 7, "all of the user");
        check(nice_of(PRIO_PROCESS, getppid()) == base && nice_of(PRIO_USER, 0) == base + 7, "and nobody else");
        check(setpriority(PRIO_PROCESS, (id_t)mine, base) == -1 && errno == EACCES, "never to be favoured more");
        check(setpriority(PRIO_PROCESS, (id_t)getppid(), base + 8) == -1 && errno == EPERM, "nor another user's");
        end(mine);
        _exit(0);
    }
    int s;
    check(waitpid(p, &s, 0) == p && s == 0, "users");
    end(a);
    puts("user");
    return 0;
}
