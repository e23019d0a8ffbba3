/* Who a process is, as the system calls that need no exit tell it: after set*id by the same task, by another
   thread of it, over exec, and when a parent has died. As root; otherwise there is nothing to change. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int program;

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
static void show(const char* when) {
    uid_t r, e, s;
    gid_t gr, ge, gs;
    check(!getresuid(&r, &e, &s) && !getresgid(&gr, &ge, &gs), "getres*id");
    printf("%s: uid %ld %ld, gid %ld %ld; real %u %u %u, %u %u %u; file %d %d\n", when, syscall(SYS_getuid),
           syscall(SYS_geteuid), syscall(SYS_getgid), syscall(SYS_getegid), r, e, s, gr, ge, gs, setfsuid(-1),
           setfsgid(-1));
}
#include "in_child.h"

static void users(void) {
    check(!seteuid(1000), "seteuid");
    show("seteuid");
    check(!seteuid(0), "and back");
    show("back");
    check(!setreuid(11, 12), "setreuid");
    show("setreuid");
    check(!setreuid(-1, 11), "setreuid of the effective");
    show("setreuid -1");
    check(setreuid(13, -1) == -1 && errno == EPERM, "not any id");
    check(!setresuid(12, 12, 12), "setresuid");
    show("setresuid");
    check(setuid(0) == -1 && errno == EPERM, "nor root");
}
static void groups(void) {
    check(!setegid(21), "setegid");
    show("setegid");
    check(!setregid(22, 23), "setregid");
    show("setregid");
    check(!setresgid(24, 25, 26), "setresgid");
    show("setresgid");
    check(setfsgid(27) == 25 && setfsgid(-1) == 27, "setfsgid");
    check(setfsuid(28) == 0 && setfsuid(-1) == 28, "setfsuid");
    check(!setgid(29), "setgid");
    show("setgid");
    gid_t list[4] = {5, 6, 7};
    check(!setgroups(3, list) && getgroups(0, list) == 3, "getgroups counts");
    memset(list, 0, sizeof list);
    check(getgroups(2, list) == -1 && errno == EINVAL, "too few");
    check(getgroups(4, list) == 3 && list[0] == 5 && list[1] == 6 && list[2] == 7, "getgroups");
    check(!setuid(30), "setuid");
    show("setuid");
    check(setgid(31) == -1 && errno == EPERM && setgroups(0, NULL) == -1 && errno == EPERM, "no more");
    gid_t one = 0;
    check(syscall(SYS_setregid, 29, 29) == 0 && !getresgid(&one, &one, &one), "its own again");
    show("setregid");
}
static void over_exec(void) {
    check(!setresgid(31, 32, 31) && !setresuid(41, 42, 41), "ids");
    fflush(stdout);
    char* arguments[] = {"identities", "ids", NULL};
    fexecve(program, arguments, (char*[]){NULL});
    check(0, "fexecve");
}

/* A child waits, its own child kills it and hears of a new parent. Between the two no other task runs that lives. */
static void parents(void) {
    int told[2];
    check(!pipe(told) && !prctl(PR_SET_CHILD_SUBREAPER, 1), "pipe");
    pid_t p = fork();
    if (p == 0) {
        pid_t first = getpid();
        if (fork() == 0) {
            alarm(60);
            for (int i = 0; i < 10; i++) sched_yield(); /* until the others wait */
            char before = getppid() == first;
            kill(first, SIGKILL);
            while (getppid() == first) sched_yield();
            pid_t now = getppid();
            if (write(told[1], &before, 1) != 1 || write(told[1], &now, sizeof now) != sizeof now) _exit(1);
            _exit(0);
        }
        for (;;) pause();
    }
    close(told[1]);
    char before = 0;
    pid_t now = 0;
    check(read(told[0], &before, 1) == 1 && before == 1, "a parent");
    check(read(told[0], &now, sizeof now) == sizeof now && now == getpid(), "another parent");
    while (wait(NULL) > 0) {
    }
    puts("parents");
}

int main(int argc, char** argv) {
    if (argc > 1 && !strcmp(argv[1], "ids")) {
        show("exec");
        printf("told: %lu %lu %lu %lu, secure %lu\n", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID),
               getauxval(AT_EGID), getauxval(AT_SECURE));
        return 0;
    }
    program = open("/proc/self/exe", O_RDONLY);
    if (geteuid() == 0) {
        /* The groups alone a guest is given may be others. */
        in_child(users);
        in_child(groups);
        in_child(over_exec);
    }
    parents();
    return 0;
}
