/* As many processes as there may be, twice: fork then says EAGAIN, and works again when they have ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t children[5000];

int main(void) {
    for (int round = 0; round < 2; round++) {
        int n = 0;
        while (n < 5000 && (children[n] = fork()) > 0) n++;
        if (n < 5000 && children[n] == 0)
            for (;;) pause();
        printf("%d children, then %s\n", n, n < 5000 ? strerror(errno) : "no end");
        fflush(stdout);
        for (int i = 0; i < n; i++) kill(children[i], SIGKILL);
        int ended = 0, s;
        while (wait(&s) > 0) ended += WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL;
        printf("%d ended\n", ended);
        fflush(stdout);
    }
    return 0;
}
