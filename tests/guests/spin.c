/* Runs forever: in user code, in system calls, or asleep. */
#include <string.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char** argv) {
    for (;;) {
        if (argc > 1 && !strcmp(argv[1], "calls")) getppid(), write(1, "", 0);
        if (argc > 1 && !strcmp(argv[1], "sleep")) sleep(1000);
        if (argc > 1 && !strcmp(argv[1], "read")) { char c; if (read(0, &c, 1) == 0) return 0; }
        __asm__ volatile("" ::: "memory");
    }
}
