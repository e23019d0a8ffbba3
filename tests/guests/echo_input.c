#include <stdio.h>
#include <unistd.h>
int main(void) {
    char line[256];
    printf("tty %d %d\n", isatty(0), isatty(1));
    while (fgets(line, sizeof line, stdin)) printf("got %s", line);
    printf("end\n");
    return 0;
}
