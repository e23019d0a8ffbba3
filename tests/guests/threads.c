/* Threads as programs use them: pthreads, mutexes, condition variables, thread-local storage, vector state that
   survives a switch, spinning threads that must be preempted, signals to threads, robust mutexes. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s\n", what);
        exit(1);
    }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long counter;
static __thread long mine;

static void* count(void* times) {
    for (long i = 0; i < (long)times; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        mine++;
        if (i % 100 == 0) sched_yield();
    }
    return (void*)mine;
}

static int turn;
static void* ping(void* who) {
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != (int)(long)who) pthread_cond_wait(&condition, &mutex);
        turn = !turn;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static atomic_int stop;
static void* spin(void* v) {
    double x = (double)(long)v;
    while (!atomic_load(&stop)) x = x * 1.0000001;
    return x > 0 ? v : NULL;
}

static void* vectors(void* seed) {
    long s = (long)seed;
    register double a asm("xmm5") = (double)s, b asm("xmm9") = (double)s * 3;
    for (int i = 0; i < 300; i++) {
        asm volatile("" : "+x"(a), "+x"(b));
        syscall(SYS_sched_yield);
        asm volatile("" : "+x"(a), "+x"(b));
        if (a != (double)s || b != (double)s * 3) return (void*)1;
    }
    return NULL;
}

static pthread_t target;
static atomic_int got, on_target;
static void handler(int n) {
    (void)n;
    got++;
    if (pthread_equal(pthread_self(), target)) on_target++;
}
static void* wait_for_signal(void* v) {
    // Blocked until this thread waits, so that the signal cannot come before.
    struct timespec t = {5, 0};
    sigset_t none;
    sigemptyset(&none);
    int r = ppoll(NULL, 0, &t, &none);
    return r == -1 && errno == EINTR ? v : NULL;
}

static pthread_mutex_t robust;
static void* die_holding(void* v) {
    pthread_mutex_lock(&robust);
    return v;
}

static void* nothing(void* v) { return v; }
static sem_t semaphore;
static void* post(void* v) {
    usleep(1000);
    sem_post(&semaphore);
    return v;
}

static atomic_int answered;
static void* answer(void* v) {
    sem_wait(&semaphore);
    atomic_store(&answered, 1);
    return v;
}

int main(void) {
    pthread_t t[8];
    for (long i = 0; i < 8; i++) check(!pthread_create(&t[i], NULL, count, (void*)500), "pthread_create");
    for (int i = 0; i < 8; i++) {
        void* r;
        check(!pthread_join(t[i], &r) && (long)r == 500, "thread-local counts");
    }
    check(counter == 4000, "mutual exclusion");
    puts("mutex");

    for (long i = 0; i < 2; i++) pthread_create(&t[i], NULL, ping, (void*)i);
    for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    puts("condition");

    for (long i = 0; i < 3; i++) pthread_create(&t[i], NULL, spin, (void*)(i + 1));
    usleep(20000);
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    puts("preempted");

    for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, vectors, (void*)(i * 17 + 1));
    for (int i = 0; i < 4; i++) {
        void* r;
        pthread_join(t[i], &r);
        check(!r, "vector registers survive");
    }
    puts("vectors");

    struct sigaction sa = {.sa_handler = handler};
    sigaction(SIGUSR1, &sa, NULL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_create(&target, NULL, wait_for_signal, (void*)1);
    usleep(5000);
    pthread_kill(target, SIGUSR1);
    void* interrupted;
    pthread_join(target, &interrupted);
    check(interrupted && got == 1 && on_target == 1, "a signal to a thread");
    puts("signal");

    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &a);
    pthread_create(&t[0], NULL, die_holding, NULL);
    pthread_join(t[0], NULL);
    check(pthread_mutex_lock(&robust) == EOWNERDEAD, "robust mutex");
    puts("robust");

    sem_init(&semaphore, 0, 0);
    pthread_create(&t[0], NULL, post, NULL);
    sem_wait(&semaphore);
    pthread_join(t[0], NULL);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 2000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
    check(sem_timedwait(&semaphore, &soon) == -1 && errno == ETIMEDOUT, "timed wait");
    puts("semaphore");

    pthread_create(&t[0], NULL, answer, NULL);
    usleep(1000);
    sem_post(&semaphore);
    while (!atomic_load(&answered)) {  // the woken one must have its turn though this one never waits
    }
    pthread_join(t[0], NULL);
    puts("turns");

    for (int i = 0; i < 2000; i++) {
        check(!pthread_create(&t[0], NULL, nothing, NULL), "many threads one after the other");
        pthread_join(t[0], NULL);
    }
    puts("many");
    return 0;
}
