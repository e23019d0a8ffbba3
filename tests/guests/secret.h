/* A secret, and the search for it. Eight bytes that stand nowhere until `fill` puts them there; the
 * search never has them in a register of its own either. */
#ifndef HEARTH_TESTS_SECRET_H
#define HEARTH_TESTS_SECRET_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { word = 8 };

static volatile unsigned long long one_half = 0x5ec7e75ec7e71234ull,
                                   other_half = 0x0123456789abcdefull;
static inline unsigned long long secret(void) { return one_half ^ other_half; }
static inline int is_secret(const void* at) {
    unsigned long long here;
    memcpy(&here, at, word);
    return (here ^ one_half) == other_half;
}
static inline void fill(void* at, size_t length) {
    const unsigned long long s = secret();
    for (size_t i = 0; i + word <= length; i += word) memcpy((char*)at + i, &s, word);
}
static inline size_t occurrences(const char* from, const char* to) {
    size_t n = 0;
    for (; from + word <= to; from += word) n += (size_t)is_secret(from);
    return n;
}
/* In all that the process may read. */
static inline size_t occurrences_in_memory(void) {
    char line[512];
    FILE* maps = fopen("/proc/self/maps", "r");
    static char* ranges[256][2];
    size_t found = 0;
    int n = 0;
    while (fgets(line, sizeof line, maps) && n < 256) {
        unsigned long from, to;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[0] != 'r') continue;
        ranges[n][0] = (char*)from;
        ranges[n++][1] = (char*)to;
    }
    fclose(maps);
    for (int i = 0; i < n; ++i) found += occurrences(ranges[i][0], ranges[i][1]);
    return found;
}
/* New memory must be zero, whatever held the frames before. */
static inline size_t unclean_new_memory(void) {
    size_t unclean = 0;
    char* fresh = mmap(0, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < 2 << 20; ++i) unclean += fresh[i] != 0;
    munmap(fresh, 2 << 20);
    return unclean;
}

#endif
