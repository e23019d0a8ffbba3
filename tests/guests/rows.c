/* System calls that hardly any program makes, each for itself: what they do and what they refuse. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
#define FAILS(call, error, what) check((call) == -1 && errno == (error), what)
static void* const nowhere = (void*)8;

#include "waiting_child.h"

static void scheduling(void) {
    const int policies[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE};
    for (int i = 0; i < 5; i++)
        printf("policy %d: %d to %d\n", policies[i], sched_get_priority_min(policies[i]),
               sched_get_priority_max(policies[i]));
    FAILS(sched_get_priority_min(99), EINVAL, "no policy");
    FAILS(sched_get_priority_max(-1), EINVAL, "no policy");
    pid_t child = waiting_child();
    struct timespec t = {-1, -1};
    check(!sched_rr_get_interval(0, &t) && t.tv_sec == 0 && t.tv_nsec >= 0 && t.tv_nsec < 1000000000, "an interval");
    check(!sched_rr_get_interval(child, &t), "of another");
    FAILS(sched_rr_get_interval(-1, &t), EINVAL, "no process");
    FAILS(syscall(SYS_sched_rr_get_interval, 0, nowhere), EFAULT, "nowhere");
    end(child);
    FAILS(sched_rr_get_interval(child, &t), ESRCH, "it has ended");

    unsigned cpu = 9999, node = 9999;
    check(!syscall(SYS_getcpu, &cpu, &node, NULL) && cpu < 9999 && node < 9999, "getcpu");
    check(!syscall(SYS_getcpu, NULL, NULL, NULL), "getcpu of nothing");
    FAILS(syscall(SYS_getcpu, nowhere, NULL, NULL), EFAULT, "nowhere");

    struct robust_list_head mine = {{&mine.list}, 0, NULL}, *was, *is;
    size_t length = 0;
    check(!syscall(SYS_get_robust_list, 0, &was, &length) && length == sizeof mine, "get_robust_list");
    check(!syscall(SYS_set_robust_list, &mine, sizeof mine), "set_robust_list");
    check(!syscall(SYS_get_robust_list, getpid(), &is, &length) && is == &mine, "as it was set");
    FAILS(syscall(SYS_set_robust_list, &mine, sizeof mine - 1), EINVAL, "of that length alone");
    FAILS(syscall(SYS_get_robust_list, child, &is, &length), ESRCH, "it has ended");
    check(!syscall(SYS_set_robust_list, was, sizeof mine), "back");
    puts("scheduling");
}

static void another_descriptor(void) {
    int p[2], ready[2];
    check(!pipe(ready), "pipe");
    pid_t child = fork();
    if (child == 0) {
        if (pipe(p) || write(p[1], "theirs", 6) != 6 || write(ready[1], p, sizeof p) != sizeof p) _exit(1);
        for (;;) pause();
    }
    check(read(ready[0], p, sizeof p) == sizeof p, "its numbers");
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    check(pidfd >= 0, "pidfd_open");
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, p[0], 0);
    char text[16] = "";
    check(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "pidfd_getfd");
    check(read(fd, text, sizeof text) == 6 && !strcmp(text, "theirs"), "what it holds");
    FAILS(syscall(SYS_pidfd_getfd, pidfd, 999, 0), EBADF, "not open there");
    FAILS(syscall(SYS_pidfd_getfd, pidfd, p[0], 1), EINVAL, "flags");
    FAILS(syscall(SYS_pidfd_getfd, ready[0], p[0], 0), EBADF, "no process");
    end(child);
    FAILS(syscall(SYS_pidfd_getfd, pidfd, p[0], 0), ESRCH, "it has ended");
    close(fd), close(pidfd), close(ready[0]), close(ready[1]);
    puts("another's descriptor");
}

static void files(void) {
    char root[64];
    sprintf(root, "/tmp/rows-%d", getpid());
    check(!mkdir(root, 0700), "mkdir");
    int dir = open(root, O_RDONLY | O_DIRECTORY);
    check(dir >= 0 && !fchdir(dir), "fchdir");
    umask(022);
    struct stat s;
    int fd = creat("made", 0666);
    check(fd >= 0 && write(fd, "12345", 5) == 5, "creat");
    FAILS(read(fd, root, 1), EBADF, "it is for writing");
    close(fd);
    fd = creat("made", 0600);
    check(!fstat(fd, &s) && s.st_size == 0 && s.st_mode == (S_IFREG | 0644), "creat empties, and leaves the mode");
    FAILS(creat(".", 0600), EISDIR, "a directory");

    check(!mkdirat(dir, "sub", 0777) && !stat("sub", &s) && s.st_mode == (S_IFDIR | 0755), "mkdirat");
    FAILS(mkdirat(dir, "sub", 0777), EEXIST, "there already");
    FAILS(mkdirat(dir, "no/such", 0777), ENOENT, "nowhere");
    FAILS(mkdirat(fd, "sub", 0777), ENOTDIR, "below a file");
    FAILS(mkdirat(999, "sub", 0777), EBADF, "no directory");
    check(!symlinkat("made", dir, "link") && !lstat("link", &s) && S_ISLNK(s.st_mode) && s.st_size == 4, "symlinkat");
    FAILS(symlinkat("made", dir, "link"), EEXIST, "there already");
    FAILS(symlinkat("", dir, "empty"), ENOENT, "to nothing");
    check(!renameat(dir, "link", AT_FDCWD, "sub/link") && !lstat("sub/link", &s), "renameat");
    FAILS(renameat(dir, "link", dir, "other"), ENOENT, "gone");
    FAILS(renameat(dir, "made", dir, "sub"), EISDIR, "onto a directory");
    FAILS(renameat(dir, "sub", dir, "sub/sub"), EINVAL, "into itself");
    check(!renameat(dir, "sub/link", dir, "link"), "and back");

    const uid_t uid = geteuid() ? geteuid() : 1000;
    const gid_t gid = geteuid() ? getegid() : 1001;
    check(!fchown(fd, uid, gid) && !fstat(fd, &s) && s.st_uid == uid && s.st_gid == gid, "fchown");
    check(!fchown(fd, (uid_t)-1, (gid_t)-1) && !fstat(fd, &s) && s.st_uid == uid, "fchown of nothing");
    FAILS(fchown(999, 0, 0), EBADF, "not open");
    check(!lchown("link", uid, gid) && !lstat("link", &s) && s.st_uid == uid && S_ISLNK(s.st_mode), "lchown");
    check(geteuid() || (!fchown(fd, 0, 0) && !stat("link", &s) && s.st_uid == 0), "of the link itself");
    FAILS(lchown("missing", uid, gid), ENOENT, "nothing");

    struct timeval times[2] = {{1000, 5}, {2000, 7}};
    check(!syscall(SYS_futimesat, dir, "made", times) && !stat("made", &s), "futimesat");
    printf("times %ld.%09ld %ld.%09ld\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    times[1].tv_usec = 1000000;
    FAILS(syscall(SYS_futimesat, dir, "made", times), EINVAL, "no such microsecond");
    FAILS(syscall(SYS_futimesat, dir, "missing", NULL), ENOENT, "nothing");

    char text[32] = "";
    struct iovec parts[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
    check(pwritev(fd, parts, 3, 2) == 7 && lseek(fd, 0, SEEK_CUR) == 0, "pwritev");
    int again = open("made", O_RDONLY);
    check(read(again, text, sizeof text) == 9 && !memcmp(text, "\0\0one two", 9), "where it was wanted");
    FAILS(pwritev(fd, parts, 3, -1), EINVAL, "before the beginning");
    FAILS(pwritev(again, parts, 3, 0), EBADF, "for reading");
    FAILS(syscall(SYS_pwritev, fd, parts, -1, 0, 0), EINVAL, "fewer than none");
    parts[1].iov_base = nowhere, parts[1].iov_len = 4;
    check(pwritev(fd, parts, 3, 20) == 4, "up to what is not there");
    close(again), close(fd);
    check(!unlink("made") && !unlink("link") && !rmdir("sub") && !chdir("/") && !rmdir(root), "away again");
    close(dir);
    puts("files");
}

static volatile int caught;
static void on_signal(int n) { caught = n; }
static void selecting(void) {
    int p[2];
    check(!pipe(p), "pipe");
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    struct timespec none = {0, 0};
    check(pselect(p[1] + 1, &in, &out, NULL, &none, NULL) == 1 && FD_ISSET(p[1], &out) && !FD_ISSET(p[0], &in), "to write");
    check(write(p[1], "x", 1) == 1, "write");
    FD_SET(p[0], &in);
    check(pselect(p[1] + 1, &in, NULL, NULL, NULL, NULL) == 1 && FD_ISSET(p[0], &in), "to read");
    /* The mask lets a signal in, only while it waits. */
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &a, NULL);
    sigset_t blocked, open_mask, now;
    sigemptyset(&blocked), sigemptyset(&open_mask);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGUSR1);
    check(caught == 0, "blocked");
    FAILS(pselect(0, NULL, NULL, NULL, NULL, &open_mask), EINTR, "pselect ends");
    check(caught == SIGUSR1 && !sigprocmask(SIG_SETMASK, NULL, &now) && sigismember(&now, SIGUSR1), "by the signal");
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    struct timespec wrong = {0, 1000000000};
    FAILS(pselect(0, NULL, NULL, NULL, &wrong, NULL), EINVAL, "no such time");
    FD_SET(60, &in);
    FAILS(pselect(61, &in, NULL, NULL, &none, NULL), EBADF, "not open");
    close(p[0]), close(p[1]);
    puts("selecting");
}

static char* volatile guarded;
static volatile int faults;
static void on_fault(int n, siginfo_t* i, void* u) {
    (void)n, (void)u;
    faults++;
    if ((char*)i->si_addr < guarded || (char*)i->si_addr >= guarded + 3 * 4096 || faults > 3) _exit(9);
    mprotect((char*)((uintptr_t)i->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}
static void memory(void) {
    const size_t huge = 1ul << 40;
    char* reserved = mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(reserved != MAP_FAILED, "a tebibyte of nothing");
    char* part = reserved + (huge / 2);
    check(!mprotect(part, 8192, PROT_READ | PROT_WRITE), "a part of it");
    part[4096] = 'x';
    check(part[0] == 0 && part[4096] == 'x', "is memory");
    check(!madvise(part, 8192, MADV_DONTNEED) && part[4096] == 0, "and nothing again");
    check(!munmap(reserved, huge), "munmap");

    char* large = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(!madvise(large, 8 << 20, MADV_HUGEPAGE) || errno == EINVAL, "MADV_HUGEPAGE");
    memset(large, 'h', 8 << 20);
    check(large[0] == 'h' && large[(8 << 20) - 1] == 'h' && !munmap(large, 8 << 20), "large memory");

    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, NULL);
    guarded = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 3; i++) guarded[i * 4096 + 7] = (char)('0' + i); /* each faults once, then is done */
    printf("faults %d: %c%c%c\n", faults, guarded[7], guarded[4096 + 7], guarded[8192 + 7]);

    const long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    check(known > 0 && (known & MEMBARRIER_CMD_GLOBAL) && (known & MEMBARRIER_CMD_PRIVATE_EXPEDITED), "membarrier");
    check(!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), "of all");
    FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM, "not registered");
    FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0), EPERM, "not registered");
    check(!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0), "that needs no registering");
    check(!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0), "registered");
    check(!syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), "of this process");
    FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0), EPERM, "that is another");
    pid_t heir = fork();
    if (heir == 0) _exit((int)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) & 0xff);
    int ended;
    check(waitpid(heir, &ended, 0) == heir, "waitpid");
    printf("a child's %d\n", ended);
    check(!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) &&
              !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0), "both");
    FAILS(syscall(SYS_membarrier, 3, 0, 0), EINVAL, "two at a time");
    FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 99, 0), EINVAL, "flags");
    puts("memory");
}

static void limits_of_others(void) {
    int pipes[2];
    check(!pipe(pipes), "pipe");
    pid_t child = fork();
    if (child == 0) {
        char go;
        check(read(pipes[0], &go, 1) == 1, "read");
        struct rlimit now;
        getrlimit(RLIMIT_NOFILE, &now);
        int fd = 0, most = -1;
        while ((fd = dup(0)) >= 0) most = fd;
        printf("a child's %ld of %ld: up to %d, then %s\n", (long)now.rlim_cur, (long)now.rlim_max, most, strerror(errno));
        _exit(0);
    }
    struct rlimit old, few = {40, 50};
    check(!prlimit(child, RLIMIT_NOFILE, &few, &old) && old.rlim_cur >= 50, "of a child");
    check(!prlimit(child, RLIMIT_NOFILE, NULL, &old) && old.rlim_cur == 40 && old.rlim_max == 50, "as it was set");
    struct rlimit wrong = {50, 40};
    FAILS(prlimit(child, RLIMIT_NOFILE, &wrong, NULL), EINVAL, "more than may be");
    FAILS(prlimit(child, (enum __rlimit_resource)99, NULL, &old), EINVAL, "of nothing");
    check(!getrlimit(RLIMIT_NOFILE, &old) && old.rlim_cur > 50, "not our own");
    check(write(pipes[1], "x", 1) == 1 && waitpid(child, NULL, 0) == child, "waitpid");
    close(pipes[0]), close(pipes[1]);
    FAILS(prlimit(child, RLIMIT_NOFILE, NULL, &old), ESRCH, "nobody's");
    FAILS(prlimit(-1, RLIMIT_NOFILE, NULL, &old), ESRCH, "nobody's");
    if (geteuid() == 0) { /* others are none of their business */
        child = fork();
        if (child == 0) {
            check(!setuid(1000), "setuid");
            FAILS(prlimit(getppid(), RLIMIT_NOFILE, NULL, &old), EPERM, "of another user");
            check(!prlimit(getpid(), RLIMIT_NOFILE, NULL, &old), "its own");
            _exit(0);
        }
        check(waitpid(child, NULL, 0) == child, "waitpid");
    }
    puts("limits of others");
}

static void memory_file(void) {
    int fd = memfd_create("x", MFD_CLOEXEC);
    struct stat s;
    struct statfs f;
    int second = memfd_create("y", MFD_CLOEXEC), other = open("/dev/shm", O_RDONLY | O_CLOEXEC);
    struct stat of_second, of_other;
    check(!fstat(second, &of_second) && !fstat(other, &of_other) && !fstat(fd, &s), "fstat");
    check(s.st_dev == of_second.st_dev && s.st_dev != of_other.st_dev && s.st_ino != of_second.st_ino, "on a device of their own");
    close(second), close(other);
    check(fd >= 0 && write(fd, "four", 4) == 4, "memfd_create");
    check(fstat(fd, &s) == 0 && fstatfs(fd, &f) == 0, "fstat");
    printf("memory file %o %ld %ld, of %lx\n", s.st_mode, (long)s.st_size, (long)s.st_nlink, (long)f.f_type);
    FILE* again = fdopen(fd, "r+");
    check(again && fclose(again) == 0, "fdopen");
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    scheduling();
    another_descriptor();
    files();
    selecting();
    memory();
    limits_of_others();
    memory_file();
    return 0;
}
