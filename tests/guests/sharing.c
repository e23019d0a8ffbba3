/* What processes and threads share as clone(2) lets them choose, and unshare(2): descriptors, places, handlers. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}
#define FAILS(call, error, what) check((call) == -1 && errno == (error), what)
#include "in_child.h"

static char stack[65536] __attribute__((aligned(16)));

/* Runs it in a process that shares what the flags say, and waits for it. */
static void in_clone(int (*what)(void*), int flags) {
    fflush(stdout);
    pid_t p = clone(what, stack + sizeof stack, flags | SIGCHLD, NULL);
    int s = -1;
    check(p > 0 && waitpid(p, &s, 0) == p, "clone");
    if (s) printf("  ended with %#x\n", s);
}
static int is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static int fd_here, pipe_here[2];

static int opens(void* x) {
    (void)x;
    close(0);
    return open("/dev/null", O_RDONLY) != 0 || dup2(0, 20) != 20 || fcntl(20, F_SETFD, FD_CLOEXEC) || close(fd_here);
}
static int executes(void* x) {
    (void)x;
    fcntl(20, F_SETFD, FD_CLOEXEC);
    execl("/proc/self/exe", "sharing", "executed", NULL);
    return 9;
}
static int parts_from_files(void* x) {
    (void)x;
    return unshare(CLONE_FILES) || close(20) || is_open(20);
}
static int closes_range(void* x) {
    (void)x;
    return close_range(20, 30, CLOSE_RANGE_UNSHARE) || is_open(20);
}
static int closes_writer(void* x) {
    (void)x;
    return close(pipe_here[1]);
}
static void descriptors(void) {
    puts("descriptors");
    for (int flags = 0; flags <= CLONE_FILES; flags += CLONE_FILES) {
        fd_here = open("/dev/zero", O_RDONLY);
        in_clone(opens, flags);
        printf("  %s: opened %d, closed %d\n", flags ? "shared" : "copied", is_open(20), !is_open(fd_here));
        if (!flags) close(fd_here);
    }
    check(fcntl(20, F_GETFD) == FD_CLOEXEC, "the flag too");
    in_clone(executes, CLONE_FILES);
    check(is_open(20), "a program has descriptors of its own");
    in_clone(parts_from_files, CLONE_FILES);
    check(is_open(20), "unshare");
    in_clone(closes_range, CLONE_FILES);
    check(is_open(20), "CLOSE_RANGE_UNSHARE");
    char c;
    check(!pipe(pipe_here), "pipe");
    in_clone(closes_writer, CLONE_FILES);
    check(read(pipe_here[0], &c, 1) == 0, "nobody writes any more");
    close(pipe_here[0]), close(20);
}

static int locked;
static int lock(int command, short type) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_len = 10};
    if (fcntl(locked, command, &l)) return -errno;
    return command == F_GETLK ? l.l_type : 0;
}
static int locks_too(void* x) {
    (void)x;
    return lock(F_GETLK, F_WRLCK) != F_UNLCK || lock(F_SETLK, F_WRLCK);
}
static int is_stranger(void* x) {
    (void)x;
    return lock(F_GETLK, F_WRLCK) != F_WRLCK || lock(F_SETLK, F_WRLCK) != -EAGAIN;
}
static int closes_other(void* x) {
    (void)x;
    return close(dup(locked));
}
static void records(void) {
    puts("records");
    char name[] = "/tmp/sharing.XXXXXX";
    check((locked = mkstemp(name)) >= 0 && !unlink(name), "a file");
    in_clone(locks_too, CLONE_FILES); /* and its record stays, being ours */
    in_clone(is_stranger, 0);
    in_clone(locks_too, CLONE_FILES);
    in_clone(closes_other, 0);
    in_clone(is_stranger, 0);
    in_clone(closes_other, CLONE_FILES);
    check(lock(F_GETLK, F_WRLCK) == F_UNLCK, "none any more");
    in_clone(locks_too, 0);
    close(locked);
}

static int moves(void* x) {
    (void)x;
    umask(077);
    return chdir("/usr") || chroot("/usr/lib");
}
static int parts_from_places(void* x) {
    (void)x;
    umask(0111);
    return unshare(CLONE_FS) || chdir("/proc") || umask(0) != 0111;
}
static void places(void) {
    puts("places");
    char path[256];
    umask(022);
    in_clone(moves, 0);
    check(umask(022) == 022 && getcwd(path, sizeof path) && !strcmp(path, "/tmp"), "copied");
    in_clone(parts_from_places, CLONE_FS);
    check(umask(022) == 0111 && getcwd(path, sizeof path) && !strcmp(path, "/tmp"), "unshare");
    in_clone(moves, CLONE_FS);
    struct stat root, here;
    check(umask(022) == 077 && !stat(".", &here), "shared");
    printf("  here: %s\n", here.st_ino == (stat("..", &root), root.st_ino) ? "/" : "below");
    check(access("/usr/lib", F_OK), "another root");
    check(!chroot("..") && !chdir("/tmp"), "back");
}

static volatile sig_atomic_t got;
static void handler(int n) { got = n; }
static int handles(void* x) {
    (void)x;
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    return kill(getpid(), SIGUSR1) || got != SIGUSR1;
}
static int cannot_part(void* x) {
    (void)x;
    return unshare(CLONE_SIGHAND) == 0 || errno != EINVAL;
}
static int executes_and_sets(void* x) {
    (void)x;
    execl("/proc/self/exe", "sharing", "executed", NULL);
    return 9;
}
static void handlers(void) {
    puts("handlers");
    FAILS(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL, "in one memory only");
    in_clone(handles, CLONE_VM);
    check(signal(SIGUSR1, SIG_DFL) == SIG_DFL && signal(SIGUSR2, SIG_DFL) == SIG_DFL, "copied");
    got = 0;
    in_clone(handles, CLONE_VM | CLONE_SIGHAND);
    check(got == SIGUSR1, "in the same memory");
    raise(SIGUSR2);
    got = 0;
    raise(SIGUSR1);
    check(got == SIGUSR1, "shared");
    in_clone(cannot_part, CLONE_VM | CLONE_SIGHAND);
    in_clone(executes_and_sets, CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS);
    check(signal(SIGUSR1, SIG_DFL) == handler && signal(SIGUSR2, SIG_DFL) == SIG_IGN, "a program has its own");
    check(!unshare(CLONE_SIGHAND) && !unshare(CLONE_VM) && !unshare(CLONE_THREAD), "alone");
    FAILS(unshare(0x40), EINVAL, "no such part");
}

static int thread_done;
static pid_t thread_id;
static int thread_alone(void* x) {
    (void)x;
    int ok = is_open(30) && !syscall(SYS_close, 30) && !syscall(SYS_chdir, "/usr");
    thread_id = ok ? (pid_t)syscall(SYS_gettid) : -1;
    __atomic_store_n(&thread_done, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_exit, 0);
    return 0;
}
static int entries(const char* path) {
    DIR* d = opendir(path);
    int n = 0;
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n;
}
static void* thread_parts(void* x) {
    char path[64], mine[64], place[64] = "";
    sprintf(path, "/proc/self/task/%d/fd/30", (int)syscall(SYS_gettid));
    sprintf(mine, "/proc/self/task/%d/cwd", (int)syscall(SYS_gettid));
    check(!access(path, F_OK), "its descriptors");
    FAILS(unshare(CLONE_SIGHAND), EINVAL, "not alone");
    check(!unshare(CLONE_FILES | CLONE_FS), "unshare");
    check(!close(30) && !chdir("/usr") && access(path, F_OK), "its own");
    check(!access("/proc/self/fd/30", F_OK), "the first's");
    check(readlink(mine, place, sizeof place) == 4 && !strncmp(place, "/usr", 4), "its place");
    sprintf(path, "/proc/self/task/%d/fd", (int)syscall(SYS_gettid));
    check(entries("/proc/self/fd") == entries(path), "one less, and one that lists them");
    return x;
}
static void threads(void) {
    puts("threads");
    check(dup2(1, 30) == 30, "dup2");
    pthread_t t;
    check(!pthread_create(&t, NULL, thread_parts, NULL) && !pthread_join(t, NULL), "a thread");
    check(is_open(30), "the others'");
    check(clone(thread_alone, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL) > 0, "clone");
    while (!__atomic_load_n(&thread_done, __ATOMIC_SEQ_CST)) sched_yield();
    char path[64];
    check(thread_id > 0 && is_open(30) && getcwd(path, sizeof path) && !strcmp(path, "/tmp"), "nothing is shared");
    close(30);
}

static pid_t parent;
static int same(int type, unsigned long a, unsigned long b) {
    long r = syscall(SYS_kcmp, parent, getpid(), type, a, b);
    return r == 0 ? 1 : r > 0 ? 0 : -errno;
}
static int compares(void* x) {
    (void)x;
    int d = dup(1), other = open("/dev/null", O_RDONLY);
    printf("  memory %d, descriptors %d, places %d, handlers %d; a file %d, one of two %d\n", same(KCMP_VM, 0, 0),
           same(KCMP_FILES, 0, 0), same(KCMP_FS, 0, 0), same(KCMP_SIGHAND, 0, 0), same(KCMP_FILE, 1, 1), same(KCMP_FILE, 1, d));
    printf("  another %d\n", same(KCMP_FILE, 2, other));
    fflush(stdout);
    return close(d) || close(other);
}
static void comparing(void) {
    puts("comparing");
    parent = getpid();
    fflush(stdout);
    for (int i = 0; i < 5; i++)
        in_clone(compares, (int[]){0, CLONE_FILES, CLONE_FS, CLONE_VM, CLONE_VM | CLONE_SIGHAND | CLONE_FILES}[i]);
    FAILS(syscall(SYS_kcmp, parent, parent, 99, 0, 0), EINVAL, "no such thing");
    FAILS(syscall(SYS_kcmp, parent, 0x7fffff, KCMP_VM, 0, 0), ESRCH, "nobody");
    FAILS(syscall(SYS_kcmp, parent, parent, KCMP_FILE, 1, 999), EBADF, "no descriptor");
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && !strcmp(argv[1], "executed")) {
        printf("  executed: %d, %d\n", is_open(20), signal(SIGUSR1, SIG_IGN) == SIG_DFL);
        signal(SIGUSR2, SIG_DFL);
        return close(1);
    }
    check(!chdir("/tmp"), "chdir");
    descriptors();
    records();
    in_child(places);
    handlers();
    threads();
    comparing();
    return 0;
}
