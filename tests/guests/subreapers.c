/* Who gets the children of the dead: PR_SET_CHILD_SUBREAPER (man 2 prctl). */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
static int is_subreaper(void) {
    int is = -1;
    check(!prctl(PR_GET_CHILD_SUBREAPER, &is), "PR_GET_CHILD_SUBREAPER");
    return is;
}
static int told[2], go[2];
static pid_t next(void) {
    pid_t p = 0;
    check(read(told[0], &p, sizeof p) == sizeof p, "told");
    return p;
}
static void tell(pid_t p) {
    if (write(told[1], &p, sizeof p) != sizeof p) _exit(2);
}
/* Ends when its parent is another than it was, and tells which. */
static void orphan(pid_t parent) {
    alarm(60);
    tell(getpid());
    while (getppid() == parent) usleep(1000);
    tell(getppid());
    char c;
    if (read(go[0], &c, 1) != 1) _exit(3);
    _exit(44);
}
static void end(pid_t p, int status) {
    int s = 0;
    check(waitpid(p, &s, 0) == p, "waitpid");
    check(s == status, "how it ended");
}

int main(int argc, char** argv) {
    if (argc > 1 && !strcmp(argv[1], "still")) return is_subreaper() ? 5 : 6;
    setvbuf(stdout, NULL, _IOLBF, 0);
    check(!pipe(told) && !pipe(go), "pipe");
    int before = is_subreaper();
    check(before == 0 && !prctl(PR_SET_CHILD_SUBREAPER, 1) && is_subreaper() == 1, "asked for");

    /* A child dies and leaves one that lives and one that has ended. */
    pid_t a = fork();
    if (a == 0) {
        check(is_subreaper() == 0, "not inherited");
        if (fork() == 0) _exit(33);
        pid_t self = getpid();
        if (fork() == 0) orphan(self);
        siginfo_t i;
        check(!waitid(P_ALL, 0, &i, WEXITED | WNOWAIT), "one has ended");
        tell(i.si_pid);
        for (;;) pause();
    }
    pid_t one = next(), other = next();
    pid_t zombie, living;
    kill(a, SIGKILL);
    end(a, SIGKILL);
    check(next() == getpid(), "the subreaper is the parent now");
    int s1;
    zombie = waitpid(-1, &s1, 0);
    check((zombie == one || zombie == other) && WEXITSTATUS(s1) == 33, "the dead are reaped here too");
    living = zombie == one ? other : one;
    check(waitpid(living, NULL, WNOHANG) == 0, "it lives");
    check(write(go[1], "x", 1) == 1, "go");
    end(living, 44 << 8);
    puts("reaped");

    /* The nearest one; then, when that has died too, the next. */
    a = fork();
    if (a == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t b = fork();
        if (b == 0) {
            pid_t self = getpid();
            if (fork() == 0) {
                alarm(60);
                pid_t parent = self;
                tell(getpid());
                for (int i = 0; i < 2; i++) {
                    while (getppid() == parent) usleep(1000);
                    tell(parent = getppid());
                }
                _exit(44);
            }
            for (;;) pause();
        }
        tell(-b);
        for (;;) pause();
    }
    one = next(), other = next();
    pid_t c = one > 0 ? one : other, b = -(one > 0 ? other : one);
    kill(b, SIGKILL);
    check(next() == a, "the nearest subreaper");
    kill(a, SIGKILL);
    end(a, SIGKILL);
    check(next() == getpid(), "the next one");
    end(c, 44 << 8);
    while (wait(NULL) > 0) {
    }
    puts("nearest");

    /* Kept over exec, and given up again. */
    fflush(stdout);
    a = fork();
    if (a == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        execl("/proc/self/exe", "subreapers", "still", NULL);
        _exit(1);
    }
    end(a, 5 << 8);
    a = fork();
    if (a == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_CHILD_SUBREAPER, 0);
        pid_t x = fork();
        if (x == 0) {
            pid_t self = getpid();
            if (fork() == 0) orphan(self);
            for (;;) pause();
        }
        tell(-x);
        for (;;) pause();
    }
    one = next(), other = next();
    c = one > 0 ? one : other, b = -(one > 0 ? other : one);
    kill(b, SIGKILL);
    check(next() == getpid(), "who asks no more is passed by");
    check(write(go[1], "x", 1) == 1, "go");
    end(c, 44 << 8);
    kill(a, SIGKILL);
    end(a, SIGKILL);
    puts("given up");
    return 0;
}
