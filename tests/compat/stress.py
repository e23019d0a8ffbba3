#!/usr/bin/env python3
"""stress-ng's verifying stressors (--verify) with fixed numbers of operations, natively and under hearth run."""
import re
import shutil
import sys
import tempfile

import judge

# Name, bogo operations, further options.
STRESSORS = """
access 20 | alarm 3 | atomic 5 | bad-altstack 20 | branch 1000 | brk 2000 | bsearch 2 | chdir 20 --chdir-dirs 64 | chmod 20
chown 20 | clock 20 | clone 50 --clone-max 16 | context 10 | copy-file 1 --copy-file-bytes 128M | cpu 4 | crypt 2 | daemon 5
dekker 500 | dentry 64 --dentries 64 | dir 64 --dir-dirs 64 | dirdeep 200 --dirdeep-inodes 64 | dirmany 64
dup 50 | env 50 | epoll 10 | eventfd 500 | exec 4 | exit-group 5 | fallocate 3 --fallocate-bytes 4M | fault 100 | fcntl 50 | fifo 100
filename 100 | flock 50 | fork 50 | fp 2 | fp-error 20 | fstat 5 | full 20 | funccall 2 | futex 500 | get 2 | getdent 20
getrandom 20 | goto 20 | hash 2 | hdd 20 --hdd-bytes 8M | heapsort 1 --heapsort-size 8192 | hsearch 2 | icache 20
io 20 | iomix 20 --iomix-bytes 8M | itimer 50 | jpeg 1 | judy 1 --judy-size 8192 | kill 200 | link 1 | list 2 | locka 20
lockf 50 | lockofd 20 | longjmp 500 | lsearch 1 --lsearch-size 1024 | madvise 1 | malloc 500 | matrix 5 | membarrier 20 | memcpy 5 | memfd 3 --memfd-bytes 8M | memrate 2 --memrate-bytes 4M | mergesort 1 --mergesort-size 8192
mincore 20 | mknod 20 | mlock 20 | mmap 3 --mmap-bytes 4M | mmapaddr 50 | mmapmany 100 | mremap 5 --mremap-bytes 4M | msync 5 --msync-bytes 4M | munmap 2 | mutex 200 | nanosleep 10 | nop 5
null 100 | open 50 | pageswap 20 | personality 5 | pidfd 20 | peterson 500 | pipe 500 | poll 50 | procfs 2
prefetch 2 | pthread 100 --pthread-max 16 | qsort 1 --qsort-size 8192 | radixsort 1 --radixsort-size 8192 | randlist 2
readahead 5 --readahead-bytes 8M | regs 20 | remap 5 | rename 50 | resources 1 | ring-pipe 200 | rotate 20 | rseq 20
seal 20 | seek 50 --seek-size 4M | sendfile 10 --sendfile-size 64K | session 5 | set 5 | shellsort 1 --shellsort-size 8192
shm 2 --shm-bytes 1M --shm-objs 4 | sigabrt 5 | sigchld 20 | sigfd 50 | sigfpe 50 | signal 200 | signest 5 | sigpending 200
sigpipe 20 | sigq 100 | sigrt 50 | sigsegv 50 | sigsuspend 50 | sigtrap 50 | skiplist 2 --skiplist-size 1024 | sleep 20 --sleep-max 16
sock 20 | sockfd 20 | sockpair 50 | spawn 5 | splice 50 | stack 5 | str 5 | switch 500 | sysbadaddr 50 | sysinfo 20
tee 20 | timer 20 | timerfd 20 | touch 50 | tree 1 --tree-size 2048 | tsc 10 | tsearch 1 --tsearch-size 2048 | udp 20
urandom 20 | utime 50 | vdso 500 | vecmath 5 | vfork 50 | vm 20 --vm-bytes 4M | vm-splice 50 | vm-rw 2 --vm-rw-bytes 1M
vm-segv 5 | wait 2 | wcs 5 | xattr 2 | zero 50 | zlib 1 | zombie 20
"""
QUICK = "brk pipe mutex fork signal sigsegv mremap rename eventfd".split()


def table():
    rows = {}
    for row in STRESSORS.replace("\n", " | ").split(" | "):
        if row.strip():
            name, operations, *more = row.split()
            rows[name] = [f"--{name}", "1", f"--{name}-ops", operations, *more]
    return rows


def result(status, output, seconds, limit):
    wrong = re.findall(r"fail: +\[\d+\] (.*)", output)
    if re.search(r"stressor will be skipped|skipping stressor|unimplemented on|skipped stressor", output) or status == 3:
        return judge.Outcome("skipped", "stress-ng skips it", seconds)
    if status is None or seconds >= limit:  # stress-ng calls it a success when its own limit ends it
        return judge.Outcome("failed", "over the time", seconds)
    if status == 0 and not wrong:  # a worker's failed check does not always reach the exit status
        return judge.Outcome("passed", "", seconds)
    return judge.Outcome("failed", f"exit status {status}: {wrong[0] if wrong else output.strip()[-120:]}", seconds)


def main():
    options = judge.arguments(__doc__, 60)
    if not shutil.which("stress-ng"):
        sys.exit("Missing: apt-get install stress-ng")
    rows = table()
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}

    def command(name, work):
        # Its own limit ends it by itself, so that an unlucky one leaves nothing behind.
        return ["/usr/bin/stress-ng", "--verify", "--timeout", str(int(options.timeout)), "--temp-path", work, *rows[name]]

    def natively(name):
        with tempfile.TemporaryDirectory() as work:
            ran = judge.run([*judge.LIMITS, *command(name, work)], options.timeout + 15, work, environment)
        judge.keep(options, f"stress-{name}", "native", ran[1])
        return result(*ran, options.timeout)

    def guest(name):
        ran = judge.run([options.hearth, "run", "--memory", "1G", "--", *command(name, "/tmp")], options.timeout + 15, "/",
                        environment)
        judge.keep(options, f"stress-{name}", "guest", ran[1])
        return result(*ran, options.timeout)

    subjects = options.subjects or (QUICK if options.quick else list(rows))
    sys.exit(0 if judge.compare("stress-ng", "stress-ng --verify", subjects, options, natively, guest) else 1)


main()
