/* Another root (chroot, man 2 chroot) and device nodes of one's own. Root natively; prints what it saw. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}
#define FAILS(call, error, what) check((call) == -1 && errno == (error), what)

static void put(const char* path, const char* text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !close(fd), path);
}
static void shows(const char* path) {
    char text[64] = "";
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        printf("  %s: %s\n", path, strerror(errno));
    else
        printf("  %s: %.*s\n", path, (int)read(fd, text, sizeof text), text);
    if (fd >= 0) close(fd);
}
#include "in_child.h"
static void where(void) {
    char path[PATH_MAX] = "";
    long n = syscall(SYS_getcwd, path, sizeof path);
    const char* lost = strncmp(path, "(unreachable)", 13) ? NULL : strrchr(path, '/');
    printf("  here: %s%s\n", lost ? "(unreachable) … " : "", n < 0 ? strerror(errno) : lost ? lost : path);
}

static char top[] = "/tmp/roots.XXXXXX";
static int outside, proc;

/* Where a link of /proc leads: below the root, or by its whole name. */
static void leads(const char* name) {
    char path[PATH_MAX] = "";
    if (readlinkat(proc, name, path, sizeof path - 1) < 0)
        printf("  %s: %s\n", name, strerror(errno));
    else
        printf("  %s: %s%s\n", name, strncmp(path, top, sizeof top - 1) ? "" : "… ",
               strncmp(path, top, sizeof top - 1) ? path : path + sizeof top - 1);
}
static void leads_to(int fd) {
    check(dup2(fd, 60) == 60, "dup2"); /* a number that is the same everywhere */
    leads("self/fd/60");
}

static void grandchild(void) { shows("/file"), shows("/link"), where(); }
static void inside(void) {
    puts("inside");
    outside = open("/", O_RDONLY | O_DIRECTORY);
    proc = open("/proc", O_RDONLY | O_DIRECTORY);
    check(outside >= 0 && proc >= 0 && !chdir("root/sub"), "chdir");
    check(!chroot("..") && !chdir("."), "chroot");
    where();
    leads("self/cwd"), leads("self/root"),
    leads_to(outside), leads_to(proc), leads_to(open("/file", O_RDONLY)), leads_to(open("/sub", O_RDONLY));
    char exe[PATH_MAX] = "", whole[PATH_MAX] = "";
    check(readlinkat(proc, "self/exe", whole, PATH_MAX) > 1 && readlinkat(outside, "proc/self/exe", exe, PATH_MAX) > 1 &&
              !strcmp(exe, whole) && !strcmp(strrchr(whole, '/'), "/roots"), "a program from outside");
    check(!chdir("/"), "chdir");
    where();
    shows("/file");
    shows("file");
    shows("/../file");
    shows("../../../../file");
    shows("sub/../../../file");
    shows("/link");       /* to /file, which is the root's */
    shows("/above");      /* to ../../../file */
    shows("/sub/deeper"); /* to /sub/inner */
    shows("/outer");      /* what is beside the root */
    shows("/etc/passwd");
    struct stat root, dots;
    check(!stat("/", &root) && !stat("/..", &dots) && root.st_ino == dots.st_ino, "/.. is /");
    check(!mkdir("/made", 0755) && !rename("/made", "/sub/moved") && !symlink("/file", "/sub/again"), "making");
    shows("/sub/again");
    char path[PATH_MAX];
    check(realpath("/sub/../sub/again", path) != NULL, "realpath");
    printf("  realpath: %s\n", path);
    check(!chdir("/sub/moved"), "chdir");
    where();
    check(openat(outside, "etc/passwd", O_RDONLY) >= 0, "a descriptor leads out");
    int self = openat(proc, "self/root/file", O_RDONLY);
    check(self >= 0 && read(self, path, 2) == 2, "/proc/self/root");
    printf("  /proc/self/root/file: %.2s\n", path);
    struct sockaddr_un a = {AF_UNIX, "/socket"};
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    check(!bind(s, (void*)&a, sizeof a) && !listen(s, 1) && !connect(c, (void*)&a, sizeof a), "a socket's name");
    in_child(grandchild);
    /* Deeper, and out again by a directory that is open. */
    int here = open("/", O_RDONLY | O_DIRECTORY);
    check(!chdir("/") && !chroot("/sub"), "chroot");
    where();
    leads("self/cwd"), leads("self/root"), leads_to(here), leads_to(open("/inner", O_RDONLY));
    shows("/inner");
    shows("../file"); /* outside of the root no .. stops */
    check(!fchdir(here) && !chroot("."), "back");
    where();
    check(!fchdir(outside), "fchdir");
    where();
    shows("..//etc/../nothing/at/all");
    check(!chroot("."), "and out");
    where();
    FAILS(chroot("/etc/passwd"), ENOTDIR, "a file");
    FAILS(chroot("/nothing"), ENOENT, "nothing");
    FAILS(chroot((void*)8), EFAULT, "nowhere");
    check(!setuid(1000), "setuid");
    FAILS(chroot("/"), EPERM, "not every user");
}
static void executes(void) {
    check(dup2(open("/proc", O_RDONLY | O_DIRECTORY), 50) == 50, "proc");
    check(!chroot(top), "chroot");
    execl("/self", "/self", "inside", NULL);
    check(0, "execl");
}

static void node(const char* path, mode_t type, int major_, int minor_) {
    struct stat s;
    check(!mknod(path, type | 0640, makedev(major_, minor_)) && !stat(path, &s), path);
    printf("%s: %o, %u:%u, %ld bytes\n", path + sizeof top, s.st_mode, major(s.st_rdev), minor(s.st_rdev), (long)s.st_size);
}
static void nodes(void) {
    char path[PATH_MAX], zeroes[8];
    check(!chdir(top), "chdir");
    umask(022);
#define NODE(name, ...) snprintf(path, sizeof path, "%s/" name, top), node(path, __VA_ARGS__)
    NODE("null", S_IFCHR, 1, 3);
    NODE("zero", S_IFCHR, 1, 5);
    NODE("sda", S_IFBLK, 8, 0);
    NODE("odd", S_IFCHR, 300, 70000);
    FAILS(mknod("null", S_IFCHR | 0600, makedev(1, 3)), EEXIST, "there is one");
    int fd = open("zero", O_RDWR);
    if (fd >= 0) { /* not where devices are not wanted */
        check(read(fd, zeroes, 8) == 8 && !memcmp(zeroes, "\0\0\0\0\0\0\0\0", 8), "zeroes");
        struct stat s;
        check(!unlink("zero") && !fstat(fd, &s) && s.st_nlink == 0 && S_ISCHR(s.st_mode), "without a name");
        check(!close(fd), "close");
        put("null", "for nobody");
        shows("null");
    } else {
        check(errno == EACCES && !unlink("zero"), "open");
        puts("  null: ");
    }
    check(open("odd", O_RDONLY) == -1, "nothing is there");
    check(!rename("sda", "sdb") && !link("sdb", "sdc") && !unlink("sdb") && !unlink("sdc") && !unlink("null") && !unlink("odd"),
          "names");
    check(!chmod(".", 0777) && !setuid(1000), "setuid");
    FAILS(mknod("never", S_IFCHR | 0600, makedev(1, 3)), EPERM, "not every user");
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && !strcmp(argv[1], "inside")) {
        puts("executed inside");
        proc = 50;
        char line[256] = "", *name;
        FILE *maps = fdopen(openat(proc, "self/maps", O_RDONLY), "r"), *mounts = fdopen(openat(proc, "self/mounts", O_RDONLY), "r");
        check(maps && mounts && fgets(line, sizeof line, maps) && (name = strchr(line, '/')), "maps");
        printf("  mapped: %s", name);
        printf("  mounts: %s\n", fgets(line, sizeof line, mounts) ? line : "none");
        leads("self/exe"), leads("self/cwd"), leads("self/root");
        shows("/root/file");
        shows("/file");
        where();
        return 0;
    }
    if (geteuid() != 0) {
        puts("needs root");
        return 1;
    }
    check(mkdtemp(top) && !chmod(top, 0755) && !chdir(top), "mkdtemp");
    check(!mkdir("root", 0755) && !mkdir("root/sub", 0755), "mkdir");
    put("file", "beside");
    put("outer", "beside");
    put("root/file", "in it");
    put("root/sub/inner", "inner");
    check(!symlink("/file", "root/link") && !symlink("../../../file", "root/above") &&
              !symlink("/sub/inner", "root/sub/deeper"), "symlink");
    in_child(inside);
    in_child(nodes);
    /* A program, which is static, from there. */
    int from = open("/proc/self/exe", O_RDONLY), to = open("self", O_WRONLY | O_CREAT, 0755);
    char block[65536];
    ssize_t n;
    while ((n = read(from, block, sizeof block)) > 0) check(write(to, block, (size_t)n) == n, "write");
    close(to);
    in_child(executes);
    shows("/etc/nothing");
    check(!unlink("root/socket") && !unlink("root/sub/again") && !rmdir("root/sub/moved"), "what was made inside");
    chdir("/");
    char command[64];
    snprintf(command, sizeof command, "/%s", top + 1);
    const char* all[] = {"root/link", "root/above", "root/sub/deeper", "root/sub/inner", "root/file", "file", "outer", "self"};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", command, all[i]);
        check(!unlink(path), path);
    }
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/root/sub", command), check(!rmdir(path), path);
    snprintf(path, sizeof path, "%s/root", command), check(!rmdir(path), path);
    check(!rmdir(command), command);
    return 0;
}
