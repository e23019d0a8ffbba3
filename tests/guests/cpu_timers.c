/* Timers on CPU time count what is used, of the process or of one thread, and stand still in a sleep. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t got[65];
static volatile sig_atomic_t value, code;
static void count(int number, siginfo_t* info, void* context) {
    (void)context;
    ++got[number];
    code = info->si_code;
    value = info->si_value.sival_int;
}
static void handle(int number) {
    struct sigaction a = {.sa_sigaction = count, .sa_flags = SA_SIGINFO};
    sigaction(number, &a, 0);
}
static long long now(clockid_t c) {
    struct timespec t;
    if (clock_gettime(c, &t)) abort();
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
/* Until so many came. @return whether the clock then shows at least what was asked for */
static int burn_until(int number, int times, clockid_t clock, long long at) {
    while (got[number] < times) continue;
    return now(clock) >= at;
}
static void nap(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t)) continue;
}
static const long ms = 1000000;

static void interval_timers(void) {
    const int which[] = {ITIMER_VIRTUAL, ITIMER_PROF}, signals[] = {SIGVTALRM, SIGPROF};
    for (int i = 0; i < 2; ++i) {
        handle(signals[i]);
        const struct itimerval late = {{0, 0}, {1000, 0}}, once = {{0, 0}, {0, 20000}}, often = {{0, 5000}, {0, 5000}},
                               none = {0};
        struct itimerval left, old;
        printf("set %d", setitimer(which[i], &late, 0));
        nap(150); /* it stands still meanwhile */
        getitimer(which[i], &left);
        printf(" left %d", left.it_value.tv_sec >= 999 && (left.it_value.tv_sec >= 1000 || left.it_value.tv_usec > 860000));
        const long long start = now(CLOCK_PROCESS_CPUTIME_ID);
        setitimer(which[i], &once, &old);
        printf(" old %d", old.it_value.tv_sec >= 999);
        /* Both are counted in ticks natively. */
        printf(" came %d", burn_until(signals[i], 1, CLOCK_PROCESS_CPUTIME_ID, start + 10 * ms));
        getitimer(which[i], &left);
        printf(" code %d gone %d", code == SI_KERNEL, left.it_value.tv_usec == 0);
        setitimer(which[i], &often, 0);
        printf(" again %d", burn_until(signals[i], 4, CLOCK_PROCESS_CPUTIME_ID, start + 15 * ms));
        setitimer(which[i], &none, &old);
        printf(" every %ld left %d\n", (long)old.it_interval.tv_usec, old.it_value.tv_usec > 0);
    }
    const struct itimerval wrong = {{0, 0}, {0, 1000000}};
    printf("wrong %d", setitimer(ITIMER_PROF, &wrong, 0) == -1 && errno == EINVAL);
    printf(" %d\n", setitimer(3, &wrong, 0) == -1 && errno == EINVAL);
}

static void posix_timer_on(const char* name, clockid_t clock) {
    handle(SIGRTMIN + 1);
    got[SIGRTMIN + 1] = 0;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
    e.sigev_value.sival_int = 77;
    timer_t timer;
    printf("%s: create %d", name, timer_create(clock, &e, &timer));
    const struct itimerspec late = {{0, 0}, {1000, 0}}, often = {{0, 5 * ms}, {0, 20 * ms}}, none = {0};
    struct itimerspec left;
    timer_settime(timer, 0, &late, 0);
    nap(10);
    timer_gettime(timer, &left);
    printf(" left %d", left.it_value.tv_sec >= 999);
    const long long start = now(clock);
    timer_settime(timer, 0, &often, 0);
    printf(" came %d", burn_until(SIGRTMIN + 1, 3, clock, start + 30 * ms));
    printf(" code %d value %d", code == SI_TIMER, value);
    timer_settime(timer, 0, &none, &left);
    printf(" every %ld", left.it_interval.tv_nsec);
    /* A time that has passed: at once. */
    got[SIGRTMIN + 1] = 0;
    const struct itimerspec past = {{0, 0}, {0, 1}};
    timer_settime(timer, TIMER_ABSTIME, &past, 0);
    printf(" past %d", burn_until(SIGRTMIN + 1, 1, clock, 1));
    printf(" delete %d\n", timer_delete(timer));
}

static volatile int stop;
static pthread_barrier_t begin;
static void* burner(void* unused) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, 0);
    pthread_barrier_wait(&begin);
    while (!stop) continue;
    return unused;
}

static void other_threads(void) {
    pthread_t thread;
    clockid_t its, process;
    stop = 0;
    pthread_barrier_init(&begin, 0, 2);
    pthread_create(&thread, 0, burner, 0);
    pthread_barrier_wait(&begin);
    pthread_getcpuclockid(thread, &its);
    clock_getcpuclockid(0, &process);
    /* One's own clock stands while one sleeps, the process's and the other's go on. */
    struct timespec t = {0, 20 * ms};
    const long long own = now(CLOCK_THREAD_CPUTIME_ID);
    long long start = now(CLOCK_PROCESS_CPUTIME_ID);
    printf("sleep %d", clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &t, 0));
    printf(" %d", now(CLOCK_PROCESS_CPUTIME_ID) >= start + 20 * ms);
    start = now(its);
    printf(" %d", clock_nanosleep(its, 0, &t, 0));
    printf(" %d", now(its) >= start + 20 * ms);
    start = now(process) + 10 * ms;
    t = (struct timespec){start / 1000000000, start % 1000000000};
    printf(" %d", clock_nanosleep(process, TIMER_ABSTIME, &t, 0));
    printf(" %d", now(process) >= start);
    printf(" own %d", now(CLOCK_THREAD_CPUTIME_ID) - own < now(its));
    printf(" refused %d", clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, 0) == EINVAL);
    clockid_t mine;
    pthread_getcpuclockid(pthread_self(), &mine);
    printf(" %d\n", clock_nanosleep(mine, 0, &t, 0) == EINVAL);
    /* A timer of ours on its time. */
    handle(SIGUSR1);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    const struct itimerspec once = {{0, 0}, {0, 20 * ms}};
    start = now(its);
    printf("its %d", timer_create(its, &e, &timer));
    timer_settime(timer, 0, &once, 0);
    while (!got[SIGUSR1]) nap(1);
    printf(" came %d\n", now(its) >= start + 20 * ms);
    stop = 1;
    pthread_join(thread, 0);
}

static void inherited(void) {
    const struct itimerval soon = {{0, 0}, {0, 10000}}, none = {0};
    setitimer(ITIMER_PROF, &soon, 0);
    if (fork() == 0) { /* no timers, and nothing used yet */
        struct itimerval left;
        getitimer(ITIMER_PROF, &left);
        _exit(left.it_value.tv_usec == 0 && now(CLOCK_PROCESS_CPUTIME_ID) < now(CLOCK_MONOTONIC) ? 5 : 6);
    }
    int status;
    wait(&status);
    setitimer(ITIMER_PROF, &none, 0);
    printf("child %d\n", WEXITSTATUS(status));
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGPROF, SIG_DFL);
        setitimer(ITIMER_PROF, &soon, 0);
        for (;;) continue;
    }
    waitpid(child, &status, 0);
    printf("killed by SIGPROF %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF);
}

int main(void) {
    interval_timers();
    posix_timer_on("process", CLOCK_PROCESS_CPUTIME_ID);
    posix_timer_on("thread", CLOCK_THREAD_CPUTIME_ID);
    other_threads();
    inherited();
    return 0;
}
