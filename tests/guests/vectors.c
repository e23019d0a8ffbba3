/* AVX state lives across system calls, sleeps and page faults; SSE does too. */
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
__attribute__((target("avx2"))) static int check(void) {
    __m256i a = _mm256_set1_epi64x(0x0123456789abcdefll), b = _mm256_set1_epi64x(1);
    struct timespec nap = {0, 1000000};
    for (int i = 0; i < 20; ++i) {
        a = _mm256_add_epi64(a, b);
        __asm__ volatile("" : "+x"(a), "+x"(b));
        if (i % 5 == 0) nanosleep(&nap, 0);
        getppid();
        char* p = malloc(1 << 20);
        memset(p, i, 1 << 20);
        __asm__ volatile("" : "+x"(a), "+x"(b) : "r"(p) : "memory");
        free(p);
    }
    long long out[4];
    memcpy(out, &a, sizeof out);
    return out[0] == 0x0123456789abcdefll + 20 && out[3] == out[0];
}
int main(void) {
    if (__builtin_cpu_supports("avx2")) printf("avx2 %d\n", check());
    double d = 1;
    for (int i = 0; i < 30; ++i) d *= 1.5, getppid();
    printf("%.6f\n", d);
    return 0;
}
