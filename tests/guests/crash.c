/* Ends as asked: segv, abort, ill, fpe, exec (a jump into data), null (a call of 0), stack, text, exit N. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char data[64] = {(char)0xc3};
static int recurse(volatile char* p) {
    volatile char frame[4096];
    frame[0] = *p;
    return recurse(frame) + frame[1];
}
int main(int argc, char** argv) {
    const char* how = argc > 1 ? argv[1] : "segv";
    printf("before\n");
    fflush(stdout);
    if (!strcmp(how, "segv")) *(volatile int*)16 = 1;
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "ill")) __asm__ volatile("ud2");
    if (!strcmp(how, "fpe")) { volatile int z = 0; return 100 / z; }
    if (!strcmp(how, "exec")) ((void (*)(void))(void*)data)();
    if (!strcmp(how, "null")) { void (*volatile f)(void) = 0; f(); }
    if (!strcmp(how, "stack")) { char c = 0; return recurse(&c); }
    if (!strcmp(how, "text")) *(volatile char*)(void*)&main = 1;
    if (!strcmp(how, "hlt")) __asm__ volatile("hlt");
    if (!strcmp(how, "noncanonical")) *(volatile int*)0x8000000000000000ull = 1;
    if (!strcmp(how, "kernel")) *(volatile int*)0xffff800000000000ull = 1;
    if (!strcmp(how, "stub")) *(volatile int*)0x7fffffe04000ull = 1;
    if (!strcmp(how, "kill")) raise(SIGKILL);
    if (!strcmp(how, "exit")) exit(atoi(argv[2]));
    printf("still here\n");
    return 0;
}
