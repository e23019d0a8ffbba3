/* Calls that begin again after a handler with SA_RESTART, and end with EINTR after one without (man 7 signal). A child
   sends the signal when its parent sleeps in the call, and what ends the call when it sleeps again. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/openat2.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
static volatile int* handled;
static void handler(int n) {
    (void)n;
    ++*handled;
}

static int sleeps(pid_t p) {
    char path[64], text[512];
    sprintf(path, "/proc/%d/stat", p);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    char* end = strrchr(text, ')');
    return end && end[2] == 'S';
}
static void until_it_sleeps(pid_t p) {
    for (int seen = 0; seen < 3; seen += sleeps(p)) usleep(500);
}

static int a[2], b[2], pair[2];
static char fifo[64];
static char bytes[1 << 16];
static void fill(int fd) {
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, bytes, 4096) > 0) {
    }
    fcntl(fd, F_SETFL, flags);
}
static void fill_socket(int fd) {
    while (send(fd, bytes, 512, MSG_DONTWAIT) > 0) {
    }
}

/* The calls, what makes them wait, and what lets them go on. */
static long do_preadv2(void) {
    char c;
    struct iovec v = {&c, 1};
    return preadv2(a[0], &v, 1, -1, 0);
}
static void give_a(void) { check(write(a[1], "x", 1) == 1, "write"); }
static long do_pwritev2(void) {
    struct iovec v = {bytes, 4096};
    return pwritev2(a[1], &v, 1, -1, 0);
}
static void fill_a(void) { fill(a[1]); }
static void empty_a(void) { check(read(a[0], bytes, sizeof bytes) > 0, "read"); }
static long do_tee(void) { return tee(a[0], b[1], 1, 0); }
static long do_vmsplice(void) {
    struct iovec v = {bytes, 4096};
    return vmsplice(a[1], &v, 1, 0);
}
static long do_recvmmsg(void) {
    char c;
    struct iovec v = {&c, 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    return recvmmsg(pair[0], &m, 1, 0, NULL);
}
static void give_message(void) { check(send(pair[1], "x", 1, 0) == 1, "send"); }
static long do_sendmmsg(void) {
    struct iovec v = {bytes, 512};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    return sendmmsg(pair[0], &m, 1, 0);
}
static void fill_pair(void) { fill_socket(pair[0]); }
static void empty_pair(void) {
    while (recv(pair[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}
static long opened(long fd) {
    if (fd < 0) return fd;
    close((int)fd);
    return 0;
}
static long do_creat(void) { return opened(syscall(SYS_creat, fifo, 0600)); }
static long do_openat2(void) {
    struct open_how how = {.flags = O_WRONLY};
    return opened(syscall(SYS_openat2, AT_FDCWD, fifo, &how, sizeof how));
}
static void open_fifo(void) { check(open(fifo, O_RDONLY) >= 0, "open"); }
static long do_poll(void) { return syscall(SYS_poll, NULL, 0, -1); }
static void nothing(void) {}

static const struct {
    const char* name;
    long (*call)(void);
    void (*before)(void);
    void (*after)(void);
} calls[] = {
    {"preadv2", do_preadv2, nothing, give_a},     {"pwritev2", do_pwritev2, fill_a, empty_a},
    {"tee", do_tee, nothing, give_a},             {"vmsplice", do_vmsplice, fill_a, empty_a},
    {"recvmmsg", do_recvmmsg, nothing, give_message}, {"sendmmsg", do_sendmmsg, fill_pair, empty_pair},
    {"creat", do_creat, nothing, open_fifo},      {"openat2", do_openat2, nothing, open_fifo},
    {"poll", do_poll, nothing, nothing}, /* which never does */
};

static void try_it(int which, int flags) {
    struct sigaction s = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGUSR1, &s, NULL);
    check(!pipe(a) && !pipe(b) && !socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "pipes");
    check(!mkfifo(fifo, 0600), "mkfifo");
    *handled = 0;
    calls[which].before();
    fflush(stdout);
    pid_t parent = getpid(), p = fork();
    if (p == 0) {
        alarm(60);
        until_it_sleeps(parent);
        kill(parent, SIGUSR1);
        while (!*handled) usleep(500);
        if (flags & SA_RESTART && calls[which].after != nothing) {
            until_it_sleeps(parent);
            calls[which].after();
        }
        _exit(0);
    }
    errno = 0;
    long r = calls[which].call();
    printf("%s %s: %ld %s, %d\n", calls[which].name, flags ? "restarts" : "ends", r, r < 0 ? strerror(errno) : "",
           *handled);
    int status;
    while (waitpid(p, &status, 0) != p) {
    }
    check(status == 0, "the child");
    for (int i = 0; i < 2; i++) close(a[i]), close(b[i]), close(pair[i]);
    unlink(fifo);
}

int main(void) {
    handled = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sprintf(fifo, "/tmp/restarts-%d", getpid());
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        try_it((int)i, SA_RESTART);
        try_it((int)i, 0);
    }
    return 0;
}
