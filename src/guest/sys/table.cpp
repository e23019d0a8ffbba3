#include "guest/sys/table.hpp"

#include "guest/sys/bind.hpp"
#include "guest/sys/clone.hpp"
#include "guest/sys/credentials.hpp"
#include "guest/sys/dir.hpp"
#include "guest/sys/exec.hpp"
#include "guest/sys/file.hpp"
#include "guest/sys/file_lock.hpp"
#include "guest/sys/futex.hpp"
#include "guest/sys/ioctl.hpp"
#include "guest/sys/kcmp.hpp"
#include "guest/sys/mman.hpp"
#include "guest/sys/open.hpp"
#include "guest/sys/path.hpp"
#include "guest/sys/pidfd.hpp"
#include "guest/sys/pipe.hpp"
#include "guest/sys/poll.hpp"
#include "guest/sys/process.hpp"
#include "guest/sys/process_vm.hpp"
#include "guest/sys/random.hpp"
#include "guest/sys/signal.hpp"
#include "guest/sys/since.hpp"
#include "guest/sys/socket.hpp"
#include "guest/sys/splice.hpp"
#include "guest/sys/stat.hpp"
#include "guest/sys/system.hpp"
#include "guest/sys/time.hpp"
#include "guest/sys/timerfd.hpp"
#include "guest/sys/unshare.hpp"
#include "guest/sys/wait.hpp"
#include "guest/sys/xattr.hpp"

#include <algorithm>
#include <cerrno>

namespace hearth::guest {
namespace {

constexpr auto full = support_level::full;
constexpr auto partial = support_level::partial;
constexpr auto stub = support_level::stub;
constexpr auto refused = support_level::refused;
constexpr binding none{};

/// Refused with another error than ENOSYS: a privilege that no guest has.
template <int Errno>
constexpr binding refuse{[](task&) { return sysret::error(Errno); }, nullptr, true};

// clang-format off
constexpr syscall_row table[] = {
    {  0, "read", full, bind<sys_read>},
    {  1, "write", full, bind<sys_write>},
    {  2, "open", full, bind<sys_open>},
    {  3, "close", full, bind<sys_close>},
    {  4, "stat", full, bind<sys_stat>},
    {  5, "fstat", full, bind<sys_fstat>},
    {  6, "lstat", full, bind<sys_lstat>},
    {  7, "poll", full, bind<sys_poll>},
    {  8, "lseek", full, bind<sys_lseek>},
    {  9, "mmap", partial, bind<sys_mmap>, "no huge pages"},
    { 10, "mprotect", full, bind<sys_mprotect>},
    { 11, "munmap", full, bind<sys_munmap>},
    { 12, "brk", full, bind<sys_brk>},
    { 13, "rt_sigaction", full, bind<sys_rt_sigaction>},
    { 14, "rt_sigprocmask", full, bind<sys_rt_sigprocmask>},
    { 15, "rt_sigreturn", full, bind<sys_rt_sigreturn>},
    { 16, "ioctl", partial, bind<sys_ioctl>, "terminals (TCGETS, window size; TCSETS changes nothing), FIONREAD, FIONBIO, FIOCLEX, FIOASYNC, FIOSETOWN, SIOCATMARK; what a socket tells of interfaces (SIOCGIF*); else ENOTTY"},
    { 17, "pread64", full, bind<sys_pread64>},
    { 18, "pwrite64", full, bind<sys_pwrite64>},
    { 19, "readv", full, bind<sys_readv>},
    { 20, "writev", full, bind<sys_writev>},
    { 21, "access", full, bind<sys_access>},
    { 22, "pipe", full, bind<sys_pipe>},
    { 23, "select", full, bind<sys_select>},
    { 24, "sched_yield", full, bind<sys_sched_yield>},
    { 25, "mremap", partial, bind<sys_mremap>, "a second view of shared anonymous memory (an old size of zero) is no longer than it"},
    { 26, "msync", full, bind<sys_msync>},
    { 27, "mincore", full, bind<sys_mincore>},
    { 28, "madvise", partial, bind<sys_madvise>, "DONTNEED, FREE, POPULATE, WIPEONFORK, KEEPONFORK, DONTFORK, DOFORK and REMOVE act, other advice is accepted and has no effect"},
    { 29, "shmget", refused, none, "ENOSYS: no System V IPC"},
    { 30, "shmat", refused, none, "ENOSYS: no System V IPC"},
    { 31, "shmctl", refused, none, "ENOSYS: no System V IPC"},
    { 32, "dup", full, bind<sys_dup>},
    { 33, "dup2", full, bind<sys_dup2>},
    { 34, "pause", full, bind<sys_pause>},
    { 35, "nanosleep", full, bind<sys_nanosleep>},
    { 36, "getitimer", full, bind<sys_getitimer>},
    { 37, "alarm", full, bind<sys_alarm>},
    { 38, "setitimer", partial, bind<sys_setitimer>, "ITIMER_VIRTUAL counts time in calls too, as ITIMER_PROF does"},
    { 39, "getpid", full, bind<sys_getpid>},
    { 40, "sendfile", full, bind<sys_sendfile>},
    { 41, "socket", partial, bind<sys_socket>, "AF_INET, AF_INET6 (TCP, UDP), AF_UNIX, and of AF_NETLINK what tells of interfaces, addresses and routes; no raw sockets (EPERM), no UDP-Lite, SCTP or MPTCP (EPROTONOSUPPORT)"},
    { 42, "connect", partial, bind<sys_connect>, "inside the guest, to services of this process, and outside where the function's network allows it (else EACCES; without one ENETUNREACH), from a port of the host's choice"},
    { 43, "accept", full, bind<sys_accept>},
    { 44, "sendto", partial, bind<sys_sendto>, "inside the guest and as connect; MSG_ZEROCOPY refused"},
    { 45, "recvfrom", partial, bind<sys_recvfrom>, "the error queue is always empty"},
    { 46, "sendmsg", partial, bind<sys_sendmsg>, "as sendto; ancillary data of SOL_SOCKET, and of IP hop limit and traffic class of datagrams, inside the guest"},
    { 47, "recvmsg", partial, bind<sys_recvmsg>, "as recvfrom; descriptors and credentials, and as sendmsg"},
    { 48, "shutdown", full, bind<sys_shutdown>},
    { 49, "bind", partial, bind<sys_bind>, "loopback and wildcard addresses, paths below writable directories, abstract names"},
    { 50, "listen", full, bind<sys_listen>},
    { 51, "getsockname", full, bind<sys_getsockname>},
    { 52, "getpeername", full, bind<sys_getpeername>},
    { 53, "socketpair", full, bind<sys_socketpair>},
    { 54, "setsockopt", partial, bind<sys_setsockopt>, "common options of SOL_SOCKET, TCP, IP and IPv6; of those about the wire, keep-alive and TCP's own act on sockets that lead out"},
    { 55, "getsockopt", partial, bind<sys_getsockopt>, "common options of SOL_SOCKET, TCP, IP and IPv6"},
    { 56, "clone", partial, bind<sys_clone>, "no namespaces (EPERM), no CLONE_PARENT, no CLONE_IO"},
    { 57, "fork", full, bind<sys_fork>},
    { 58, "vfork", full, bind<sys_vfork>},
    { 59, "execve", full, bind<sys_execve>},
    { 60, "exit", full, bind<sys_exit>},
    { 61, "wait4", partial, bind<sys_wait4>, "resource usage has CPU time and peak memory"},
    { 62, "kill", partial, bind<sys_kill>, "the guest's first process is not stopped"},
    { 63, "uname", full, bind<sys_uname>},
    { 64, "semget", refused, none, "ENOSYS: no System V IPC"},
    { 65, "semop", refused, none, "ENOSYS: no System V IPC"},
    { 66, "semctl", refused, none, "ENOSYS: no System V IPC"},
    { 67, "shmdt", refused, none, "ENOSYS: no System V IPC"},
    { 68, "msgget", refused, none, "ENOSYS: no System V IPC"},
    { 69, "msgsnd", refused, none, "ENOSYS: no System V IPC"},
    { 70, "msgrcv", refused, none, "ENOSYS: no System V IPC"},
    { 71, "msgctl", refused, none, "ENOSYS: no System V IPC"},
    { 72, "fcntl", partial, bind<sys_fcntl>, "no leases, no F_NOTIFY; O_ASYNC acts on pipes and sockets; of those that lead out, when they become ready"},
    { 73, "flock", full, bind<sys_flock>},
    { 74, "fsync", full, bind<sys_fsync>},
    { 75, "fdatasync", full, bind<sys_fsync>},
    { 76, "truncate", full, bind<sys_truncate>},
    { 77, "ftruncate", full, bind<sys_ftruncate>},
    { 78, "getdents", full, bind<sys_getdents>},
    { 79, "getcwd", full, bind<sys_getcwd>},
    { 80, "chdir", partial, bind<sys_chdir>, "a directory renamed while it is the working directory is lost"},
    { 81, "fchdir", partial, bind<sys_fchdir>, "a directory renamed while it is the working directory is lost"},
    { 82, "rename", full, bind<sys_rename>},
    { 83, "mkdir", full, bind<sys_mkdir>},
    { 84, "rmdir", full, bind<sys_rmdir>},
    { 85, "creat", full, bind<sys_creat>},
    { 86, "link", full, bind<sys_link>},
    { 87, "unlink", full, bind<sys_unlink>},
    { 88, "symlink", full, bind<sys_symlink>},
    { 89, "readlink", full, bind<sys_readlink>},
    { 90, "chmod", full, bind<sys_chmod>},
    { 91, "fchmod", full, bind<sys_fchmod>},
    { 92, "chown", full, bind<sys_chown>},
    { 93, "fchown", full, bind<sys_fchown>},
    { 94, "lchown", full, bind<sys_lchown>},
    { 95, "umask", full, bind<sys_umask>},
    { 96, "gettimeofday", full, bind<sys_gettimeofday>},
    { 97, "getrlimit", full, bind<sys_getrlimit>},
    { 98, "getrusage", partial, bind<sys_getrusage>, "CPU time and peak memory; other counters are 0"},
    { 99, "sysinfo", partial, bind<sys_sysinfo>, "loads are 0"},
    {100, "times", partial, bind<sys_times>, "all CPU time counts as user time"},
    {101, "ptrace", refused, bind<sys_ptrace>, "EPERM: no debugging inside a guest; hearth run --trace shows the calls"},
    {102, "getuid", full, bind<sys_getuid>},
    {103, "syslog", refused, refuse<EPERM>, "EPERM: no kernel log"},
    {104, "getgid", full, bind<sys_getgid>},
    {105, "setuid", partial, bind<sys_setuid>, "of the whole process: its threads have no ids of their own"},
    {106, "setgid", partial, bind<sys_setgid>, "of the whole process: its threads have no ids of their own"},
    {107, "geteuid", full, bind<sys_geteuid>},
    {108, "getegid", full, bind<sys_getegid>},
    {109, "setpgid", full, bind<sys_setpgid>},
    {110, "getppid", full, bind<sys_getppid>},
    {111, "getpgrp", full, bind<sys_getpgrp>},
    {112, "setsid", full, bind<sys_setsid>},
    {113, "setreuid", partial, bind<sys_setreuid>, "of the whole process: its threads have no ids of their own"},
    {114, "setregid", partial, bind<sys_setregid>, "of the whole process: its threads have no ids of their own"},
    {115, "getgroups", full, bind<sys_getgroups>},
    {116, "setgroups", partial, bind<sys_setgroups>, "of the whole process: its threads have no ids of their own"},
    {117, "setresuid", partial, bind<sys_setresuid>, "of the whole process: its threads have no ids of their own"},
    {118, "getresuid", full, bind<sys_getresuid>},
    {119, "setresgid", partial, bind<sys_setresgid>, "of the whole process: its threads have no ids of their own"},
    {120, "getresgid", full, bind<sys_getresgid>},
    {121, "getpgid", full, bind<sys_getpgid>},
    {122, "setfsuid", partial, bind<sys_setfsuid>, "of the whole process: its threads have no ids of their own"},
    {123, "setfsgid", partial, bind<sys_setfsgid>, "of the whole process: its threads have no ids of their own"},
    {124, "getsid", full, bind<sys_getsid>},
    {125, "capget", partial, bind<sys_capget>, "of the whole process; no capabilities of files"},
    {126, "capset", partial, bind<sys_capset>, "of the whole process; no capabilities of files"},
    {127, "rt_sigpending", full, bind<sys_rt_sigpending>},
    {128, "rt_sigtimedwait", full, bind<sys_rt_sigtimedwait>},
    {129, "rt_sigqueueinfo", full, bind<sys_rt_sigqueueinfo>},
    {130, "rt_sigsuspend", full, bind<sys_rt_sigsuspend>},
    {131, "sigaltstack", full, bind<sys_sigaltstack>},
    {132, "utime", full, bind<sys_utime>},
    {133, "mknod", partial, bind<sys_mknod>, "of devices, null, zero, full, random and urandom can be opened"},
    {134, "uselib", refused, none, "ENOSYS: as on x86-64 Linux"},
    {135, "personality", partial, bind<sys_personality>, "PER_LINUX only; flags are kept, not acted on"},
    {136, "ustat", refused, none, "ENOSYS: obsolete; statfs"},
    {137, "statfs", full, bind<sys_statfs>},
    {138, "fstatfs", full, bind<sys_fstatfs>},
    {139, "sysfs", refused, none, "ENOSYS: obsolete"},
    {140, "getpriority", full, bind<sys_getpriority>},
    {141, "setpriority", stub, bind<sys_setpriority>, "kept; the host decides how guests share its CPUs"},
    {142, "sched_setparam", partial, bind<sys_sched_setparam>, "SCHED_OTHER only"},
    {143, "sched_getparam", partial, bind<sys_sched_getparam>, "SCHED_OTHER only"},
    {144, "sched_setscheduler", partial, bind<sys_sched_setscheduler>, "SCHED_OTHER only: others EPERM"},
    {145, "sched_getscheduler", partial, bind<sys_sched_getscheduler>, "SCHED_OTHER only"},
    {146, "sched_get_priority_max", full, bind<sys_sched_get_priority_max>},
    {147, "sched_get_priority_min", full, bind<sys_sched_get_priority_min>},
    {148, "sched_rr_get_interval", full, bind<sys_sched_rr_get_interval>},
    {149, "mlock", stub, bind<sys_mlock>, "checks its range; guest memory is not swapped by the guest, pages come when touched"},
    {150, "munlock", stub, bind<sys_munlock>, "checks its range, as mlock"},
    {151, "mlockall", stub, bind<sys_mlockall>, "as mlock"},
    {152, "munlockall", stub, bind<sys_munlockall>, "as mlock"},
    {153, "vhangup", refused, refuse<EPERM>, "EPERM: no terminal to hang up"},
    {154, "modify_ldt", refused, none, "ENOSYS: no local descriptor table; 64-bit programs need none"},
    {155, "pivot_root", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {156, "_sysctl", refused, none, "ENOSYS: removed in Linux 5.5"},
    {157, "prctl", partial, bind<sys_prctl>, "names, signals of parents, subreapers, dumpable, capabilities, no_new_privs, timer slack; others EINVAL"},
    {158, "arch_prctl", partial, bind<sys_arch_prctl>, "ARCH_SET_CPUID: ENODEV; no permissions for AMX"},
    {159, "adjtimex", partial, bind<sys_adjtimex>, "reads; EPERM: the clock is the host's"},
    {160, "setrlimit", partial, bind<sys_setrlimit>, "raising a hard limit: EPERM; only RLIMIT_NOFILE and RLIMIT_CPU are enforced"},
    {161, "chroot", partial, bind<sys_chroot>, "a directory renamed while it is the root is lost"},
    {162, "sync", stub, bind<sys_sync>, "nothing here outlives the guest"},
    {163, "acct", refused, refuse<EPERM>, "EPERM: no process accounting"},
    {164, "settimeofday", partial, bind<sys_settimeofday>, "EPERM: the clock is the host's"},
    {165, "mount", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {166, "umount2", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {167, "swapon", refused, refuse<EPERM>, "EPERM: no swap"},
    {168, "swapoff", refused, refuse<EPERM>, "EPERM: no swap"},
    {169, "reboot", refused, refuse<EPERM>, "EPERM: the host decides when a guest ends"},
    {170, "sethostname", refused, refuse<EPERM>, "EPERM: the name is given from outside"},
    {171, "setdomainname", refused, refuse<EPERM>, "EPERM: the name is given from outside"},
    {172, "iopl", refused, refuse<EPERM>, "EPERM: no I/O ports"},
    {173, "ioperm", refused, refuse<EPERM>, "EPERM: no I/O ports"},
    {174, "create_module", refused, none, "ENOSYS: removed in Linux 2.6"},
    {175, "init_module", refused, refuse<EPERM>, "EPERM: no kernel modules"},
    {176, "delete_module", refused, refuse<EPERM>, "EPERM: no kernel modules"},
    {177, "get_kernel_syms", refused, none, "ENOSYS: removed in Linux 2.6"},
    {178, "query_module", refused, none, "ENOSYS: removed in Linux 2.6"},
    {179, "quotactl", refused, refuse<EPERM>, "EPERM: no quotas"},
    {180, "nfsservctl", refused, none, "ENOSYS: removed in Linux 3.1"},
    {181, "getpmsg", refused, none, "ENOSYS: never implemented in Linux"},
    {182, "putpmsg", refused, none, "ENOSYS: never implemented in Linux"},
    {183, "afs_syscall", refused, none, "ENOSYS: never implemented in Linux"},
    {184, "tuxcall", refused, none, "ENOSYS: never implemented in Linux"},
    {185, "security", refused, none, "ENOSYS: never implemented in Linux"},
    {186, "gettid", full, bind<sys_gettid>},
    {187, "readahead", stub, bind<sys_readahead>, "the host reads ahead"},
    {188, "setxattr", partial, bind<sys_setxattr>, "attributes user.* of files and directories in the writable trees"},
    {189, "lsetxattr", partial, bind<sys_lsetxattr>, "attributes user.* of files and directories in the writable trees"},
    {190, "fsetxattr", partial, bind<sys_fsetxattr>, "attributes user.* of files and directories in the writable trees"},
    {191, "getxattr", partial, bind<sys_getxattr>, "attributes user.* of files and directories in the writable trees"},
    {192, "lgetxattr", partial, bind<sys_lgetxattr>, "attributes user.* of files and directories in the writable trees"},
    {193, "fgetxattr", partial, bind<sys_fgetxattr>, "attributes user.* of files and directories in the writable trees"},
    {194, "listxattr", partial, bind<sys_listxattr>, "attributes user.* of files and directories in the writable trees"},
    {195, "llistxattr", partial, bind<sys_llistxattr>, "attributes user.* of files and directories in the writable trees"},
    {196, "flistxattr", partial, bind<sys_flistxattr>, "attributes user.* of files and directories in the writable trees"},
    {197, "removexattr", partial, bind<sys_removexattr>, "attributes user.* of files and directories in the writable trees"},
    {198, "lremovexattr", partial, bind<sys_lremovexattr>, "attributes user.* of files and directories in the writable trees"},
    {199, "fremovexattr", partial, bind<sys_fremovexattr>, "attributes user.* of files and directories in the writable trees"},
    {200, "tkill", partial, bind<sys_tkill>, "the guest's first process is not stopped"},
    {201, "time", full, bind<sys_time>},
    {202, "futex", partial, bind<sys_futex>, "priority inheritance: ENOSYS"},
    {203, "sched_setaffinity", stub, bind<sys_sched_setaffinity>, "one CPU: a mask with CPU 0 is accepted"},
    {204, "sched_getaffinity", full, bind<sys_sched_getaffinity>},
    {205, "set_thread_area", refused, none, "ENOSYS: 32-bit programs only"},
    {206, "io_setup", refused, none, "ENOSYS: no asynchronous I/O contexts"},
    {207, "io_destroy", refused, none, "ENOSYS: no asynchronous I/O contexts"},
    {208, "io_getevents", refused, none, "ENOSYS: no asynchronous I/O contexts"},
    {209, "io_submit", refused, none, "ENOSYS: no asynchronous I/O contexts"},
    {210, "io_cancel", refused, none, "ENOSYS: no asynchronous I/O contexts"},
    {211, "get_thread_area", refused, none, "ENOSYS: 32-bit programs only"},
    {212, "lookup_dcookie", refused, none, "ENOSYS: removed in Linux 6.6"},
    {213, "epoll_create", full, bind<sys_epoll_create>},
    {214, "epoll_ctl_old", refused, none, "ENOSYS: never implemented in Linux"},
    {215, "epoll_wait_old", refused, none, "ENOSYS: never implemented in Linux"},
    {216, "remap_file_pages", refused, none, "ENOSYS: obsolete; mmap"},
    {217, "getdents64", full, bind<sys_getdents64>},
    {218, "set_tid_address", full, bind<sys_set_tid_address>},
    {219, "restart_syscall", full, bind<sys_restart_syscall>},
    {220, "semtimedop", refused, none, "ENOSYS: no System V IPC"},
    {221, "fadvise64", stub, bind<sys_fadvise64>, "advice is checked and not needed"},
    {222, "timer_create", partial, bind<sys_timer_create>, "not on the alarm clocks"},
    {223, "timer_settime", full, bind<sys_timer_settime>},
    {224, "timer_gettime", full, bind<sys_timer_gettime>},
    {225, "timer_getoverrun", full, bind<sys_timer_getoverrun>},
    {226, "timer_delete", full, bind<sys_timer_delete>},
    {227, "clock_settime", partial, bind<sys_clock_settime>, "EPERM: the clock is the host's"},
    {228, "clock_gettime", full, bind<sys_clock_gettime>},
    {229, "clock_getres", full, bind<sys_clock_getres>},
    {230, "clock_nanosleep", full, bind<sys_clock_nanosleep>},
    {231, "exit_group", full, bind<sys_exit_group>},
    {232, "epoll_wait", partial, bind<sys_epoll_wait>, "edge-triggered reports may repeat after own reads and writes"},
    {233, "epoll_ctl", full, bind<sys_epoll_ctl>},
    {234, "tgkill", partial, bind<sys_tgkill>, "the guest's first process is not stopped"},
    {235, "utimes", full, bind<sys_utimes>},
    {236, "vserver", refused, none, "ENOSYS: never implemented in Linux"},
    {237, "mbind", refused, none, "ENOSYS: one memory node"},
    {238, "set_mempolicy", refused, none, "ENOSYS: one memory node"},
    {239, "get_mempolicy", refused, none, "ENOSYS: one memory node"},
    {240, "mq_open", refused, none, "ENOSYS: no POSIX message queues"},
    {241, "mq_unlink", refused, none, "ENOSYS: no POSIX message queues"},
    {242, "mq_timedsend", refused, none, "ENOSYS: no POSIX message queues"},
    {243, "mq_timedreceive", refused, none, "ENOSYS: no POSIX message queues"},
    {244, "mq_notify", refused, none, "ENOSYS: no POSIX message queues"},
    {245, "mq_getsetattr", refused, none, "ENOSYS: no POSIX message queues"},
    {246, "kexec_load", refused, refuse<EPERM>, "EPERM: no kernel to replace"},
    {247, "waitid", partial, bind<sys_waitid>, "resource usage has CPU time and peak memory"},
    {248, "add_key", refused, none, "ENOSYS: no kernel keyrings"},
    {249, "request_key", refused, none, "ENOSYS: no kernel keyrings"},
    {250, "keyctl", refused, none, "ENOSYS: no kernel keyrings"},
    {251, "ioprio_set", refused, none, "ENOSYS: the host schedules I/O"},
    {252, "ioprio_get", refused, none, "ENOSYS: the host schedules I/O"},
    {253, "inotify_init", refused, none, "ENOSYS: no file notification"},
    {254, "inotify_add_watch", refused, none, "ENOSYS: no file notification"},
    {255, "inotify_rm_watch", refused, none, "ENOSYS: no file notification"},
    {256, "migrate_pages", refused, none, "ENOSYS: one memory node"},
    {257, "openat", full, bind<sys_openat>},
    {258, "mkdirat", full, bind<sys_mkdirat>},
    {259, "mknodat", partial, bind<sys_mknodat>, "as mknod"},
    {260, "fchownat", full, bind<sys_fchownat>},
    {261, "futimesat", full, bind<sys_futimesat>},
    {262, "newfstatat", full, bind<sys_newfstatat>},
    {263, "unlinkat", full, bind<sys_unlinkat>},
    {264, "renameat", full, bind<sys_renameat>},
    {265, "linkat", full, bind<sys_linkat>},
    {266, "symlinkat", full, bind<sys_symlinkat>},
    {267, "readlinkat", full, bind<sys_readlinkat>},
    {268, "fchmodat", full, bind<sys_fchmodat>},
    {269, "faccessat", full, bind<sys_faccessat>},
    {270, "pselect6", full, bind<sys_pselect6>},
    {271, "ppoll", full, bind<sys_ppoll>},
    {272, "unshare", partial, bind<sys_unshare>, "descriptors (CLONE_FILES), working directory, root and umask (CLONE_FS); namespaces: EPERM"},
    {273, "set_robust_list", full, bind<sys_set_robust_list>},
    {274, "get_robust_list", full, bind<sys_get_robust_list>},
    {275, "splice", full, bind<sys_splice>},
    {276, "tee", full, bind<sys_tee>},
    {277, "sync_file_range", stub, bind<sys_sync_file_range>, "nothing here outlives the guest"},
    {278, "vmsplice", full, bind<sys_vmsplice>},
    {279, "move_pages", refused, none, "ENOSYS: one memory node"},
    {280, "utimensat", full, bind<sys_utimensat>},
    {281, "epoll_pwait", partial, bind<sys_epoll_pwait>, "edge-triggered reports may repeat after own reads and writes"},
    {282, "signalfd", full, bind<sys_signalfd>},
    {283, "timerfd_create", full, bind<sys_timerfd_create>},
    {284, "eventfd", full, bind<sys_eventfd>},
    {285, "fallocate", partial, bind<sys_fallocate>, "allocation and holes; no collapse, insert or zero range"},
    {286, "timerfd_settime", full, bind<sys_timerfd_settime>},
    {287, "timerfd_gettime", full, bind<sys_timerfd_gettime>},
    {288, "accept4", full, bind<sys_accept4>},
    {289, "signalfd4", full, bind<sys_signalfd4>},
    {290, "eventfd2", full, bind<sys_eventfd2>},
    {291, "epoll_create1", full, bind<sys_epoll_create1>},
    {292, "dup3", full, bind<sys_dup3>},
    {293, "pipe2", partial, bind<sys_pipe2>, "O_DIRECT is refused"},
    {294, "inotify_init1", refused, none, "ENOSYS: no file notification"},
    {295, "preadv", full, bind<sys_preadv>},
    {296, "pwritev", full, bind<sys_pwritev>},
    {297, "rt_tgsigqueueinfo", full, bind<sys_rt_tgsigqueueinfo>},
    {298, "perf_event_open", refused, none, "ENOSYS: no host counters in a guest"},
    {299, "recvmmsg", partial, bind<sys_recvmmsg>, "as recvmsg"},
    {300, "fanotify_init", refused, none, "ENOSYS: no file notification"},
    {301, "fanotify_mark", refused, none, "ENOSYS: no file notification"},
    {302, "prlimit64", partial, bind<sys_prlimit64>, "raising a hard limit: EPERM"},
    {303, "name_to_handle_at", refused, none, "ENOSYS: no file handles"},
    {304, "open_by_handle_at", refused, none, "ENOSYS: no file handles"},
    {305, "clock_adjtime", partial, bind<sys_clock_adjtime>, "reads; EPERM: the clock is the host's"},
    {306, "syncfs", stub, bind<sys_fsync>, "nothing here outlives the guest"},
    {307, "sendmmsg", partial, bind<sys_sendmmsg>, "as sendmsg"},
    {308, "setns", refused, refuse<EPERM>, "EPERM: no namespaces"},
    {309, "getcpu", full, bind<sys_getcpu>},
    {310, "process_vm_readv", full, bind<sys_process_vm_readv>},
    {311, "process_vm_writev", full, bind<sys_process_vm_writev>},
    {312, "kcmp", partial, bind<sys_kcmp>, "KCMP_EPOLL_TFD: EOPNOTSUPP"},
    {313, "finit_module", refused, refuse<EPERM>, "EPERM: no kernel modules"},
    {314, "sched_setattr", refused, none, "ENOSYS: SCHED_OTHER only; sched_setscheduler says so"},
    {315, "sched_getattr", refused, none, "ENOSYS: SCHED_OTHER only; sched_getscheduler says so"},
    {316, "renameat2", partial, bind<sys_renameat2>, "RENAME_WHITEOUT is refused"},
    {317, "seccomp", refused, none, "ENOSYS: no system-call filters inside a guest"},
    {318, "getrandom", full, bind<sys_getrandom>},
    {319, "memfd_create", partial, bind<sys_memfd_create>, "no huge pages"},
    {320, "kexec_file_load", refused, refuse<EPERM>, "EPERM: no kernel to replace"},
    {321, "bpf", refused, refuse<EPERM>, "EPERM: no BPF programs"},
    {322, "execveat", partial, bind<sys_execveat>, "AT_SYMLINK_NOFOLLOW is not acted on"},
    {323, "userfaultfd", refused, none, "ENOSYS: page faults are the host's"},
    {324, "membarrier", partial, bind<sys_membarrier>, "all tasks share a vCPU; the rseq commands are EINVAL"},
    {325, "mlock2", stub, bind<sys_mlock2>, "as mlock"},
    {326, "copy_file_range", full, bind<sys_copy_file_range>},
    {327, "preadv2", partial, bind<sys_preadv2>, "RWF_APPEND is refused"},
    {328, "pwritev2", partial, bind<sys_pwritev2>, "RWF_APPEND is refused"},
    {329, "pkey_mprotect", partial, bind<sys_pkey_mprotect>, "only key -1, which is mprotect: there are no protection keys"},
    {330, "pkey_alloc", refused, none, "ENOSYS: no protection keys"},
    {331, "pkey_free", refused, none, "ENOSYS: no protection keys"},
    {332, "statx", full, bind<sys_statx>},
    {333, "io_pgetevents", refused, none, "ENOSYS: no asynchronous I/O contexts"},
    {334, "rseq", refused, none, "ENOSYS: glibc and others go without"},
    {424, "pidfd_send_signal", full, bind<sys_pidfd_send_signal>},
    {425, "io_uring_setup", refused, none, "ENOSYS: no io_uring; as where it is disabled"},
    {426, "io_uring_enter", refused, none, "ENOSYS: no io_uring; as where it is disabled"},
    {427, "io_uring_register", refused, none, "ENOSYS: no io_uring; as where it is disabled"},
    {428, "open_tree", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {429, "move_mount", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {430, "fsopen", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {431, "fsconfig", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {432, "fsmount", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {433, "fspick", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {434, "pidfd_open", full, bind<sys_pidfd_open>},
    {435, "clone3", partial, bind<sys_clone3>, "as clone; no choosing of numbers, no cgroups"},
    {436, "close_range", full, bind<sys_close_range>},
    {437, "openat2", partial, bind<sys_openat2>, "RESOLVE_* are refused with EOPNOTSUPP"},
    {438, "pidfd_getfd", full, bind<sys_pidfd_getfd>},
    {439, "faccessat2", full, bind<sys_faccessat2>},
    {440, "process_madvise", refused, none, "ENOSYS: own memory only; madvise"},
    {441, "epoll_pwait2", partial, bind<sys_epoll_pwait2>, "edge-triggered reports may repeat after own reads and writes"},
    {442, "mount_setattr", refused, refuse<EPERM>, "EPERM: the tree is fixed"},
    {443, "quotactl_fd", refused, refuse<EPERM>, "EPERM: no quotas"},
    {444, "landlock_create_ruleset", refused, none, "ENOSYS: no Landlock inside a guest"},
    {445, "landlock_add_rule", refused, none, "ENOSYS: no Landlock inside a guest"},
    {446, "landlock_restrict_self", refused, none, "ENOSYS: no Landlock inside a guest"},
    {447, "memfd_secret", refused, none, "ENOSYS: no secret memory, as where it is disabled"},
    {448, "process_mrelease", refused, none, "ENOSYS: who ends gives its memory back"},
    {449, "futex_waitv", refused, none, "ENOSYS: futex"},
    {450, "set_mempolicy_home_node", refused, none, "ENOSYS: one memory node"},
};
// clang-format on

/// Ascending and so unique; a handler exactly where one is promised; a sentence unless full; names said.
constexpr bool well_formed(std::span<const syscall_row> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto& row = rows[i];
        if (i && row.number <= rows[i - 1].number) return false;
        if (row.name.empty() || row.number >= syscall_table::capacity) return false;
        if ((row.level == full) != row.note.empty()) return false;
        if (row.level != refused && !row.handler.bound) return false;
        if (row.level == refused && !row.handler.bound && !row.note.starts_with("ENOSYS")) return false;
    }
    return true;
}
static_assert(well_formed(table));

}  // namespace

syscall_table::syscall_table(std::span<const syscall_row> rows) {
    for (const auto& row : rows) replace(row);
}

void syscall_table::replace(const syscall_row& row) {
    if (row.number >= capacity) return;
    auto& at = index_[row.number];
    if (at == absent) {
        // Rows stay ascending: the later ones move up.
        std::size_t place = count_++;
        for (; place > 0 && rows_[place - 1].number > row.number; --place) {
            rows_[place] = rows_[place - 1];
            index_[rows_[place].number] = static_cast<std::uint16_t>(place);
        }
        at = static_cast<std::uint16_t>(place);
    }
    rows_[at] = row;
}

const syscall_table& default_table() {
    static const syscall_table instance = [] {
        syscall_table made{table};
        for (auto row : table) {
            row.since = introduced_in(row.number);
            made.replace(row);
        }
        return made;
    }();
    return instance;
}

}  // namespace hearth::guest
