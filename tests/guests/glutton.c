/* Touches more and more memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
    for (int i = 0; i < 100000; ++i) {
        char* p = malloc(1 << 20);
        if (!p) {
            printf("malloc refused\n");
            return 3;
        }
        memset(p, i, 1 << 20);
    }
    return 0;
}
