/* A child that computes for ever: "quiet" without a system call, "calling" with nothing else. */
#ifndef SPINNER_H
#define SPINNER_H
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int start_spinner(const char* how) {
    const pid_t child = fork();
    if (child != 0) return child > 0;
    const int calling = !strncmp(how, "calling", 7);
    for (;;) {
        if (calling) syscall(SYS_getpgrp);
        __asm__ volatile("" ::: "memory");
    }
}

#endif
