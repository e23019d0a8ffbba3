/* Files below /tmp: create, write, seek, read, rename, stat, truncate, append, unlink; buffered and not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define CHECK(x) printf("%s: %s\n", #x, (x) ? "yes" : "no")
int main(void) {
    char dir[] = "/tmp/guestXXXXXX";
    if (!mkdtemp(dir) || chdir(dir)) return 1;
    FILE* f = fopen("a.txt", "w");
    for (int i = 0; i < 1000; ++i) fprintf(f, "line %d\n", i);
    CHECK(fclose(f) == 0);
    struct stat st;
    CHECK(stat("a.txt", &st) == 0 && st.st_size == 8890);
    CHECK(rename("a.txt", "b.txt") == 0);
    CHECK(access("a.txt", F_OK) == -1 && errno == ENOENT);
    int fd = open("b.txt", O_RDWR);
    CHECK(lseek(fd, -9, SEEK_END) == 8881);
    char buffer[32] = {0};
    CHECK(read(fd, buffer, sizeof buffer) == 9 && !strcmp(buffer, "line 999\n"));
    CHECK(read(fd, buffer, sizeof buffer) == 0);
    CHECK(pwrite(fd, "LINE", 4, 0) == 4);
    CHECK(pread(fd, buffer, 6, 0) == 6 && !memcmp(buffer, "LINE 0", 6));
    CHECK(ftruncate(fd, 4) == 0 && fstat(fd, &st) == 0 && st.st_size == 4);
    close(fd);
    fd = open("b.txt", O_WRONLY | O_APPEND);
    CHECK(write(fd, "more", 4) == 4);
    close(fd);
    f = fopen("b.txt", "r");
    CHECK(fgets(buffer, sizeof buffer, f) && !strcmp(buffer, "LINEmore"));
    fclose(f);
    CHECK(open("b.txt", O_CREAT | O_EXCL | O_RDWR, 0600) == -1 && errno == EEXIST);
    CHECK(symlink("b.txt", "link") == 0 && readlink("link", buffer, sizeof buffer) == 5);
    CHECK(open("missing/x", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(open("b.txt/x", O_RDONLY) == -1 && errno == ENOTDIR);
    CHECK(mkdir("sub", 0755) == 0 && rmdir("sub") == 0);
    int gone = open("gone", O_CREAT | O_RDWR, 0644);
    CHECK(unlink("gone") == 0 && write(gone, "x", 1) == 1 && lseek(gone, 0, SEEK_SET) == 0 && read(gone, buffer, 1) == 1);
    CHECK(dup2(gone, 40) == 40 && fcntl(40, F_GETFL) == (O_RDWR | 0100000));
    CHECK(close(40) == 0 && close(40) == -1 && errno == EBADF);
    unlink("link");
    unlink("b.txt");
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
    return 0;
}
