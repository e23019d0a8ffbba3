/* A child that waits, for its parent to ask about and to end. Before it: check(true, "what"). */
#ifndef WAITING_CHILD_H
#define WAITING_CHILD_H
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t waiting_child(void) {
    pid_t p = fork();
    if (p == 0)
        for (;;) pause();
    return p;
}
static void end(pid_t p) {
    kill(p, SIGKILL);
    check(waitpid(p, NULL, 0) == p, "waitpid");
}

#endif
