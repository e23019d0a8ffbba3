/* Memory that a child does not get as it is: MADV_WIPEONFORK, MADV_KEEPONFORK,
   MADV_DONTFORK and MADV_DOFORK (man 2 madvise). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { page = 4096, pages = 16 };
static char* area;

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
/* What each page shows: a letter, or '.' for zeroes. */
static void show(const char* who) {
    printf("%s ", who);
    for (int i = 0; i < pages; i++) {
        char c = area[i * page + 5];
        putchar(c ? c : '.');
    }
    putchar('\n');
    fflush(stdout);
}
#include "in_child.h"
static void grandchild(void) { show("grandchild"); }
static void child(void) {
    show("child");
    for (int i = 0; i < pages; i += 2) area[i * page + 5] = 'c';
    show("wrote");
    in_child(grandchild); /* the advice is kept */
}

/* Which pages are there: a digit, or '-' where nothing is mapped. */
static char* other;
static void show_mapped(void) {
    unsigned char there;
    for (int i = 0; i < pages; i++) putchar(mincore(other + i * page, page, &there) ? '-' : other[i * page]);
    putchar('\n');
    fflush(stdout);
}
static void child_without(void) {
    show_mapped();
    /* What is free there may be mapped by it. */
    check(mmap(other + 2 * page, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
              other + 2 * page, "the place is free");
    other[2 * page] = 'n';
    in_child(show_mapped);
}
static void without(int flags, const char* what) {
    puts(what);
    other = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < pages; i++) other[i * page] = (char)('0' + i % 10);
    check(!madvise(other + 2 * page, 8 * page, MADV_DONTFORK), "MADV_DONTFORK");
    check(!madvise(other + 4 * page, 2 * page, MADV_DOFORK), "MADV_DOFORK");
    in_child(child_without);
    show_mapped();
    check(!madvise(other, pages * page, MADV_DOFORK), "all of it");
    in_child(show_mapped);
    check(!munmap(other, pages * page), "munmap");
}

int main(void) {
    area = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < pages; i++) area[i * page + 5] = (char)('a' + i);
    check(!madvise(area + 2 * page, 8 * page, MADV_WIPEONFORK), "MADV_WIPEONFORK");
    check(!madvise(area + 4 * page, 2 * page, MADV_KEEPONFORK), "MADV_KEEPONFORK");
    in_child(child);
    show("parent");
    check(!mprotect(area + 3 * page, page, PROT_READ), "mprotect");
    in_child(grandchild);
    check(!mprotect(area + 3 * page, page, PROT_READ | PROT_WRITE), "mprotect");
    check(!madvise(area, pages * page, MADV_KEEPONFORK), "all of it kept");
    in_child(child);
    show("parent");
    /* Moved, it is wiped still. */
    check(!madvise(area, pages * page, MADV_WIPEONFORK), "all of it wiped");
    char* to = mmap(NULL, 2 * pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    area = mremap(area, pages * page, pages * page, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    check(area == to, "mremap");
    in_child(grandchild);
    show("parent");

    char* shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(madvise(shared, page, MADV_WIPEONFORK) == -1 && errno == EINVAL, "not what is shared");
    check(!madvise(shared, page, MADV_KEEPONFORK), "which is kept anyway");
    char* file = mmap(NULL, page, PROT_READ, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
    check(madvise(file, page, MADV_WIPEONFORK) == -1 && errno == EINVAL, "nor a file");
    check(madvise(area + 1, page, MADV_WIPEONFORK) == -1 && errno == EINVAL, "not a page");
    check(!munmap(area + page, page), "a hole");
    check(madvise(area, 3 * page, MADV_WIPEONFORK) == -1 && errno == ENOMEM, "with a hole");
    check(madvise(area, 3 * page, MADV_DONTFORK) == -1 && errno == ENOMEM, "nor is that");
    puts("refused");
    without(MAP_PRIVATE, "private");
    without(MAP_SHARED, "shared");
    return 0;
}
