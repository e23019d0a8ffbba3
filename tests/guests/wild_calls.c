/* System calls without sense: every number, arguments that are small, large, pointers good and bad, from several
   processes and threads at once. Only the host is judged: it must outlive this and say how it ended.
   wild_calls SEED CALLS [TCP-PORT UDP-PORT]: those of echoing servers outside */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char* arena;
static char* edge; /* the last bytes before a page that nothing may touch */
static char* fixed; /* read-only */
static int fds[24];
static int fd_count;
static long calls;

static uint64_t next(uint64_t* s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static long argument(uint64_t* s) {
    const uint64_t r = next(s);
    switch (r % 18) {
    case 0: return 0;
    case 1: return -1;
    case 2: return (long)(r >> 60);
    case 3: return (long)(arena + (r >> 8) % 65536);
    case 4: return (long)(arena + ((r >> 8) % 16) * 4096);
    case 5: return (long)next(s);
    case 6: return 1L << (r >> 8) % 64;
    case 7: return (long)((r >> 8) % 5000);
    case 8: return (long)(0x7fffffe00000 + (r >> 8) % 0x200000);
    case 9: return (long)"/tmp/wild";
    case 10: return -(long)((r >> 8) % 200);
    case 11:
    case 12:
    case 13: return fds[(r >> 8) % (unsigned long)fd_count];
    case 14: return (long)(edge - (r >> 8) % 64);
    case 15: return (long)(fixed + (r >> 8) % 4096);
    case 16: return (long)(arena + 65536 + ((r >> 8) % 64) * 32 + 1); /* misaligned */
    default: return (long)((r >> 8) % 64);
    }
}

static void* wild(void* seed) {
    uint64_t s = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15u + 1;
    for (long i = 0; i < calls; i++) {
        long n = (long)(next(&s) % 460);
        if (n == 459) n = 0x48454152; /* beyond every table */
        if (n == SYS_pause || n == SYS_rt_sigsuspend || n == SYS_exit_group) continue;
        long a[6];
        for (int k = 0; k < 6; k++) a[k] = argument(&s);
        /* Structures hold pointers, lengths and descriptors. */
        long* word = (long*)(arena + 65536 + (next(&s) % 512) * 8);
        *word = argument(&s);
        if (n == SYS_exit || n == SYS_rt_sigreturn || n == SYS_kill || n == SYS_tkill || n == SYS_tgkill || n == SYS_execve) {
            if (next(&s) % 8 == 0 && syscall(SYS_fork) == 0) { /* whom it hits is lost */
                syscall(n, n == SYS_exit ? a[0] : getpid(), n == SYS_kill ? (long)(next(&s) % 70) : getpid(), a[2]);
                _exit(0);
            }
            continue;
        }
        /* The objects that the others abuse stay. */
        if (n == SYS_close || n == SYS_close_range || n == SYS_dup2 || n == SYS_dup3) a[0] = (long)(64 + next(&s) % 64), a[1] = a[0] + 1;
        if (n == SYS_munmap || n == SYS_mprotect || n == SYS_mremap || n == SYS_mmap) a[0] = (long)(arena + (next(&s) % 32) * 4096);
        if (n == SYS_clone || n == SYS_fork || n == SYS_vfork) {
            if (syscall(SYS_fork) == 0) _exit(0);
            continue;
        }
        alarm(1); /* whoever waits for ever is woken */
        syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    return NULL;
}

static void ignore(int n) { (void)n; }

static int leading_out(int type, const char* port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int s = socket(AF_INET, type, 0);
    if (connect(s, (void*)&to, sizeof to) != 0) perror("connect");
    return s;
}

static void make_objects(char** ports) {
    edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge += 4096;
    mprotect(edge, 4096, PROT_NONE);
    fixed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int pair[2];
    int* at = fds;
    if (pipe2(pair, O_NONBLOCK) == 0) *at++ = pair[0], *at++ = pair[1];
    if (pipe(pair) == 0) *at++ = pair[0], *at++ = pair[1];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) *at++ = pair[0], *at++ = pair[1];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0) *at++ = pair[0], *at++ = pair[1];
    const int made[] = {eventfd(0, EFD_NONBLOCK), epoll_create1(0), (int)syscall(SYS_memfd_create, "m", 0),
                        (int)syscall(SYS_timerfd_create, 1, 0), open("/tmp/wild", O_RDWR | O_CREAT, 0600),
                        open("/tmp", O_RDONLY | O_DIRECTORY), open("/proc/self/maps", O_RDONLY),
                        open("/dev/zero", O_RDWR), socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0)};
    if (ports[0]) *at++ = leading_out(SOCK_STREAM, ports[0]), *at++ = leading_out(SOCK_DGRAM, ports[1]);
    for (unsigned i = 0; i < sizeof made / sizeof *made; i++)
        if (made[i] >= 0) *at++ = made[i];
    fd_count = (int)(at - fds);
}

int main(int argc, char** argv) {
    const unsigned seed = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    calls = argc > 2 ? atol(argv[2]) : 500;
    arena = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(arena, 0x11, 65536);
    make_objects(argv + (argc > 4 ? 3 : argc));
    struct sigaction sa = {.sa_handler = ignore};
    sigaction(SIGALRM, &sa, NULL);
    for (int p = 0; p < 3; p++)
        if (fork() == 0) {
            pthread_t t[2];
            for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, wild, (void*)(uintptr_t)(seed * 16 + p * 4 + i));
            wild((void*)(uintptr_t)(seed * 16 + p * 4 + 3));
            _exit(0);
        }
    for (int i = 0; i < 20; i++) {  // children may hang; they end with this process
        usleep(100000);
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
    }
    return 0;
}
