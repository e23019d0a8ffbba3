/* malloc small and large, realloc across mmap thresholds, calloc zeroes, free and reuse. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
    uint64_t sum = 0;
    unsigned char* kept[256] = {0};
    uint32_t x = 12345;
    for (int round = 0; round < 4000; ++round) {
        x = x * 1664525u + 1013904223u;
        unsigned i = (x >> 8) & 255;
        size_t n = (x >> 16) & 0x3fff;
        if (kept[i]) sum += kept[i][0];
        kept[i] = realloc(kept[i], n + 1);
        memset(kept[i], (int)(n & 255), n + 1);
    }
    for (int i = 0; i < 256; ++i) free(kept[i]);
    size_t big = 8u << 20;
    unsigned char* z = calloc(1, big);
    for (size_t i = 0; i < big; i += 4096) sum += z[i];
    memset(z, 7, big);
    z = realloc(z, 2 * big);
    for (size_t i = 0; i < big; i += 4096) sum += z[i];
    free(z);
    printf("sum %llu\n", (unsigned long long)sum);
    return 0;
}
