// The static program of cold_start.
#include <stdio.h>

int main(void) {
    puts("hello");
    return 0;
}
