// Shared mappings of files that can be written: they show one memory, whoever maps it, and the file.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static sigjmp_buf out;
static void on_bus(int signal, siginfo_t *info, void *context) {
    (void)context;
    siglongjmp(out, signal == SIGBUS && info->si_code == BUS_ADRERR ? 1 : 2);
}
/// What a load at p comes to: its byte, or the signal.
static void touch(const char *what, volatile char *p) {
    const int how = sigsetjmp(out, 1);
    if (how == 0)
        printf("%s: %d\n", what, *p);
    else
        printf("%s: %s\n", what, how == 1 ? "SIGBUS" : "another signal");
}

static char path[64];
static int make(off_t size) {
    snprintf(path, sizeof path, "/tmp/shared-files-XXXXXX");
    const int fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, size) != 0) perror("make"), exit(1);
    return fd;
}
static char *map(int fd, size_t length, int prot, off_t offset) {
    char *p = mmap(NULL, length, prot, MAP_SHARED, fd, offset);
    if (p == MAP_FAILED) perror("mmap"), exit(1);
    return p;
}
static int child_status(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void views_agree(void) {
    const int fd = make(3 * PAGE);
    char *a = map(fd, 3 * PAGE, PROT_READ | PROT_WRITE, 0);
    char *b = map(fd, PAGE, PROT_READ | PROT_WRITE, PAGE);
    char *only = map(fd, 3 * PAGE, PROT_READ, 0);
    strcpy(a + PAGE, "stored");
    printf("second view: %s, third: %s\n", b, only + PAGE);
    char text[16] = "";
    pread(fd, text, 6, PAGE);
    printf("read: %s\n", text);
    pwrite(fd, "WRITE", 5, PAGE + 1);
    printf("after write: %s %s\n", a + PAGE, b);
    printf("msync: %d\n", msync(a, 3 * PAGE, MS_SYNC));
    // A store at the end of one page and the beginning of the next, read in one piece.
    memcpy(a + 2 * PAGE - 3, "abcdef", 6);
    pread(fd, text, 6, 2 * PAGE - 3);
    printf("across: %.6s\n", text);
    // Through a buffer that is the mapping itself.
    printf("into itself: %zd", pread(fd, a + 2 * PAGE, 8, 2 * PAGE - 3));
    printf(" %.3s\n", a + 2 * PAGE);
    printf("out of itself: %zd", pwrite(fd, a + PAGE, 6, 10));
    printf(" %.6s\n", a + 10);
    printf("read-only stays so: %d", mprotect(only, PAGE, PROT_READ | PROT_WRITE));
    printf(" (it is open for writing)\n");
    munmap(a, 3 * PAGE);
    munmap(only, 3 * PAGE);
    strcpy(b, "last view");
    munmap(b, PAGE);
    pread(fd, text, 10, PAGE);
    printf("unmapped: %s\n", text);
    struct stat st;
    fstat(fd, &st);
    printf("size %ld\n", (long)st.st_size);
    close(fd);

    const int reader = open(path, O_RDONLY);
    char *r = map(reader, PAGE, PROT_READ, 0);
    printf("not open for writing: %s", mprotect(r, PAGE, PROT_READ | PROT_WRITE) ? strerror(errno) : "?");
    void *none = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
    printf(", %s\n", none == MAP_FAILED ? strerror(errno) : "?");
    const int writer = open(path, O_RDWR);
    pwrite(writer, "seen", 5, 0);
    printf("read-only view: %s\n", r);
    munmap(r, PAGE);
    close(reader);
    close(writer);
    unlink(path);
}

static void sizes(void) {
    const int fd = make(PAGE + 10);
    char *p = map(fd, 4 * PAGE, PROT_READ | PROT_WRITE, 0);
    p[0] = 1, p[PAGE] = 2;
    touch("in the last page", p + PAGE + 10);
    touch("beyond the end", p + 2 * PAGE);
    ftruncate(fd, 3 * PAGE);
    touch("grown", p + 2 * PAGE);
    p[2 * PAGE] = 3;
    ftruncate(fd, PAGE - 1);
    touch("cut", p + 2 * PAGE);
    touch("cut", p + PAGE);
    touch("kept", p);
    ftruncate(fd, 4 * PAGE);
    touch("grown again", p + PAGE);
    touch("grown again", p + 2 * PAGE);
    errno = 0;
    const ssize_t n = write(1, p + 5 * PAGE, 0);
    printf("nothing of nothing: %zd\n", n);
    ftruncate(fd, 0);
    int sink = open("/dev/null", O_WRONLY), pipes[2];
    pipe(pipes);
    printf("a call meets the end: %s\n", write(pipes[1], p, 1) < 0 ? strerror(errno) : "?");
    close(sink);
    close(pipes[0]);
    close(pipes[1]);
    ftruncate(fd, 2 * PAGE);
    memset(p, 'x', 2 * PAGE);
    printf("punch: %d\n", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, PAGE + 100));
    printf("punched: %c %d %d %c\n", p[99], p[100], p[PAGE + 199], p[PAGE + 200]);
    // The mapping grows with mremap and shows more of the file.
    ftruncate(fd, 6 * PAGE);
    char *q = mremap(p, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
    q[5 * PAGE] = 'm';
    char c = 0;
    pread(fd, &c, 1, 5 * PAGE);
    printf("moved: %c %c\n", q[99], c);
    munmap(q, 6 * PAGE);
    close(fd);
    unlink(path);
}

static void processes(void) {
    const int fd = make(PAGE);
    int *shared = (int *)map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
    close(fd);
    shared[0] = 1;
    pid_t child = fork();
    if (child == 0) {
        int *mine = (int *)map(open(path, O_RDWR), PAGE, PROT_READ | PROT_WRITE, 0);
        mine[1] = shared[0] + 1;  // by another name
        shared[2] = mine[1] + 1;
        _exit(7);
    }
    printf("child %d:", child_status(child));
    printf(" %d %d %d\n", shared[0], shared[1], shared[2]);
    // Nobody has the file but the mapping.
    unlink(path);
    child = fork();
    if (child == 0) _exit(++shared[3] + 8);
    printf("child %d:", child_status(child));
    printf(" %d\n", shared[3]);
    int *twice = mremap(shared, PAGE, PAGE, 0);
    printf("the same: %d\n", twice == shared);
    munmap(shared, PAGE);
}

static void private_views(void) {
    const int fd = make(4 * PAGE);
    pwrite(fd, "first", 6, 0);
    pwrite(fd, "second", 7, PAGE);
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *s = map(fd, 4 * PAGE, PROT_READ | PROT_WRITE, 0);
    printf("private: %s %s", p, p + PAGE);
    strcpy(s, "FIRST");  // seen, while nobody has written the copy
    pwrite(fd, "SECOND", 7, PAGE);
    printf(" %s %s", p, p + PAGE);
    p[0] = 'f';
    strcpy(s, "third");
    printf(" %s %s\n", p, s);
    const pid_t child = fork();
    if (child == 0) {
        p[1] = 'i', p[PAGE] = 's', s[2 * PAGE] = 'c';
        printf("child: %s %s %s", p, p + PAGE, s);
        _exit(0);
    }
    child_status(child);
    printf(", parent: %s %s %c\n", p, p + PAGE, p[2 * PAGE]);
    p[3 * PAGE] = 'x';
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE);
    printf("punched: %s '%s' %c\n", p, p + PAGE, p[3 * PAGE]);
    ftruncate(fd, PAGE);
    touch("cut copy", p + 3 * PAGE);
    printf("kept: %s\n", p);
    madvise(p, PAGE, MADV_DONTNEED);
    pwrite(fd, "again", 6, 0);
    printf("forgotten: %s\n", p);
    mprotect(p, PAGE, PROT_READ);
    mprotect(p, PAGE, PROT_READ | PROT_WRITE);
    p[0] = 'A';
    printf("after mprotect: %s %s\n", p, s);
    munmap(p, 4 * PAGE);
    munmap(s, 4 * PAGE);
    close(fd);
    unlink(path);
}

struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t turned;
    int turn, rounds;
};
static void locks(void) {
    const int fd = make(sizeof(struct meeting));
    struct meeting *m = (struct meeting *)map(fd, sizeof *m, PROT_READ | PROT_WRITE, 0);
    pthread_mutexattr_t ma;
    pthread_mutexattr_init(&ma);
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m->mutex, &ma);
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&m->turned, &ca);
    const pid_t child = fork();
    if (child == 0) {
        munmap(m, sizeof *m);
        m = (struct meeting *)map(fd, sizeof *m, PROT_READ | PROT_WRITE, 0);
    }
    const int me = child == 0;
    for (int i = 0; i < 50; ++i) {
        pthread_mutex_lock(&m->mutex);
        while (m->turn != me) pthread_cond_wait(&m->turned, &m->mutex);
        m->turn = !me;
        ++m->rounds;
        pthread_cond_signal(&m->turned);
        pthread_mutex_unlock(&m->mutex);
    }
    if (child == 0) {
        pthread_mutex_lock(&m->mutex);
        _exit(3);  // with the mutex
    }
    printf("other %d, ", child_status(child));
    printf("lock: %s, ", strerror(pthread_mutex_lock(&m->mutex)));
    pthread_mutex_consistent(&m->mutex);
    pthread_mutex_unlock(&m->mutex);
    printf("rounds %d\n", m->rounds);
    munmap(m, sizeof *m);
    close(fd);
    unlink(path);
}

static void semaphores(void) {
    char name[32];
    snprintf(name, sizeof name, "/hearth-%d", (int)getpid());
    sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
    if (s == SEM_FAILED) perror("sem_open"), exit(1);
    const pid_t child = fork();
    if (child == 0) {
        sem_t *mine = sem_open(name, 0);
        sem_post(mine);
        sem_post(mine);
        sem_close(mine);
        _exit(0);
    }
    sem_wait(s);
    sem_wait(s);
    int value = -1;
    sem_getvalue(s, &value);
    printf("semaphore: child %d, value %d\n", child_status(child), value);
    sem_unlink(name);
    sem_close(s);
}

static void memory_files(void) {
    const int fd = memfd_create("m", MFD_ALLOW_SEALING);
    ftruncate(fd, PAGE);
    char *p = map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
    strcpy(p, "in memory");
    printf("seal: %s", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) ? strerror(errno) : "?");
    printf(", %d\n", fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK));
    printf("seals %x, ", fcntl(fd, F_GET_SEALS));
    p[0] = 'I';  // those that are there go on
    printf("write: %s, ", pwrite(fd, "x", 1, 0) < 0 ? strerror(errno) : "?");
    void *more = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("map: %s, ", more == MAP_FAILED ? strerror(errno) : "?");
    printf("cut: %s\n", ftruncate(fd, 1) ? strerror(errno) : "?");
    munmap(p, PAGE);
    printf("seal: %d\n", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    char *copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    copy[1] = 'N';
    char text[16] = "";
    pread(fd, text, 9, 0);
    printf("%s, private %s\n", text, copy);
    munmap(copy, PAGE);
    close(fd);
}

int main(void) {
    struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    setvbuf(stdout, NULL, _IONBF, 0);
    views_agree();
    sizes();
    processes();
    private_views();
    locks();
    semaphores();
    memory_files();
    return 0;
}
