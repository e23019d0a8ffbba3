/* Does something in a child, and waits for it to have gone well. Before it: check(true, "what"). */
#ifndef IN_CHILD_H
#define IN_CHILD_H
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void in_child(void (*what)(void)) {
    fflush(stdout);
    pid_t p = fork();
    if (p == 0) {
        what();
        fflush(stdout);
        _exit(0);
    }
    int s;
    check(waitpid(p, &s, 0) == p && s == 0, "a child");
}

#endif
