/* Memory seen from elsewhere: process_vm_readv and writev between processes, second views by mremap, holes by
   MADV_REMOVE, /dev/zero. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
static char own[4 * PAGE] __attribute__((aligned(PAGE)));

static void said(const char* what, long result) {
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerrorname_np(errno) : "");
}
static ssize_t get(pid_t p, void* to, const void* from, size_t n) {
    struct iovec here = {to, n}, there = {(void*)from, n};
    return process_vm_readv(p, &here, 1, &there, 1, 0);
}
static ssize_t put(pid_t p, const void* from, void* to, size_t n) {
    struct iovec here = {(void*)from, n}, there = {to, n};
    return process_vm_writev(p, &here, 1, &there, 1, 0);
}

static void other_process(void) {
    char* area = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 'p', 4 * PAGE);
    int up[2], down[2];
    if (pipe(up) || pipe(down)) exit(1);
    const pid_t child = fork();
    char byte = 0;
    if (child == 0) {
        strcpy(area, "the child's");
        strcpy(area + 2 * PAGE - 3, "across");
        munmap(area + 3 * PAGE, PAGE);
        if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1) _exit(1);
        mprotect(area + PAGE, PAGE, PROT_READ);
        if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1) _exit(1);
        _exit(!strcmp(area, "written by the parent") && area[2 * PAGE] == 'W' ? 7 : 8);
    }
    if (read(up[0], &byte, 1) != 1) exit(1);
    said("read", get(child, own, area, 12));
    printf("%s, here %c\n", own, area[0]);
    said("over a border", get(child, own, area + 2 * PAGE - 3, 7));
    puts(own);
    said("up to a hole", get(child, own, area, 4 * PAGE));
    said("in the hole", get(child, own, area + 3 * PAGE, 4));
    said("to nowhere", get(child, (void*)16, area, 4));
    /* Pieces of unlike sizes. */
    struct iovec here[3] = {{own, 3}, {own + 100, 0}, {own + 200, 8}};
    struct iovec there[2] = {{area, 5}, {area + 2 * PAGE - 3, 6}};
    said("pieces", process_vm_readv(child, here, 3, there, 2, 0));
    printf("%.3s %.8s\n", own, own + 200);
    said("write", put(child, "written by the parent", area, 22));
    said("write further", put(child, "W", area + 2 * PAGE, 1));
    if (write(down[1], &byte, 1) != 1 || read(up[0], &byte, 1) != 1) exit(1);
    said("write to a page for reading", put(child, "no", area + PAGE, 2));
    memset(own, 'z', sizeof own);
    said("write up to it", put(child, "written by the parent", area, 22));
    said("flags", process_vm_readv(child, here, 1, there, 1, 1));
    said("too many", process_vm_readv(child, here, 1025, there, 1, 0));
    said("nothing", process_vm_readv(child, here, 0, there, 1, 0));
    said("nobody", get(0x7ffffff0, own, area, 4));
    said("oneself", get(getpid(), own, area, 4));
    if (geteuid() == 0) { /* another user's processes are not for all */
        const pid_t user = fork();
        if (user == 0) {
            if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)) _exit(9);
            _exit(get(child, own, area, 4) == -1 && errno == EPERM);
        }
        int status;
        waitpid(user, &status, 0);
        said("refused to another user", WEXITSTATUS(status));
    } else {
        puts("refused to another user: 1");
    }
    if (write(down[1], &byte, 1) != 1) exit(1);
    int status;
    waitpid(child, &status, 0);
    said("child", WEXITSTATUS(status));
    said("gone", get(child, own, area, 4));
    munmap(area, 4 * PAGE);
}

static void second_views(void) {
    const int fd = memfd_create("views", 0);
    if (ftruncate(fd, 4 * PAGE)) exit(1);
    char* a = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(a + PAGE, "seen twice");
    char* b = mremap(a + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE);
    said("second view", b != MAP_FAILED && b != a + PAGE);
    puts(b);
    strcpy(b + PAGE, "written there");
    puts(a + 2 * PAGE);
    munmap(a, 4 * PAGE);
    puts(b);
    char* place = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    said("at a place", mremap(b, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    puts(place);
    said("not moving", (long)mremap(b, 0, PAGE, 0));
    char* private = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    said("of a private one", (long)mremap(private, 0, PAGE, MREMAP_MAYMOVE));
    /* Holes. */
    said("remove", madvise(b, PAGE, MADV_REMOVE));
    char text[16] = "x";
    if (pread(fd, text, 10, PAGE) != 10) exit(1);
    printf("hole %d, mapped %d %d, beyond %s\n", text[0], b[0], place[0], b + PAGE);
    b[0] = 'n';
    printf("again %c %c\n", b[0], place[0]);
    said("remove nothing", madvise(b, 0, MADV_REMOVE));
    said("remove from a private one", madvise(private, PAGE, MADV_REMOVE));
    char* anonymous = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    said("remove from no file", madvise(anonymous, PAGE, MADV_REMOVE));
    said("remove askew", madvise(b + 1, PAGE, MADV_REMOVE));
    munmap(anonymous, PAGE);
    said("remove from nothing", madvise(anonymous, PAGE, MADV_REMOVE));
    close(fd);

    /* The same of memory that is no file's, with a child. */
    a = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(a + PAGE, "shared by name");
    b = mremap(a + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE);
    said("second view", b != MAP_FAILED && b != a + PAGE);
    if (b == MAP_FAILED) exit(1);
    strcpy(b + PAGE, "untouched until now");
    puts(b);
    puts(a + 2 * PAGE);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        strcpy(b, "by a child");
        place = mremap(b, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
        strcpy(place + 20, "by its own view");
        _exit(0);
    }
    waitpid(child, 0, 0);
    printf("%s, %s\n", a + PAGE, a + PAGE + 20);
    said("not moving", (long)mremap(b, 0, PAGE, 0));
    said("protect", mprotect(a, 4 * PAGE, PROT_READ));
    b[0] = 'B';
    puts(a + PAGE);
    munmap(a, 4 * PAGE);
    puts(b);
    said("remove", madvise(b, PAGE, MADV_REMOVE));
    printf("zeroes %d %d, beyond %s\n", b[0], b[25], b + PAGE);
    strcpy(b, "written anew");
    puts(b);
    said("protect", mprotect(b, PAGE, PROT_READ));
    said("remove what is not to be written now", madvise(b, 2 * PAGE, MADV_REMOVE));
    puts(b);
    munmap(b, 2 * PAGE);
    anonymous = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    said("of a private one", (long)mremap(anonymous, 0, PAGE, MREMAP_MAYMOVE));
    munmap(anonymous, PAGE);
}

static void zeroes(void) {
    const int fd = open("/dev/zero", O_RDWR);
    char* a = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    said("zero", a != MAP_FAILED && a[0] == 0 && a[2 * PAGE - 1] == 0);
    strcpy(a, "kept");
    char* b = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    said("shared", b != MAP_FAILED && b[0] == 0);
    if (fork() == 0) {
        strcpy(b, "from the child");
        a[0] = 'K';
        _exit(0);
    }
    wait(0);
    printf("%s %s\n", a, b);
    const int reading = open("/dev/zero", O_RDONLY), writing = open("/dev/zero", O_WRONLY);
    said("to write what may be read", (long)mmap(0, PAGE, PROT_WRITE, MAP_SHARED, reading, 0));
    said("to read what may be written", (long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, writing, 0));
    const int null = open("/dev/null", O_RDWR);
    said("null", (long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, null, 0));
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    other_process();
    second_views();
    zeroes();
    return 0;
}
