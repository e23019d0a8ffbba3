// Record locks and flock between processes: who is in whose way, who waits, and when they go.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];
static int to_child[2], to_parent[2];

static int lock(int fd, int command, int type, off_t start, off_t length) {
    struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, command, &l) ? errno : 0;
}
static const char *name(int error) { return error ? strerrorname_np(error) : "ok"; }
/// Who is in the way: 'P' the parent, 'C' the child, 'D' a description.
static void ask(int fd, int command, int type, off_t start, off_t length, pid_t parent) {
    struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    if (fcntl(fd, command, &l)) {
        printf("[%s]", strerrorname_np(errno));
        return;
    }
    if (l.l_type == F_UNLCK)
        printf("[free]");
    else
        printf("[%c %s %ld+%ld]", l.l_pid == parent ? 'P' : l.l_pid == -1 ? 'D' : 'C',
               l.l_type == F_WRLCK ? "write" : "read", (long)l.l_start, (long)l.l_len);
}
static void tell(int fd) {
    if (write(fd, "x", 1) != 1) abort();
}
static void hear(int fd) {
    char c;
    if (read(fd, &c, 1) != 1) abort();
}
static int status_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void records(void) {
    const pid_t parent = getpid();
    const int fd = open(path, O_RDWR);
    printf("records: %s", name(lock(fd, F_SETLK, F_WRLCK, 10, 10)));
    printf(" %s", name(lock(fd, F_SETLK, F_RDLCK, 14, 2)));  // in the middle of it
    printf(" %s", name(lock(fd, F_SETLK, F_RDLCK, 100, 0)));
    ask(fd, F_GETLK, F_WRLCK, 0, 0, parent);  // one's own are in nobody's way
    puts("");
    pid_t child = fork();
    if (child == 0) {
        const int mine = open(path, O_RDWR);
        ask(mine, F_GETLK, F_RDLCK, 0, 0, parent);
        ask(mine, F_GETLK, F_RDLCK, 14, 2, parent);
        ask(mine, F_GETLK, F_WRLCK, 14, 2, parent);
        ask(mine, F_GETLK, F_RDLCK, 18, 100, parent);
        ask(mine, F_GETLK, F_RDLCK, 20, 500, parent);
        ask(mine, F_GETLK, F_WRLCK, 500, 1, parent);
        printf(" %s", name(lock(mine, F_SETLK, F_WRLCK, 0, 10)));
        printf(" %s", name(lock(mine, F_SETLK, F_WRLCK, 0, 11)));
        printf(" %s\n", name(lock(mine, F_SETLK, F_RDLCK, 200, 1)));
        tell(to_parent[1]);
        // Until the parent lets go of it.
        printf("waited: %s\n", name(lock(mine, F_SETLKW, F_WRLCK, 10, 4)));
        _exit(0);
    }
    hear(to_parent[0]);
    ask(fd, F_GETLK, F_WRLCK, 0, 0, parent);
    printf(" %s", name(lock(fd, F_SETLK, F_WRLCK, 200, 1)));
    usleep(20000);
    puts("");
    const char* unlocked = name(lock(fd, F_SETLK, F_UNLCK, 10, 4));  // from here on the child prints
    const int status = status_of(child);
    printf("unlocked %s, child %d", unlocked, status);
    ask(fd, F_GETLK, F_WRLCK, 0, 14, parent);  // its locks went with it
    puts("");
    // Closing any descriptor of the file lets go of all of them.
    const int other = open(path, O_RDONLY);
    close(other);
    child = fork();
    if (child == 0) {
        ask(open(path, O_RDWR), F_GETLK, F_WRLCK, 0, 0, parent);
        puts(" after close");
        _exit(0);
    }
    status_of(child);
    // From the end, backwards; what is before the file; what is not open for it.
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = -5};
    printf("backwards: %d", fcntl(fd, F_SETLK, &l));
    child = fork();
    if (child == 0) {
        ask(open(path, O_RDWR), F_GETLK, F_WRLCK, 0, 0, parent);
        _exit(0);
    }
    status_of(child);
    l.l_start = -1000;
    printf(" %s", name(fcntl(fd, F_SETLK, &l) ? errno : 0));
    const int reading = open(path, O_RDONLY);
    printf(" %s", name(lock(reading, F_SETLK, F_WRLCK, 0, 1)));
    printf(" %s\n", name(lock(reading, F_SETLK, F_RDLCK, 0, 1)));
    close(reading);
    close(fd);
}

static void deadlock(void) {
    const int fd = open(path, O_RDWR);
    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    const pid_t child = fork();
    if (child == 0) {
        lock(fd, F_SETLK, F_WRLCK, 1, 1);
        tell(to_parent[1]);
        _exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
    }
    hear(to_parent[0]);
    usleep(20000);
    printf("deadlock: %s", name(lock(fd, F_SETLKW, F_WRLCK, 1, 1)));
    lock(fd, F_SETLK, F_UNLCK, 0, 1);
    printf(", child %s\n", name(status_of(child)));
    close(fd);
}

static void on_alarm(int s) { (void)s; }
static void interrupted(void) {
    const int fd = open(path, O_RDWR);
    const pid_t child = fork();
    if (child == 0) {
        lock(fd, F_SETLK, F_WRLCK, 0, 0);
        tell(to_parent[1]);
        hear(to_child[0]);
        _exit(0);
    }
    hear(to_parent[0]);
    struct sigaction sa = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &sa, NULL);
    ualarm(20000, 0);
    printf("interrupted: %s", name(lock(fd, F_SETLKW, F_RDLCK, 0, 1)));
    tell(to_child[1]);
    printf(", then %s", name(lock(fd, F_SETLKW, F_RDLCK, 0, 1)));
    printf(", child %d\n", status_of(child));
    close(fd);
}

static void of_descriptions(void) {
    const int a = open(path, O_RDWR), b = open(path, O_RDWR), c = dup(a);
    printf("descriptions: %s", name(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10)));
    printf(" %s", name(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1)));
    printf(" %s", name(lock(c, F_OFD_SETLK, F_WRLCK, 5, 1)));  // the same description
    ask(b, F_OFD_GETLK, F_RDLCK, 0, 0, getpid());
    printf(" %s", name(lock(b, F_SETLK, F_RDLCK, 0, 1)));  // records are in their way too
    close(a);
    printf(" %s", name(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1)));
    close(c);
    printf(" %s", name(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1)));
    const pid_t child = fork();
    if (child == 0) _exit(lock(b, F_OFD_SETLK, F_WRLCK, 0, 20));  // inherited
    printf(" child %s\n", name(status_of(child)));
    close(b);
}

static void whole(void) {
    const int a = open(path, O_RDONLY), b = open(path, O_RDONLY);
#define FLOCK(fd, how) name(flock(fd, how) ? errno : 0)
    printf("flock: %s", FLOCK(a, LOCK_SH | LOCK_NB));
    printf(" %s", FLOCK(b, LOCK_SH | LOCK_NB));
    printf(" %s", FLOCK(a, LOCK_EX | LOCK_NB));
    printf(" %s", FLOCK(b, LOCK_EX | LOCK_NB));
    printf(" %s", FLOCK(a, LOCK_SH | LOCK_NB));
    printf(" %s", name(lock(a, F_SETLK, F_RDLCK, 0, 0)));  // another world
    const pid_t child = fork();
    if (child == 0) {
        close(b);  // not the last one
        printf(" %s", FLOCK(a, LOCK_EX | LOCK_NB));
        fflush(stdout);
        tell(to_parent[1]);
        printf(" waited %s", FLOCK(a, LOCK_EX));
        fflush(stdout);
        _exit(0);
    }
    hear(to_parent[0]);
    usleep(20000);
    const char* unlocked = FLOCK(b, LOCK_UN);
    status_of(child);
    printf(" %s", unlocked);
    printf(" %s", FLOCK(b, LOCK_SH | LOCK_NB));
    printf(" %s\n", FLOCK(a, LOCK_UN));
    close(a);
    close(b);
}

static void *waiter(void *fd) { return (void *)(long)lock(*(int *)fd, F_SETLKW, F_WRLCK, 0, 1); }
static void threads(void) {
    // Threads of a process are one owner.
    int fd = open(path, O_RDWR);
    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    pthread_t t;
    void *got;
    pthread_create(&t, NULL, waiter, &fd);
    pthread_join(t, &got);
    printf("threads: %s\n", name((int)(long)got));
    close(fd);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    snprintf(path, sizeof path, "/tmp/file-locks-XXXXXX");
    const int fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, 50) || pipe(to_child) || pipe(to_parent)) return 1;
    close(fd);
    records();
    deadlock();
    interrupted();
    of_descriptions();
    whole();
    threads();
    unlink(path);
    return 0;
}
