/* getdents over a directory we made, with many entries. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static int by_name(const struct dirent** a, const struct dirent** b) { return strcmp((*a)->d_name, (*b)->d_name); }
int main(void) {
    char dir[] = "/tmp/guestXXXXXX";
    if (!mkdtemp(dir) || chdir(dir)) return 1;
    char name[64];
    for (int i = 0; i < 500; ++i) {
        snprintf(name, sizeof name, "entry-with-a-rather-long-name-%03d", i);
        if (i % 10 == 0) {
            mkdir(name, 0755);
        } else {
            int fd = open(name, O_CREAT | O_WRONLY, 0644);
            close(fd);
        }
    }
    struct dirent** list;
    int n = scandir(".", &list, 0, by_name);
    printf("%d entries\n", n);
    for (int i = 0; i < n; i += 50) printf("%s %d\n", list[i]->d_name, list[i]->d_type);
    DIR* d = opendir(".");
    int dirs = 0, seen = 0;
    for (struct dirent* e; (e = readdir(d));) ++seen, dirs += e->d_type == DT_DIR;
    printf("%d seen, %d directories\n", seen, dirs);
    rewinddir(d);
    printf("again: %s\n", readdir(d) ? "yes" : "no");
    closedir(d);
    for (int i = 0; i < 500; ++i) {
        snprintf(name, sizeof name, "entry-with-a-rather-long-name-%03d", i);
        if (i % 10 == 0) rmdir(name);
        else unlink(name);
    }
    if (chdir("/")) return 1;
    printf("removed: %d\n", rmdir(dir));
    return 0;
}
