/* Real-time signals beyond what may be queued: sigqueue says so, kill's come all the same, and so do standard ones. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int came[65];
static int in_order = 1, last = -1;
static void handler(int n, siginfo_t* i, void* u) {
    (void)u;
    came[n]++;
    if (n == SIGRTMIN) {
        in_order = in_order && i->si_value.sival_int == last + 1;
        last = i->si_value.sival_int;
    }
}
static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}

int main(void) {
    /* As a guest has it. Natively all processes of a user count together: this one shall be the only one. */
    const int alone = geteuid() == 0;
    check(!alone || !setuid(100000 + (uid_t)getpid()), "setuid");
    struct rlimit most = {1024, 1024};
    check(!setrlimit(RLIMIT_SIGPENDING, &most), "setrlimit");
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigset_t all;
    sigfillset(&all);
    for (int n = SIGRTMIN; n < SIGRTMIN + 4; n++) sigaction(n, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
    sigprocmask(SIG_SETMASK, &all, NULL);
    int accepted = 0;
    while (accepted < 5000 && !sigqueue(getpid(), SIGRTMIN, (union sigval){accepted})) accepted++;
    check((accepted == 1024 || !alone) && errno == EAGAIN, "EAGAIN");
    check(sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == -1 && errno == EAGAIN, "again");
    check(!kill(getpid(), SIGRTMIN + 1) && !kill(getpid(), SIGRTMIN + 1), "kill");
    check(!kill(getpid(), SIGUSR1) && !sigqueue(getpid(), SIGUSR1, (union sigval){1}), "standard signals");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    check(came[SIGRTMIN] == accepted && in_order, "as many as were accepted, in order");
    printf("kill's %d, standard %d\n", came[SIGRTMIN + 1], came[SIGUSR1]);

    /* The same of a thread's own queue. */
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t self = getpid();
    siginfo_t i = {.si_signo = SIGRTMIN + 2, .si_code = SI_QUEUE};
    accepted = 0;
    while (accepted < 5000 && !syscall(SYS_rt_tgsigqueueinfo, self, self, SIGRTMIN + 2, &i)) accepted++;
    check((accepted > 0 || !alone) && errno == EAGAIN, "EAGAIN of a thread");
    check(syscall(SYS_tgkill, self, self, SIGRTMIN + 2) == -1 && errno == EAGAIN, "tgkill");
    sigprocmask(SIG_SETMASK, &none, NULL);
    check(came[SIGRTMIN + 2] == accepted, "as many as were accepted");
    check(!sigqueue(self, SIGRTMIN + 3, (union sigval){0}) && came[SIGRTMIN + 3] == 1, "there is room again");

    /* As many as it is told, over all its queues. */
    struct rlimit few = {10, 1024};
    check(!setrlimit(RLIMIT_SIGPENDING, &few), "setrlimit");
    sigprocmask(SIG_SETMASK, &all, NULL);
    int process = 0, thread = 0;
    for (int n = 0; n < 3; n++) thread += !syscall(SYS_rt_tgsigqueueinfo, self, self, SIGRTMIN + 2, &i);
    while (process < 100 && !sigqueue(self, SIGRTMIN + 3, (union sigval){0})) process++;
    check(errno == EAGAIN && (!alone || (thread == 3 && process == 7)), "ten of them");
    check(!kill(self, SIGRTMIN + 1), "kill");
    if (alone) {
        few.rlim_cur = 12;
        check(!setrlimit(RLIMIT_SIGPENDING, &few), "setrlimit");
        for (process = 0; process < 100 && !sigqueue(self, SIGRTMIN + 3, (union sigval){0});) process++;
        printf("then %d more\n", process);
        few.rlim_cur = 0;
        check(!setrlimit(RLIMIT_SIGPENDING, &few), "setrlimit");
    }
    check(sigqueue(self, SIGRTMIN + 3, (union sigval){0}) == -1 && errno == EAGAIN && !kill(self, SIGUSR1), "none");
    came[SIGRTMIN + 1] = came[SIGUSR1] = 0;
    sigprocmask(SIG_SETMASK, &none, NULL);
    printf("kill's %d, standard %d\n", came[SIGRTMIN + 1], came[SIGUSR1]);
    puts("full");
    return 0;
}
