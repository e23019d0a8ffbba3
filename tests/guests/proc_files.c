/* /proc as a program finds itself and its children in it. Says what holds on any Linux. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
static char text[1 << 20];

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        fflush(stdout);
        _exit(1);
    }
}

/* The whole of a file; its length. */
static long slurp(const char* path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd >= 0, path);
    long n = 0, got;
    while ((got = read(fd, text + n, sizeof text - 1 - n)) > 0) n += got;
    check(got == 0, path);
    close(fd);
    text[n] = 0;
    return n;
}

/* "Name:   12 kB" of what was read last; -1: there is no such line. */
static long value(const char* name) {
    char line[64];
    snprintf(line, sizeof line, "\n%s:", name);
    const char* at = strstr(text, line);
    return at ? strtol(at + strlen(line), NULL, 10) : -1;
}

/* Field n, counted from 1, of a stat file; behind the name. */
static long long field(const char* path, int n) {
    slurp(path);
    char* at = strrchr(text, ')') + 2;
    for (int i = 3; i < n; ++i) at = strchr(at, ' ') + 1;
    return strtoll(at, NULL, 10);
}

static int entries(const char* path) {
    DIR* d = opendir(path);
    check(d != NULL, path);
    int n = 0;
    for (struct dirent* e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void strings(int argc, char** argv) {
    long n = slurp("/proc/self/cmdline"), at = 0;
    for (int i = 0; i < argc; ++i) {
        check(!strcmp(text + at, argv[i]), "an argument");
        at += strlen(argv[i]) + 1;
    }
    check(at == n, "no more arguments");
    n = slurp("/proc/self/environ"), at = 0;
    for (char** e = environ; *e; ++e) {
        check(!strcmp(text + at, *e), "a variable");
        at += strlen(*e) + 1;
    }
    check(at == n, "no more variables");

    n = slurp("/proc/self/auxv");
    const Elf64_auxv_t* a = (void*)text;
    check(n % sizeof *a == 0 && a[n / sizeof *a - 1].a_type == AT_NULL, "the vector ends");
    for (; a->a_type != AT_NULL; ++a)
        if (a->a_type == AT_PAGESZ || a->a_type == AT_ENTRY || a->a_type == AT_RANDOM || a->a_type == AT_SYSINFO_EHDR)
            check(a->a_un.a_val == getauxval(a->a_type), "an entry of the vector");

    /* Another title, in a child: over the arguments, and on where the environment was. */
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char* start = argv[0];
        char* end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
        memset(start, 't', end - start);
        end[0] = 0;
        n = slurp("/proc/self/cmdline");
        check(n >= end - start && text[0] == 't' && text[end - start - 1] == 't' && text[end - start] == 0, "a title");
        memset(start, 0, end - start);
        memcpy(start, "new", 3);
        n = slurp("/proc/self/cmdline");
        check(n == end - start && !strcmp(text, "new"), "a shorter title");
        _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "the titled child");
}

static void memory(void) {
    enum { pages = 64, used = 10 };
    char* m = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(m + pages * 4096 - 4096, 4096, PROT_NONE); /* with neighbours like it the area would grow */
    mprotect(m, 4096, PROT_READ);
    memset(m + 4096, 1, used * 4096);
    char name[64];
    snprintf(name, sizeof name, "%lx-%lx rw-p", (long)m + 4096, (long)m + (pages - 1) * 4096);
    slurp("/proc/self/smaps");
    char* at = strstr(text, name);
    check(at != NULL, "the mapping");
    memmove(text, at, strlen(at) + 1);
    printf("%ld %ld %ld %ld %ld\n", value("Size"), value("Rss"), value("Private_Dirty"), value("Anonymous"), value("Swap"));
    check(value("Pss") == 4 * used && strstr(text, "VmFlags: rd wr"), "Pss, VmFlags");

    slurp("/proc/self/smaps");
    long sum = 0;
    for (char* line = text; (line = strstr(line, "\nRss:")); ++line) sum += strtol(line + 5, NULL, 10);
    slurp("/proc/self/smaps_rollup");
    check(sum >= 4 * used && value("Rss") >= sum && value("Rss") - sum <= 64, "smaps_rollup sums smaps up");
    long size = (long)field("/proc/self/stat", 23), status_size, statm_size;
    slurp("/proc/self/status");
    status_size = value("VmSize");
    check(value("VmRSS") > 0 && value("VmData") >= 4 * pages - 8 && value("VmStk") > 0 && value("RssAnon") >= 0, "status");
    slurp("/proc/self/statm");
    statm_size = strtol(text, NULL, 10);
    check(size == status_size * 1024 && size == statm_size * 4096, "three files say one size");
    munmap(m, pages * 4096);
}

static int go[2];
static void* thread(void* id) {
    char path[64], target[64] = "";
    prctl(PR_SET_NAME, "worker");
    *(pid_t*)id = (pid_t)syscall(SYS_gettid);
    snprintf(path, sizeof path, "%d/task/%d", getpid(), *(pid_t*)id);
    check(readlink("/proc/thread-self", target, sizeof target - 1) > 0 && !strcmp(path, target), "thread-self");
    char c;
    check(write(go[1], "r", 1) == 1 && read(go[0], &c, 1) == 1, "the thread goes on");
    return NULL;
}

static void threads(void) {
    pid_t id;
    pthread_t t;
    char path[64], c;
    check(!socketpair(AF_UNIX, SOCK_STREAM, 0, go) && entries("/proc/self/task") == 1, "one thread");
    int ours = go[0];
    go[0] = go[1];
    check(!pthread_create(&t, NULL, thread, &id) && read(ours, &c, 1) == 1, "a second");
    check(entries("/proc/self/task") == 2, "two threads");
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", id);
    slurp(path);
    printf("%s", text);
    check(!pthread_setname_np(t, "renamed"), "another name");
    slurp(path);
    printf("%s", text);
    snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
    slurp(path);
    check(value("Tgid") == getpid() && value("Pid") == id && value("Threads") == 2, "its status");
    snprintf(path, sizeof path, "/proc/%d/status", id);
    slurp(path);
    check(value("Pid") == id, "by its own number");
    check(write(ours, "g", 1) == 1 && !pthread_join(t, NULL), "its end");
    // Linux wakes who joins a little before the task is gone.
    for (int i = 0; i < 10000 && entries("/proc/self/task") != 1; ++i) usleep(1000);
    check(entries("/proc/self/task") == 1, "one again");
    close(ours), close(go[0]);
}

static void children(void) {
    char path[64];
    int pipe_[2];
    long long started = field("/proc/self/stat", 22);
    check(!pipe(pipe_), "pipe");
    pid_t child = fork();
    if (child == 0) {
        char c;
        _exit(read(pipe_[0], &c, 1) == 1 ? 3 : 4);
    }
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    check(field(path, 4) == getpid() && field(path, 22) >= started, "a child's parent and start");
    check(field(path, 5) == getpgrp() && field(path, 6) == getsid(0), "its group and session");
    check(field(path, 23) > 0, "its size");
    check(write(pipe_[1], "x", 1) == 1, "write");
    siginfo_t info;
    check(!waitid(P_PID, child, &info, WEXITED | WNOWAIT), "its end");
    slurp(path);
    printf("%.3s\n", strrchr(text, ')'));
    check(field(path, 23) == 0, "a zombie has no memory");
    snprintf(path, sizeof path, "/proc/%d/cmdline", child);
    check(slurp(path) == 0, "nor arguments");
    check(waitpid(child, NULL, 0) == child && access(path, F_OK) == -1, "gone");
}

static void sockets(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    char line[64], inode[64], link[64] = "";
    check(!bind(s, (struct sockaddr*)&a, sizeof a) && !listen(s, 1) && !getsockname(s, (struct sockaddr*)&a, &length), "a listener");
    check(!fstat(s, &st), "fstat");
    snprintf(line, sizeof line, " 0100007F:%04X 00000000:0000 0A ", ntohs(a.sin_port));
    snprintf(inode, sizeof inode, " %lu ", (unsigned long)st.st_ino);
    slurp("/proc/net/tcp");
    char* at = strstr(text, line);
    check(at != NULL, "the listener is in /proc/net/tcp");
    *strchr(at, '\n') = 0;
    check(strstr(at, inode) != NULL, "by its inode");
    snprintf(line, sizeof line, "/proc/self/fd/%d", s);
    check(readlink(line, link, sizeof link - 1) > 0, "its link");
    snprintf(inode, sizeof inode, "socket:[%lu]", (unsigned long)st.st_ino);
    check(!strcmp(link, inode), "says the same");
    snprintf(line, sizeof line, "/proc/self/fdinfo/%d", s);
    slurp(line);
    const char* flags = strstr(text, "flags:\t");
    check(flags && strtol(flags + 7, NULL, 8) == (O_RDWR | O_CLOEXEC), "fdinfo");
    close(s);
    check(slurp("/proc/self/net/dev") > 0 && strstr(text, " lo:"), "the loopback");
    check(slurp("/proc/net/if_inet6") > 0 && strstr(text, "00000000000000000000000000000001 01 80 10 80       lo"), "its address");
}

static void machine(void) {
    int cpus = 0, last = -1, first;
    slurp("/sys/devices/system/cpu/online");
    for (char* at = text; *at && *at != '\n';) {
        first = last = (int)strtol(at, &at, 10);
        if (*at == '-') last = (int)strtol(at + 1, &at, 10);
        cpus += last - first + 1;
        if (*at == ',') ++at;
    }
    check(cpus == sysconf(_SC_NPROCESSORS_ONLN), "processors");
    slurp("/proc/meminfo");
    memmove(text + 1, text, strlen(text));
    text[0] = '\n';
    check(value("MemTotal") / 4 == sysconf(_SC_PHYS_PAGES) && value("MemAvailable") > 0 && value("SReclaimable") >= 0, "memory");
    check(slurp("/proc/self/limits") > 0 && strstr(text, "Max open files"), "limits");
    slurp("/proc/self/status");
    for (const char** key = (const char*[]){"Umask", "Tgid", "NStgid", "VmPeak", "RssFile", "VmLib", "SigQ", "CapEff", "CapAmb", "Seccomp", NULL};
         *key; ++key)
        check(value(*key) >= 0, *key);
    long caps = (long)strtoull(strstr(text, "CapEff:\t") + 8, NULL, 16);
    check((geteuid() == 0) == (caps != 0), "capabilities");
}

int main(int argc, char** argv) {
    strings(argc, argv);
    memory();
    threads();
    children();
    sockets();
    machine();
    puts("proc");
}
