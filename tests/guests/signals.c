/* Handlers, masks, raise, alternate stack, SIGSEGV recovered from, sigaction flags, floats across a handler. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static volatile int seen;
static sigjmp_buf back;
static void plain(int s) { seen = s; }
static void info(int s, siginfo_t* i, void* u) {
    (void)u;
    seen = s * 1000 + (i->si_code == SI_TKILL) + 2 * (i->si_pid == getpid());
}
static void fault(int s, siginfo_t* i, void* u) {
    (void)u;
    printf("fault %d code %d at %s\n", s, i->si_code, i->si_addr == (void*)0x1234 ? "0x1234" : "elsewhere");
    siglongjmp(back, 1);
}
static void floats(int s) {
    volatile double d = 1;
    for (int i = 0; i < 100; ++i) d = d * 1.0001 + s;
    seen = 1;
}
int main(void) {
    signal(SIGUSR1, plain);
    raise(SIGUSR1);
    printf("seen %d\n", seen == SIGUSR1);
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = info;
    a.sa_flags = SA_SIGINFO | SA_RESETHAND;
    sigaction(SIGUSR2, &a, 0);
    raise(SIGUSR2);
    printf("info %d\n", seen == SIGUSR2 * 1000 + 3);
    struct sigaction old;
    sigaction(SIGUSR2, 0, &old);
    printf("reset %d\n", old.sa_handler == SIG_DFL);
    sigset_t block, pending;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, 0);
    seen = 0;
    raise(SIGUSR1);
    sigpending(&pending);
    printf("blocked %d pending %d\n", seen == 0, sigismember(&pending, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &block, 0);
    printf("delivered %d\n", seen == SIGUSR1);
    stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&alt, 0);
    a.sa_sigaction = fault;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &a, 0);
    sigaction(SIGFPE, &a, 0);
    sigaction(SIGILL, &a, 0);
    if (!sigsetjmp(back, 1)) *(volatile int*)0x1234 = 1;
    char* page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1)) {
        printf("reading %d\n", *(volatile char*)page);
        mprotect(page, 4096, PROT_NONE);
        (void)*(volatile char*)page;
        printf("not reached\n");
    }
    munmap(page, 4096);
    volatile int zero = 0;
    if (!sigsetjmp(back, 1)) printf("not reached %d\n", 100 / zero);
    signal(SIGUSR1, floats);
    double x = 0.5, y = 0.25, z = 0;
    for (int i = 0; i < 50; ++i) {
        z += x * y;
        if (i == 25) raise(SIGUSR1);
    }
    printf("floats %d %.4f\n", seen, z);
    return 0;
}
