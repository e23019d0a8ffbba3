/* Capabilities: what becomes of them with the ids, over execve, by capset and prctl (man 7 capabilities). Root natively. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char* what) {
    if (!ok) {
        printf("FAILED: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}
#define FAILS(call, error, what) check((call) == -1 && errno == (error), what)
#include "in_child.h"

typedef unsigned long long set;
#define BIT(c) (1ull << (c))
struct sets {
    set effective, permitted, inheritable;
};
static struct sets get(void) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    check(!syscall(SYS_capget, &h, d), "capget");
#define JOIN(f) (d[0].f | (set)d[1].f << 32)
    return (struct sets){JOIN(effective), JOIN(permitted), JOIN(inheritable)};
}
static int put(set e, set p, set i) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{e, p, i}, {e >> 32, p >> 32, i >> 32}};
    return (int)syscall(SYS_capset, &h, d);
}
static set from_status(const char* name) {
    char line[256];
    set value = ~0ull;
    FILE* f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name))) value = strtoull(line + strlen(name) + 1, NULL, 16);
    if (f) fclose(f);
    return value;
}
static set bounding, all;

static const char* shown(set s) {
    static char text[4][64];
    static int next;
    char* t = text[next++ % 4];
    if (s == 0) return "none";
    if (s == all) return "all";
    sprintf(t, "%#llx", s);
    return t;
}
static void show(const char* when) {
    struct sets c = get();
    check(c.effective == from_status("CapEff:") && c.permitted == from_status("CapPrm:") && c.inheritable == from_status("CapInh:"),
          "/proc tells the same");
    set ambient = from_status("CapAmb:");
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == (int)(ambient >> i & 1), "of ambient ones too");
    printf("  %s: effective %s, permitted %s, inheritable %s, ambient %s; dumpable %d\n", when, shown(c.effective), shown(c.permitted),
           shown(c.inheritable), shown(ambient), prctl(PR_GET_DUMPABLE) == 1);
}

static int program;
static void executes(const char* what) {
    fflush(stdout);
    fexecve(program, (char*[]){"capabilities", (char*)what, NULL}, (char*[]){NULL});
    check(0, "fexecve");
}

static void by_setuid(void) {
    puts("setuid");
    check(!setuid(1000), "setuid");
    show("no root");
    FAILS(setuid(0), EPERM, "for good");
    FAILS(put(BIT(CAP_KILL), BIT(CAP_KILL), 0), EPERM, "for good");
    executes("setuid");
}
static void by_seteuid(void) {
    puts("seteuid");
    check(!seteuid(1000), "seteuid");
    show("not in effect");
    FAILS(setgroups(0, NULL), EPERM, "setgroups");
    check(!seteuid(0), "back");
    show("in effect");
    check(!setresuid(1000, 1000, 0), "setresuid");
    show("saved");
    check(!put(BIT(CAP_SETUID), get().permitted, 0), "raised");
    show("raised");
    check(!setresuid(1001, 1002, 1003), "by its capability");
    show("no root");
}
static void keeping(void) {
    puts("keeping");
    check(!prctl(PR_GET_KEEPCAPS) && !prctl(PR_SET_KEEPCAPS, 1) && prctl(PR_GET_KEEPCAPS) == 1, "PR_SET_KEEPCAPS");
    check(prctl(PR_GET_SECUREBITS) == SECBIT_KEEP_CAPS, "a secure bit");
    FAILS(prctl(PR_SET_KEEPCAPS, 2), EINVAL, "a flag");
    check(!setresuid(1000, 1000, 1000), "setresuid");
    show("kept");
    FAILS(setgid(7), EPERM, "not in effect");
    check(!put(BIT(CAP_SETGID) | BIT(CAP_SYS_CHROOT), BIT(CAP_SETGID) | BIT(CAP_SYS_CHROOT), 0), "capset");
    show("two");
    check(!setgid(7) && !setgroups(0, NULL) && !chroot("/"), "in effect");
    FAILS(setuid(0), EPERM, "not this");
    /* EACCES where others may not write to /tmp. */
    check(mknod("/tmp/never", S_IFCHR | 0600, 0x103) == -1 && (errno == EPERM || errno == EACCES), "nor this");
    executes("kept");
}
static void file_ids(void) {
    puts("file ids");
    setfsuid(1000);
    printf("  effective %s\n", shown(all & ~get().effective));
    setfsuid(0);
    show("back");
}
static void setting(void) {
    puts("capset");
    check(!put(BIT(CAP_KILL), BIT(CAP_KILL) | BIT(CAP_CHOWN), BIT(CAP_KILL)), "capset");
    show("fewer");
    FAILS(put(BIT(CAP_SETUID), BIT(CAP_KILL), 0), EPERM, "in effect what is permitted");
    FAILS(put(0, BIT(CAP_SETUID), 0), EPERM, "no more");
    FAILS(put(0, 0, BIT(CAP_SETUID)), EPERM, "nor to inherit");
    check(!put(0, BIT(CAP_CHOWN), BIT(CAP_KILL) | BIT(CAP_CHOWN)), "inherited ones stay");
    show("fewer still");
    FAILS(setuid(1000), EPERM, "root is not asked for");
    FAILS(chroot("/"), EPERM, "root is not asked for");
    FAILS(prctl(PR_CAPBSET_DROP, CAP_KILL), EPERM, "CAP_SETPCAP");
    FAILS(prctl(PR_SET_SECUREBITS, 0), EPERM, "CAP_SETPCAP");
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, getppid()};
    struct __user_cap_data_struct d[2];
    check(!syscall(SYS_capget, &h, d) && d[0].permitted == (unsigned)all, "another's");
    FAILS(syscall(SYS_capset, &h, d), EPERM, "are not one's own");
    h.pid = 0x7fffff;
    FAILS(syscall(SYS_capget, &h, d), ESRCH, "nobody's");
    h.pid = -1;
    FAILS(syscall(SYS_capget, &h, d), EINVAL, "no number");
    executes("root again");
}
static void ambient(void) {
    puts("ambient");
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM, "to be inherited");
    check(!put(all, all, BIT(CAP_KILL) | BIT(CAP_CHOWN)), "capset");
    check(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) && !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0),
          "PR_CAP_AMBIENT_RAISE");
    show("raised");
    check(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0), "PR_CAP_AMBIENT_LOWER");
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 41, 0, 0), EINVAL, "no such capability");
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 1, 0), EINVAL, "no such argument");
    FAILS(prctl(PR_CAP_AMBIENT, 5, CAP_KILL, 0, 0), EINVAL, "no such thing");
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0), EINVAL, "no such argument");
    check(!prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP), "PR_SET_SECUREBITS");
    check(!setresuid(1000, 1000, 1000), "setresuid");
    show("as it was");
    check(!prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED), "PR_SET_SECUREBITS");
    FAILS(prctl(PR_SET_SECUREBITS, 0), EPERM, "locked");
    FAILS(prctl(PR_SET_SECUREBITS, 1 << 30), EPERM, "no such bit");
    executes("ambient");
}
static void cleared(void) {
    check(!put(all, all, BIT(CAP_KILL)) && !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), "raised");
    check(!put(all, all & ~BIT(CAP_KILL), BIT(CAP_KILL)) || errno == EPERM, "capset");
    check(!put(all & ~BIT(CAP_KILL), all & ~BIT(CAP_KILL), BIT(CAP_KILL)), "capset");
    check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 0, "not permitted, not ambient");
    check(!put(all & ~BIT(CAP_KILL), all & ~BIT(CAP_KILL), BIT(CAP_CHOWN)) &&
              !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) &&
              !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
          "PR_CAP_AMBIENT_CLEAR_ALL");
    check(from_status("CapAmb:") == 0, "none");
}
static void bound(void) {
    puts("bounding");
    check(prctl(PR_CAPBSET_READ, CAP_KILL) == 1 && !prctl(PR_CAPBSET_DROP, CAP_KILL) && prctl(PR_CAPBSET_READ, CAP_KILL) == 0,
          "PR_CAPBSET_DROP");
    FAILS(prctl(PR_CAPBSET_DROP, 41), EINVAL, "no such capability");
    FAILS(prctl(PR_CAPBSET_READ, 41), EINVAL, "no such capability");
    check(from_status("CapBnd:") == (bounding & ~BIT(CAP_KILL)), "/proc tells the same");
    show("what one has stays");
    FAILS(put(all, all, BIT(CAP_KILL)), EPERM, "not to be inherited");
    executes("bound");
}

/* Who may send signals to whom. */
static pid_t victim;
static void kills(void) {
    check(!setresuid(1000, 1000, 1000), "setresuid");
    FAILS(kill(victim, 0), EPERM, "kill");
    FAILS(kill(victim, SIGTERM), EPERM, "kill");
    FAILS(syscall(SYS_tkill, victim, SIGTERM), EPERM, "tkill");
    FAILS(kill(-victim, SIGTERM), EPERM, "its group");
    FAILS(sigqueue(victim, SIGTERM, (union sigval){0}), EPERM, "sigqueue");
    int fd = (int)syscall(SYS_pidfd_open, victim, 0);
    check(fd >= 0, "pidfd_open");
    FAILS(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), EPERM, "pidfd_send_signal");
    check(!kill(victim, SIGCONT), "in one session");
    check(setsid() > 0, "setsid");
    FAILS(kill(victim, SIGCONT), EPERM, "in another");
    check(!kill(getpid(), 0), "oneself");
    FAILS(kill(0x7fffff, 0), ESRCH, "nobody");
}
static void saved(void) {
    pid_t p = fork();
    if (p == 0) {
        check(!setresuid(5, 6, 1000), "setresuid");
        for (;;) pause();
    }
    while (prctl(PR_GET_DUMPABLE) != 1) {
    }
    check(!setresuid(1000, 1000, 1000), "setresuid");
    while (kill(p, SIGKILL)) check(errno == EPERM, "not yet");
    int s;
    check(waitpid(p, &s, 0) == p && WTERMSIG(s) == SIGKILL, "its saved id is the sender's");
}
static void killing(void) {
    puts("killing");
    victim = fork();
    if (victim == 0) {
        setpgid(0, 0);
        for (;;) pause();
    }
    setpgid(victim, victim);
    in_child(kills);
    in_child(saved);
    int s;
    check(!kill(victim, SIGKILL) && waitpid(victim, &s, 0) == victim, "root may");
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (geteuid() == 0 || argc == 2) all = bounding = from_status("CapBnd:");
    if (argc == 2) {
        show(argv[1]);
        printf("  keeps %d, secure bits %#x\n", prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS));
        return 0;
    }
    if (geteuid() != 0) {
        puts("needs root");
        return 1;
    }
    program = open("/proc/self/exe", O_RDONLY);
    check(get().permitted == all, "root has what is left");
    show("root");
    in_child(by_setuid);
    in_child(by_seteuid);
    in_child(keeping);
    in_child(file_ids);
    in_child(setting);
    in_child(ambient);
    in_child(cleared);
    in_child(bound);
    in_child(killing);
    return 0;
}
