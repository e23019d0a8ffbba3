// FIFOs between processes, and what splice, tee and vmsplice move.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];
static const char *name(long n) { return n < 0 ? strerrorname_np(errno) : "ok"; }
static int status_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
static int events(int fd, short wanted) {
    struct pollfd p = {.fd = fd, .events = wanted};
    poll(&p, 1, 0);
    return p.revents;
}
static void on_alarm(int s) { (void)s; }

static void names(void) {
    struct stat st;
    printf("made: %s, ", name(mkfifo(path, 0640)));
    printf("%s, ", name(mkfifo(path, 0640)));
    stat(path, &st);
    printf("%o %ld\n", st.st_mode, (long)st.st_size);
    printf("truncate: %s, ", name(truncate(path, 0)));
    char socket_path[80];
    snprintf(socket_path, sizeof socket_path, "%s.s", path);
    printf("socket: %s, ", name(mknod(socket_path, S_IFSOCK | 0600, 0)));
    stat(socket_path, &st);
    printf("%o, ", st.st_mode);
    printf("open: %s\n", name(open(socket_path, O_RDONLY)));
    unlink(socket_path);
}

static void without_waiting(void) {
    const int writer = open(path, O_WRONLY | O_NONBLOCK);
    printf("no reader: %s\n", name(writer));
    const int reader = open(path, O_RDONLY | O_NONBLOCK);
    char c;
    printf("reader: %s, %zd bytes, events %x\n", name(reader), read(reader, &c, 1), events(reader, POLLIN));
    const int w = open(path, O_WRONLY | O_NONBLOCK);
    printf("writer: %s, events %x, ", name(w), events(w, POLLOUT));
    printf("read: %s\n", name(read(reader, &c, 1)));
    struct stat a, b;
    fstat(w, &a);
    stat(path, &b);
    printf("the same: %d %d\n", a.st_ino == b.st_ino, S_ISFIFO(a.st_mode));
    write(w, "xyz", 3);
    printf("events %x, seek: %s\n", events(reader, POLLIN), name(lseek(reader, 0, SEEK_SET)));
    close(w);
    printf("events %x,", events(reader, POLLIN));
    char text[8] = "";
    printf(" %zd", read(reader, text, 8));
    printf(" %s, events %x\n", text, events(reader, POLLIN));
    close(reader);
    // Both ways at once never waits; what is in it goes with the last who has it open.
    const int both = open(path, O_RDWR);
    write(both, "lost", 4);
    printf("both: %s, events %x\n", name(both), events(both, POLLIN | POLLOUT));
    close(both);
    const int again = open(path, O_RDONLY | O_NONBLOCK);
    printf("again: %zd\n", read(again, &c, 1));
    close(again);
}

static void waiting(void) {
    pid_t child = fork();
    if (child == 0) {
        const int fd = open(path, O_WRONLY);
        write(fd, "hello", 5);
        _exit(0);
    }
    int fd = open(path, O_RDONLY);
    char text[16] = "";
    printf("met: %zd", read(fd, text, 16));
    printf(" %s, then %zd\n", text, read(fd, text, 16));
    close(fd);
    status_of(child);

    child = fork();
    if (child == 0) {
        usleep(20000);
        // One who waits for a writer is a reader.
        const int w = open(path, O_WRONLY | O_NONBLOCK);
        _exit(w < 0);
    }
    fd = open(path, O_RDONLY);
    printf("came and went: %d,", status_of(child));
    printf(" %zd\n", read(fd, text, 16));
    close(fd);

    struct sigaction sa = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &sa, NULL);
    ualarm(20000, 0);
    printf("interrupted: %s", name(open(path, O_WRONLY)));
    const int r = open(path, O_RDONLY | O_NONBLOCK);  // the one who gave up is no writer
    printf(", events %x\n", events(r, POLLIN));
    close(r);
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    child = fork();
    if (child == 0) {
        usleep(60000);
        _exit(open(path, O_RDONLY) < 0);
    }
    ualarm(20000, 0);
    fd = open(path, O_WRONLY);
    printf("restarted: %s %d\n", name(fd), status_of(child));
    close(fd);

    // Removed while somebody waits for it.
    child = fork();
    if (child == 0) {
        char c;
        const int in = open(path, O_RDONLY);
        _exit(read(in, &c, 1) == 1 ? c : 0);
    }
    usleep(20000);
    fd = open(path, O_WRONLY);
    unlink(path);
    write(fd, "!", 1);
    printf("without a name: %c\n", status_of(child));
    close(fd);
    printf("gone: %s\n", name(open(path, O_RDONLY)));
}

static void splices(void) {
    int a[2], b[2], s[2];
    pipe(a), pipe(b), socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    char text[64] = "";
    snprintf(path, sizeof path, "/tmp/splice-XXXXXX");
    const int file = mkstemp(path);
    unlink(path);
    write(file, "0123456789", 10);
    loff_t at = 2;
    printf("from a file: %zd", splice(file, &at, a[1], NULL, 5, 0));
    printf(" at %ld, own %ld", (long)at, (long)lseek(file, 0, SEEK_CUR));
    printf(", end %zd\n", splice(file, NULL, a[1], NULL, 5, 0));
    printf("tee: %zd", tee(a[0], b[1], 3, 0));
    printf(" %zd %.3s\n", read(b[0], text, 64), text);
    at = 20;
    printf("to a file: %zd", splice(a[0], NULL, file, &at, 2, 0));
    printf(" at %ld", (long)at);
    printf(" %zd", pread(file, text, 64, 20));
    printf(" %.2s\n", text);
    printf("to a socket: %zd", splice(a[0], NULL, s[0], NULL, 64, 0));
    printf(" %zd", read(s[1], text, 64));
    printf(" %.3s\n", text);
    write(s[1], "back", 4);
    printf("pipe: %zd", splice(s[0], NULL, a[1], NULL, 64, 0));
    printf(" %zd", splice(a[0], NULL, b[1], NULL, 64, 0));
    printf(" %zd", read(b[0], text, 64));
    printf(" %.4s\n", text);
    struct iovec v[2] = {{"vm", 2}, {"splice", 6}};
    printf("vmsplice: %zd", vmsplice(a[1], v, 2, 0));
    printf(" %zd", read(a[0], text, 64));
    printf(" %.8s, ", text);
    printf("%s\n", name(vmsplice(file, v, 2, 0)));
    printf("empty: %s", name(splice(a[0], NULL, file, NULL, 1, SPLICE_F_NONBLOCK)));
    printf(" %s\n", name(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK)));
    at = 0;
    printf("errors: %s", name(splice(file, NULL, file, NULL, 1, 0)));
    printf(" %s", name(splice(a[0], NULL, a[1], NULL, 1, 0)));
    printf(" %s", name(splice(a[0], &at, file, NULL, 1, 0)));
    printf(" %s", name(splice(a[1], NULL, file, NULL, 1, 0)));
    printf(" %s", name(splice(99, NULL, file, NULL, 1, 0)));
    printf(" %s", name(splice(a[0], NULL, s[0], &at, 1, 0)));
    printf(" %s\n", name(tee(file, a[1], 1, 0)));
    // One who waits in splice goes on.
    const pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        write(a[1], "late", 4);
        _exit(0);
    }
    printf("waited: %zd", splice(a[0], NULL, b[1], NULL, 64, 0));
    printf(" %zd", read(b[0], text, 64));
    printf(" %.4s %d\n", text, status_of(child));
    close(a[1]);
    printf("closed: %zd\n", splice(a[0], NULL, b[1], NULL, 64, 0));
    signal(SIGPIPE, SIG_IGN);
    close(b[0]);
    printf("nobody reads: %s\n", name(splice(file, &at, b[1], NULL, 1, 0)));
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    umask(0);
    snprintf(path, sizeof path, "/tmp/fifos-%d", (int)getpid());
    names();
    without_waiting();
    waiting();
    splices();
    return 0;
}
