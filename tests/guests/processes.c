/* Processes as shells and subprocess use them: fork with memory of its own, exec, vfork, posix_spawn, pipes,
   exit statuses, orphans, process groups, SIGCHLD, descriptors shared and closed on exec. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
static const char* self;

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (errno %d)\n", what, errno);
        exit(1);
    }
}
static int status_of(pid_t p) {
    int s = 0;
    check(waitpid(p, &s, 0) == p, "waitpid");
    return s;
}

static int global = 1;
static char* big;

static void memory(void) {
    big = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(big, 'a', 4 << 20);
    int* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = 5;
    char on_stack[100] = "parent";
    pid_t p = fork();
    if (p == 0) {
        check(global == 1 && !strcmp(on_stack, "parent"), "the child begins with the parent's memory");
        for (int i = 0; i < 4 << 20; i += 4096) check(big[i] == 'a', "pages of the parent");
        global = 2;
        strcpy(on_stack, "child");
        memset(big, 'b', 4 << 20);
        *shared = 6;
        pid_t q = fork();
        if (q == 0) {
            check(global == 2 && big[77] == 'b', "a grandchild");
            big[77] = 'c';
            *shared += 10;
            _exit(9);
        }
        check(WEXITSTATUS(status_of(q)) == 9, "grandchild's status");
        check(big[77] == 'b', "the grandchild's writes are its own");
        _exit(global == 2 && big[5000] == 'b' ? 3 : 4);
    }
    big[4096] = 'x';
    int s = status_of(p);
    check(WIFEXITED(s) && WEXITSTATUS(s) == 3, "exit status");
    check(global == 1 && !strcmp(on_stack, "parent") && big[0] == 'a' && big[4096] == 'x' && big[8192] == 'a',
          "the child's writes are its own");
    check(*shared == 16, "shared memory");
    memset(big, 'd', 4 << 20);
    munmap(big, 4 << 20);
    puts("memory");
}

static void pipes(void) {
    int a[2], b[2];
    check(!pipe(a) && !pipe(b), "pipe");
    pid_t p = fork();
    if (p == 0) {
        close(a[1]);
        close(b[0]);
        char c;
        int n = 0;
        while (read(a[0], &c, 1) == 1) {
            c ^= 0x20;
            n += write(b[1], &c, 1) == 1;
        }
        _exit(n);
    }
    close(a[0]);
    close(b[1]);
    check(write(a[1], "hello", 5) == 5, "write");
    close(a[1]);
    char back[16] = "";
    int n = 0, r;
    while ((r = read(b[0], back + n, sizeof back - (size_t)n - 1)) > 0) n += r;
    printf("pipes %s %d\n", back, WEXITSTATUS(status_of(p)));
    close(b[0]);
}

static void executed(void) {
    fflush(stdout);
    int kept = open("/dev/null", O_RDONLY), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char k[16], c[16];
    sprintf(k, "%d", kept);
    sprintf(c, "%d", closed);
    pid_t p = fork();
    if (p == 0) {
        char* arguments[] = {(char*)self, "child", k, c, NULL};
        char* environment[] = {"COLOUR=green", NULL};
        execve("/proc/self/exe", arguments, environment);
        _exit(99);
    }
    check(WEXITSTATUS(status_of(p)) == 7, "exec");
    for (int i = 0; i < 2; ++i) {
        if ((p = fork()) == 0) {
            char* arguments[] = {(char*)self, "child", k, c, NULL};
            char* environment[] = {"COLOUR=green", NULL};
            int program = open("/proc/self/exe", (i ? O_PATH : O_RDONLY) | O_CLOEXEC);
            fexecve(program, arguments, environment);
            _exit(99);
        }
        check(WEXITSTATUS(status_of(p)) == 7, "fexecve");
    }
    p = vfork();
    if (p == 0) {
        execl("/nowhere", "nowhere", NULL);
        _exit(errno == ENOENT ? 12 : 13);
    }
    check(WEXITSTATUS(status_of(p)) == 12, "vfork and a failed exec");
    char* arguments[] = {(char*)self, "child", k, c, NULL};
    char* environment[] = {"COLOUR=green", NULL};
    check(!posix_spawn(&p, "/proc/self/exe", NULL, NULL, arguments, environment), "posix_spawn");
    check(WEXITSTATUS(status_of(p)) == 7, "spawned");
    check(posix_spawn(&p, "/nowhere", NULL, NULL, arguments, environ) == ENOENT, "posix_spawn of nothing");
    int s = system("exit 5");
    check(WEXITSTATUS(s) == 5, "system");
    s = system("echo from a shell; for i in 1 2 3; do echo $i; done | while read x; do echo got $x; done");
    check(s == 0, "a shell's pipeline");
    FILE* f = popen("echo popen | tr a-z A-Z", "r");
    char line[64] = "";
    check(f && fgets(line, sizeof line, f), "popen");
    pclose(f);
    printf("%s", line);
    close(kept);
    close(closed);
}

static volatile sig_atomic_t children, last_pid, last_status;
static void on_child(int n, siginfo_t* i, void* u) {
    (void)n, (void)u;
    children++;
    last_pid = i->si_pid;
    last_status = i->si_status;
}

static void signals(void) {
    struct sigaction sa = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO};
    sigaction(SIGCHLD, &sa, NULL);
    pid_t p = fork();
    if (p == 0) _exit(21);
    while (!children) usleep(1000);
    check(last_pid == p && last_status == 21, "SIGCHLD tells who and how");
    check(waitpid(-1, NULL, WNOHANG) == p, "reaped");
    check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "ECHILD");
    p = fork();
    if (p == 0)
        for (;;) pause();
    check(waitpid(p, NULL, WNOHANG) == 0, "it lives");
    kill(p, SIGTERM);
    int s = status_of(p);
    check(WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM, "killed");
    p = fork();
    if (p == 0)
        for (;;) {  // spinning: preempted
        }
    usleep(3000);
    kill(p, SIGKILL);
    s = status_of(p);
    check(WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL, "a spinning child is killed");
    p = fork();
    if (p == 0) *(volatile int*)8 = 1;
    s = status_of(p);
    check(WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV, "a child that crashes");
    signal(SIGCHLD, SIG_IGN);
    p = fork();
    if (p == 0) _exit(0);
    check(waitpid(p, NULL, 0) == -1 && errno == ECHILD, "ignored children reap themselves");
    signal(SIGCHLD, SIG_DFL);
    puts("signals");
}

static void groups(void) {
    pid_t p[3];
    for (int i = 0; i < 3; i++) {
        p[i] = fork();
        if (p[i] == 0) {
            for (;;) pause();
        }
        check(!setpgid(p[i], p[0]), "setpgid of a child");
    }
    check(getpgid(p[2]) == p[0], "its group");
    check(!kill(-p[0], SIGUSR1), "kill the group");
    for (int i = 0; i < 3; i++) {
        int s;
        pid_t r = waitpid(-p[0], &s, 0);
        check(r > 0 && WTERMSIG(s) == SIGUSR1, "wait for the group");
    }
    siginfo_t info;
    pid_t q = fork();
    if (q == 0) _exit(33);
    check(!waitid(P_PID, (id_t)q, &info, WEXITED | WNOWAIT) && info.si_status == 33, "waitid leaves it");
    check(!waitid(P_ALL, 0, &info, WEXITED) && info.si_pid == q && info.si_code == CLD_EXITED, "waitid");

    /* A child that has become another program is left alone. */
    int running[2];
    check(!pipe2(running, O_CLOEXEC), "pipe2");
    q = fork();
    if (q == 0) {
        execl("/proc/self/exe", self, "wait", NULL);
        _exit(99);
    }
    close(running[1]);
    char c;
    check(read(running[0], &c, 1) == 0, "another program");
    close(running[0]);
    check(setpgid(q, q) == -1 && errno == EACCES, "EACCES after exec");
    kill(q, SIGKILL);
    check(WTERMSIG(status_of(q)) == SIGKILL, "it ends");
    puts("groups");
}

static void many(void) {
    for (int i = 0; i < 100; i++) {
        pid_t p = fork();
        check(p >= 0, "fork again and again");
        if (p == 0) _exit(i);
        check(WEXITSTATUS(status_of(p)) == i, "each its status");
    }
    pid_t p[20];
    for (int i = 0; i < 20; i++)
        if ((p[i] = fork()) == 0) {
            usleep(1000);
            _exit(i);
        }
    for (int i = 0; i < 20; i++) check(WEXITSTATUS(status_of(p[i])) == i, "at the same time");
    puts("many");
}

int main(int argc, char** argv) {
    self = argv[0];
    if (argc > 3 && !strcmp(argv[1], "child")) {
        check(fcntl(atoi(argv[2]), F_GETFD) == 0, "a descriptor that stays");
        check(fcntl(atoi(argv[3]), F_GETFD) == -1, "a descriptor that closes");
        check(getenv("COLOUR") && !getenv("PATH"), "the environment given");
        return 7;
    }
    if (argc > 1 && !strcmp(argv[1], "wait"))
        for (;;) pause();
    setvbuf(stdout, NULL, _IOLBF, 0);
    memory();
    pipes();
    executed();
    signals();
    groups();
    many();
    return 0;
}
