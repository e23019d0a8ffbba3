/* Job control and accounting as shells and supervisors use them: processes that stop and go on,
   what wait says of it, orphaned groups, and whose the CPU time is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (ok) return;
    printf("FAILED: %s (errno %d)\n", what, errno);
    exit(1);
}
static int status_of(pid_t p, int options) {
    int s = -1;
    check(waitpid(p, &s, options) == p, "waitpid");
    return s;
}
static void end(pid_t p) {
    kill(p, SIGKILL);
    const int s = status_of(p, 0);
    check(WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL, "killed");
}
static pid_t idler(void) {
    const pid_t p = fork();
    check(p >= 0, "fork");
    if (p == 0)
        for (;;) pause();
    return p;
}
static char state_of(pid_t p) {
    char path[64], text[512], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", p);
    FILE* f = fopen(path, "r");
    if (f && fgets(text, sizeof text, f)) state = strrchr(text, ')')[2];
    if (f) fclose(f);
    return state;
}

static void stop_and_go(void) {
    const pid_t p = idler();
    siginfo_t info;
    check(waitpid(p, NULL, WNOHANG | WUNTRACED | WCONTINUED) == 0, "nothing to say of it yet");
    kill(p, SIGSTOP);
    check(waitid(P_PID, (id_t)p, &info, WSTOPPED | WNOWAIT) == 0, "waitid");
    check(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP && info.si_pid == p, "its news");
    int s = status_of(p, WUNTRACED);
    check(WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP, "stopped");
    check(state_of(p) == 'T', "state of a stopped process");
    check(waitpid(p, &s, WUNTRACED | WNOHANG) == 0, "told once");
    kill(p, SIGSTOP);
    check(waitpid(p, &s, WUNTRACED | WNOHANG) == 0, "it was stopped already");
    kill(p, SIGTERM); /* waits until it goes on */
    check(waitpid(p, &s, WNOHANG) == 0, "a stopped process takes no SIGTERM");
    kill(p, SIGCONT);
    s = status_of(p, 0);
    check(WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM, "then it does");

    const pid_t q = idler();
    kill(q, SIGSTOP);
    s = status_of(q, WUNTRACED);
    kill(q, SIGCONT);
    s = status_of(q, WCONTINUED);
    check(WIFCONTINUED(s), "continued");
    kill(q, SIGSTOP);
    status_of(q, WUNTRACED);
    kill(q, SIGCONT);
    check(waitid(P_PID, (id_t)q, &info, WCONTINUED) == 0 && info.si_code == CLD_CONTINUED &&
              info.si_status == SIGCONT,
          "continued, by waitid");
    kill(q, SIGSTOP);
    status_of(q, WUNTRACED);
    end(q);
    puts("stop and go");
}

static void by_itself(void) {
    int ends[2];
    check(pipe(ends) == 0, "pipe");
    const pid_t p = fork();
    if (p == 0) {
        raise(SIGSTOP);
        check(write(ends[1], "x", 1) == 1, "write");
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTSTP);
        setpgid(0, 0);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGTSTP); /* stops when it is unblocked */
        check(write(ends[1], "y", 1) == 1, "write");
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        check(write(ends[1], "z", 1) == 1, "write");
        _exit(7);
    }
    char c = 0;
    struct pollfd ready = {ends[0], POLLIN, 0};
    int s = status_of(p, WUNTRACED);
    check(WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP, "it stopped itself");
    check(poll(&ready, 1, 20) == 0, "and does nothing");
    kill(p, SIGCONT);
    check(read(ends[0], &c, 1) == 1 && c == 'x', "it goes on where it stood");
    check(read(ends[0], &c, 1) == 1 && c == 'y', "a blocked signal does not stop it");
    s = status_of(p, WUNTRACED);
    check(WIFSTOPPED(s) && WSTOPSIG(s) == SIGTSTP, "until it is unblocked");
    check(poll(&ready, 1, 20) == 0, "and nothing more");
    kill(p, SIGCONT);
    s = status_of(p, 0);
    check(WIFEXITED(s) && WEXITSTATUS(s) == 7, "to its end");
    check(read(ends[0], &c, 1) == 1 && c == 'z', "the last it wrote");
    close(ends[0]);
    close(ends[1]);
    puts("by itself");
}

static volatile sig_atomic_t children, code;
static void on_child(int n, siginfo_t* i, void* u) {
    (void)n, (void)u;
    ++children;
    code = i->si_code;
}
static void await_child(int count) {
    for (int i = 0; i < 1000 && children < count; ++i) usleep(1000);
    check(children == count, "SIGCHLD");
}
static void told_by_signal(void) {
    struct sigaction a = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
    sigaction(SIGCHLD, &a, &old);
    const pid_t p = idler();
    kill(p, SIGSTOP);
    await_child(1);
    check(code == CLD_STOPPED, "SIGCHLD of a stop");
    kill(p, SIGCONT);
    await_child(2);
    check(code == CLD_CONTINUED, "SIGCHLD of a continuation");
    a.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &a, NULL);
    kill(p, SIGSTOP);
    status_of(p, WUNTRACED);
    kill(p, SIGCONT);
    status_of(p, WCONTINUED);
    check(children == 2, "SA_NOCLDSTOP");
    end(p);
    sigaction(SIGCHLD, &old, NULL);
    puts("told by signal");
}

static void groups(void) {
    const pid_t a = idler(), b = idler();
    check(setpgid(a, a) == 0 && setpgid(b, a) == 0, "a group");
    check(getpgid(b) == a, "getpgid");
    check(kill(-a, SIGTSTP) == 0, "kill of a group");
    for (int i = 0; i < 2; ++i) {
        int s = 0;
        check(waitpid(-a, &s, WUNTRACED) > 0 && WIFSTOPPED(s) && WSTOPSIG(s) == SIGTSTP,
              "both stop");
    }
    kill(-a, SIGCONT);
    for (int i = 0; i < 2; ++i) {
        int s = 0;
        check(waitpid(-a, &s, WCONTINUED) > 0 && WIFCONTINUED(s), "both go on");
    }
    end(a);
    end(b);
    /* A session of its own: nobody could continue it. */
    const pid_t c = fork();
    if (c == 0) {
        setsid();
        raise(SIGTSTP);
        raise(SIGTTIN);
        _exit(3);
    }
    const int s = status_of(c, WUNTRACED);
    check(WIFEXITED(s) && WEXITSTATUS(s) == 3, "no stop by terminal signals in an orphaned group");
    puts("groups");
}

static int hang_ups[2];
static void on_hang_up(int n) {
    (void)n;
    check(write(hang_ups[1], "h", 1) == 1, "write");
    _exit(0);
}
static void orphans(void) {
    check(pipe(hang_ups) == 0, "pipe");
    const pid_t leader = fork();
    if (leader == 0) {
        setsid();
        signal(SIGHUP, on_hang_up);
        const pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            raise(SIGSTOP);
            for (;;) pause();
        }
        status_of(job, WUNTRACED);
        _exit(0); /* its job is orphaned, and stopped */
    }
    status_of(leader, 0);
    char c = 0;
    check(read(hang_ups[0], &c, 1) == 1 && c == 'h', "a stopped orphan hears SIGHUP and goes on");
    puts("orphans");
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }
static double clock_of(clockid_t id) {
    struct timespec t = {0, 0};
    check(clock_gettime(id, &t) == 0, "clock_gettime");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static void burn(double much) {
    const double until = clock_of(CLOCK_PROCESS_CPUTIME_ID) + much;
    while (clock_of(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (volatile int i = 0; i < 100000; ++i) {
        }
}
static void accounts(void) {
    int ends[2];
    check(pipe(ends) == 0, "pipe");
    const double before = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    struct rusage children_before, own, used;
    getrusage(RUSAGE_CHILDREN, &children_before);
    const pid_t p = fork();
    if (p == 0) {
        check(clock_of(CLOCK_PROCESS_CPUTIME_ID) < 0.2, "a child begins with no time used");
        burn(0.4);
        check(clock_of(CLOCK_THREAD_CPUTIME_ID) >= 0.39, "the thread's");
        check(write(ends[1], "x", 1) == 1, "write");
        pause();
    }
    char c;
    check(read(ends[0], &c, 1) == 1, "read");
    clockid_t its;
    check(clock_getcpuclockid(p, &its) == 0, "clock_getcpuclockid");
    check(clock_of(its) >= 0.39, "a child's clock");
    check(clock_of(CLOCK_PROCESS_CPUTIME_ID) - before < 0.3, "is not its parent's");
    kill(p, SIGKILL);
    int s;
    check(wait4(p, &s, 0, &used) == p, "wait4");
    check(seconds(used.ru_utime) + seconds(used.ru_stime) >= 0.39, "wait4's usage");
    struct rusage after;
    getrusage(RUSAGE_CHILDREN, &after);
    check(seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(children_before.ru_utime) -
                  seconds(children_before.ru_stime) >=
              0.39,
          "the children's");
    struct tms t;
    times(&t);
    check(t.tms_cutime + t.tms_cstime >= 38, "times");
    getrusage(RUSAGE_SELF, &own);
    check(seconds(own.ru_utime) + seconds(own.ru_stime) >= before - 0.05, "one's own");
    puts("accounts");
}

static void probes(void) {
    static const char* const there[] = {"/proc/self/io", "/proc/swaps", "/proc/sys/fs/file-max",
                                        "/proc/sys/kernel/cap_last_cap",
                                        "/proc/sys/kernel/threads-max"};
    for (size_t i = 0; i < sizeof there / sizeof *there; ++i) {
        char text[64];
        const int fd = open(there[i], O_RDONLY);
        check(fd >= 0 && read(fd, text, sizeof text) > 0, there[i]);
        close(fd);
    }
    puts("probes");
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    stop_and_go();
    by_itself();
    told_by_signal();
    groups();
    orphans();
    accounts();
    probes();
    return 0;
}
