/* Arguments, environment, working directory, exit status. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
extern char** environ;
int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) printf("arg %d: %s\n", i, argv[i]);
    for (char** e = environ; *e; ++e) printf("env: %s\n", *e);
    char here[4096];
    printf("cwd: %s\n", getcwd(here, sizeof here));
    fprintf(stderr, "to stderr\n");
    return argc > 1 ? atoi(argv[1]) : 0;
}
