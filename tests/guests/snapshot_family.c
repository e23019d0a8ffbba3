/* A function of three processes: the first waits for its child in wait4, as a shell does; that
 * child serves the events; its brother answers it through pipes. All share memory, and what they
 * had before the forks copy on write. Events, on the native path: "count", "layout", "dirty",
 * "search", "mess", "more", "spawn", "random", "pids". */
#define _GNU_SOURCE
#define HEARTH_GUEST_ABI_ONLY
#include "secret.h"

#include <hearth/guest.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { pages = 40, size = pages * 4096, room = 8 << 10 };

static char event[room], answer[room];
static int count;
static int ask[2], told[2]; /* to the brother and back */
static pid_t brother;
static char* shared; /* shared anonymous memory, from before the forks */
static char* common; /* private, written before the forks, shared until written */
static char* own;    /* private, mapped by each after the fork */
static char* filed;  /* a shared mapping of a file */
static char* hidden; /* private, which "mess" makes PROT_NONE */
static char* late;   /* shared memory nobody touched before the snapshot */

static void die(const char* what) {
    perror(what);
    _exit(50);
}
static void expect_read(int fd, void* at, size_t n) {
    if (read(fd, at, n) != (ssize_t)n) die("read");
}
static void expect_write(int fd, const void* at, size_t n) {
    if (write(fd, at, n) != (ssize_t)n) die("write");
}
static char* map(int kind, size_t length) {
    char* at = mmap(0, length, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) die("mmap");
    return at;
}
static unsigned long sum_of(const char* at, size_t n) {
    unsigned long sum = 5381;
    for (size_t i = 0; i < n; ++i) sum = sum * 33 + (unsigned char)at[i];
    return sum;
}

/* What either process does with a request; the answer is a line. */
static void answer_to(const char* what, char* into) {
    if (!strcmp(what, "count")) {
        ++shared[size - 1];
        sprintf(into, "%d", ++count);
    } else if (!strcmp(what, "layout")) {
        if (hidden) hidden[4096 + 9] = hidden[4096 + 5];
        sprintf(into, "%lx %lx %lx %lx %d", sum_of(common, size), sum_of(own, size),
                sum_of(shared, size / 2), sum_of(filed, 2 * 4096), late[3 * 4096]);
        common[7 * 4096] = common[7 * 4096]; /* still writable */
    } else if (!strcmp(what, "dirty")) {
        fill(common + 4 * 4096, 3 * 4096);
        fill(own + 4096, 3 * 4096);
        fill(filed + 4096, 64);
        fill(malloc(40 << 10), 40 << 10);
        fill(map(MAP_PRIVATE, size), size);
        sprintf(into, "dirty");
    } else if (!strcmp(what, "search")) {
        sprintf(into, "memory=%zu unclean=%zu", occurrences_in_memory(), unclean_new_memory());
    } else if (!strcmp(what, "random")) {
        const unsigned char* at = (const unsigned char*)getauxval(AT_RANDOM);
        for (int i = 0; i < 16; ++i) into += sprintf(into, "%02x", at[i]);
    } else if (!strcmp(what, "pids")) {
        sprintf(into, "%d %d", getpid(), getppid());
    } else {
        sprintf(into, "?");
    }
}

static void be_brother(void) {
    char request[64], reply[room];
    own = map(MAP_PRIVATE, size);
    for (int i = 0; i < size; ++i) own[i] = (char)(i * 11 + 3);
    common[2 * 4096] = 'b'; /* a copy of its own before the snapshot */
    for (;;) {
        expect_read(ask[0], request, sizeof request);
        memset(reply, 0, sizeof reply);
        answer_to(request, reply);
        expect_write(told[1], reply, 256);
    }
}
static void ask_brother(const char* what, char* into) {
    char request[64] = {0};
    strncpy(request, what, sizeof request - 1);
    expect_write(ask[1], request, sizeof request);
    expect_read(told[0], into, 256);
}
static void start_brother(void) {
    brother = fork();
    if (brother < 0) die("fork");
    if (brother == 0) be_brother();
}

/* A child that writes to shared memory and is gone: nobody's page tables tell. */
static void short_lived_secret(void) {
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        fill(shared + 3 * 4096, 4096);
        fill(late + 5 * 4096, 4096);
        _exit(0);
    }
    if (waitpid(child, 0, 0) != child) die("waitpid");
}

/* One more child, which stays, and a secret that only its own page tables know to be in shared
 * memory. */
static void one_more(void) {
    char go;
    int ready[2];
    if (pipe(ready)) die("pipe");
    if (fork() == 0) {
        fill(common, 2 * 4096);
        fill(shared + 20 * 4096, 4096);
        expect_write(ready[1], "r", 1);
        for (;;) pause();
    }
    expect_read(ready[0], &go, 1);
}

/* Changes who maps what how, and who is there at all. */
static void mess(void) {
    char ignored[256];
    kill(brother, SIGKILL); /* its successor has pipes of its own: the dying may still read */
    if (pipe(ask) || pipe(told)) die("pipe");
    munmap(shared + 30 * 4096, 4 * 4096);
    mprotect(common + 10 * 4096, 2 * 4096, PROT_READ);
    mprotect(hidden, 4096, PROT_NONE);
    char* const there = (char*)0x250000000000;
    if (own != there) own = mremap(own, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, there);
    start_brother();
    ask_brother("count", ignored);
    fill(map(MAP_SHARED, 4 * 4096), 4 * 4096);
    one_more();
    int fd = open("/tmp/secret", O_CREAT | O_RDWR, 0600);
    expect_write(fd, shared + 3 * 4096, 4096);
}

static void serve(void) {
    own = map(MAP_PRIVATE, size);
    for (int i = 0; i < size; ++i) own[i] = (char)(i * 13 + 1);
    hidden = map(MAP_PRIVATE, 2 * 4096);
    hidden[5] = 1;
    common[3 * 4096] = 'a';
    struct hearth_exchange x;
    memset(&x, 0, sizeof x);
    x.size = sizeof x;
    x.buffer = (uint64_t)(uintptr_t)event;
    x.capacity = sizeof event;
    for (;;) {
        const long n = syscall(HEARTH_SYS_EXCHANGE, &x);
        if (n < 0) die("exchange");
        event[n] = 0;
        char mine[room], its[256] = "-";
        if (!strcmp(event, "mess")) {
            mess();
            sprintf(mine, "mess");
        } else if (!strcmp(event, "spawn")) {
            for (int i = 0; i < 3; ++i) short_lived_secret();
            sprintf(mine, "spawned");
        } else if (!strcmp(event, "more")) {
            one_more();
            sprintf(mine, "more");
        } else {
            if (!strcmp(event, "dirty")) short_lived_secret();
            answer_to(event, mine);
            ask_brother(event, its);
        }
        x.flags = HEARTH_EXCHANGE_REPLY;
        x.reply = (uint64_t)(uintptr_t)answer;
        x.reply_length = (uint64_t)snprintf(answer, sizeof answer, "%s, %s, %d, file=%d", mine, its,
                                            shared[size - 1], access("/tmp/secret", F_OK) == 0);
    }
}

int main(void) {
    shared = map(MAP_SHARED, size);
    late = map(MAP_SHARED, 2 << 20);
    common = map(MAP_PRIVATE, size);
    for (int i = 0; i < size; ++i) common[i] = (char)(i * 7);
    for (int i = 0; i < size / 2; ++i) shared[i] = (char)(i * 5);
    const int file = open("/tmp/filed", O_CREAT | O_RDWR, 0600);
    if (ftruncate(file, 2 * 4096)) die("ftruncate");
    filed = mmap(0, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (filed == MAP_FAILED) die("mmap");
    for (int i = 0; i < 2 * 4096; ++i) filed[i] = (char)(i * 3);
    if (pipe(ask) || pipe(told)) die("pipe");
    start_brother();
    const pid_t server = fork();
    if (server < 0) die("fork");
    if (server == 0) serve();
    int status = 0;
    if (waitpid(server, &status, 0) != server) die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 51;
}
