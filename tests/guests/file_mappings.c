/* mmap of files: private and read-only, small and large, copy on write, past the end. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char** argv) {
    (void)argc;
    int self = open(argv[0], O_RDONLY);
    struct stat st;
    if (self < 0 || fstat(self, &st)) return 1;
    size_t n = (size_t)st.st_size;
    unsigned char* m = mmap(0, n, PROT_READ, MAP_PRIVATE, self, 0);
    unsigned char* r = malloc(n);
    size_t got = 0;
    for (ssize_t k; (k = read(self, r + got, n - got)) > 0;) got += (size_t)k;
    printf("same %d\n", got == n && !memcmp(m, r, n));
    unsigned char* w = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE, self, 4096);
    w[0] ^= 0xff;
    printf("copied on write %d %d\n", w[0] != r[4096], m[4096] == r[4096]);
    printf("the rest of the page %d\n", !memcmp(w + 1, r + 4097, 4000));
    size_t tail = n % 4096;
    if (tail) printf("zero past the end %d\n", m[n - 1] == r[n - 1] && m[n] == 0);
    munmap(m, n);
    munmap(w, n);
    char path[] = "/tmp/guestXXXXXX";
    int fd = mkstemp(path);
    if (write(fd, r, 10000) != 10000) return 1;
    unsigned char* t = mmap(0, 10000, PROT_READ, MAP_PRIVATE, fd, 0);
    printf("tmp file %d\n", !memcmp(t, r, 10000));
    unlink(path);
    return 0;
}
