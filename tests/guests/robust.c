/* Locks whose owner is gone by exec or dies at the wrong moment: robust lists (man 2 get_robust_list), and what
   set_tid_address leaves in memory that outlives the program in it. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
static struct shared {
    pthread_mutex_t one, two;
    uint32_t first, second;
    int32_t tid;
} * shared;

static pthread_barrier_t held;
static void* holder(void* unused) {
    (void)unused;
    pthread_mutex_lock(&shared->two);
    pthread_barrier_wait(&held);
    for (;;) pause();
    return NULL;
}
/* Tells that it runs, by a byte, and stays until its input ends. */
static int stay(void) {
    char c;
    if (write(1, "x", 1) != 1) return 1;
    while (read(0, &c, 1) > 0) {
    }
    return 0;
}

static void over_exec(void) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->one, &a);
    pthread_mutex_init(&shared->two, &a);
    int in[2], out[2];
    check(!pipe(in) && !pipe(out), "pipe");
    pid_t p = fork();
    if (p == 0) {
        pthread_t t;
        pthread_barrier_init(&held, NULL, 2);
        pthread_create(&t, NULL, holder, NULL);
        pthread_barrier_wait(&held);
        pthread_mutex_lock(&shared->one);
        dup2(in[0], 0), dup2(out[1], 1);
        close(in[1]), close(out[1]);
        execl("/proc/self/exe", "robust", "stay", NULL);
        _exit(1);
    }
    char c;
    check(read(out[0], &c, 1) == 1 && c == 'x', "another program runs");
    /* trylock: the lock must be free already. */
    check(pthread_mutex_trylock(&shared->one) == EOWNERDEAD, "a lock held over exec");
    check(pthread_mutex_consistent(&shared->one) == 0, "consistent");
    check(pthread_mutex_trylock(&shared->two) == EOWNERDEAD, "a lock of a thread that exec ended");
    close(in[0]), close(in[1]);
    int s;
    check(waitpid(p, &s, 0) == p && s == 0, "and it ends");
    puts("exec");
}

static long futex(uint32_t* word, int operation, uint32_t value, uintptr_t second, uint32_t* other, uint32_t value3) {
    return syscall(SYS_futex, word, operation, value, second, other, value3);
}

/* A lock's word is free, but its owner dies before it wakes who waits. */
static void pending(void) {
    shared->first = 7, shared->second = 7;
    fflush(stdout);
    pid_t waiter = fork();
    if (waiter == 0) {
        alarm(60);
        _exit(futex(&shared->first, FUTEX_WAIT, 7, 0, NULL, 0) == 0 ? 5 : 6);
    }
    pid_t owner = fork();
    if (owner == 0) {
        alarm(60);
        static struct robust_list_head head;
        head.list.next = &head.list;
        head.futex_offset = 0;
        head.list_op_pending = (struct robust_list*)&shared->second;
        check(!syscall(SYS_set_robust_list, &head, sizeof head), "set_robust_list");
        /* Moved from one word to another, the waiter is known to wait. */
        while (futex(&shared->first, FUTEX_CMP_REQUEUE, 0, 1, &shared->second, 7) != 1) sched_yield();
        shared->second = 0;
        _exit(0);
    }
    int s;
    check(waitpid(owner, &s, 0) == owner && s == 0, "the owner");
    check(waitpid(waiter, &s, 0) == waiter && WIFEXITED(s) && WEXITSTATUS(s) == 5, "the waiter was woken");
    puts("pending");
}

/* vfork's child takes another program: the parent's memory is told that it has left. */
static char stack[65536] __attribute__((aligned(16)));
static int leave(void* unused) {
    (void)unused;
    execl("/proc/self/exe", "robust", "nothing", NULL);
    _exit(1);
}
static void left(void) {
    shared->tid = 99;
    pid_t p = clone(leave, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL,
                    NULL, &shared->tid);
    int s;
    check(p > 0 && shared->tid == 0, "cleared by exec");
    check(waitpid(p, &s, 0) == p && s == 0, "ended");
    puts("left");
}

int main(int argc, char** argv) {
    if (argc > 1 && !strcmp(argv[1], "stay")) return stay();
    if (argc > 1 && !strcmp(argv[1], "nothing")) return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    over_exec();
    pending();
    left();
    return 0;
}
