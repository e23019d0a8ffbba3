/* mprotect and mmap rights, tried with a handler: what may be read, written, run. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static sigjmp_buf back;
static void fault(int s) { siglongjmp(back, s); }
static const char* try_read(volatile char* p) { return sigsetjmp(back, 1) ? "no" : ((void)*p, "yes"); }
static const char* try_write(volatile char* p) { return sigsetjmp(back, 1) ? "no" : ((void)(*p = (char)0xc3), "yes"); }
static const char* try_run(void* p) { return sigsetjmp(back, 1) ? "no" : (((void (*)(void))p)(), "yes"); }
int main(void) {
    signal(SIGSEGV, fault);
    char* p = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 0xc3, 3 * 4096);
    static const int rights[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
                                 PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE};
    for (unsigned i = 0; i < sizeof rights / sizeof *rights; ++i) {
        mprotect(p + 4096, 4096, rights[i]);
        printf("%d: read %s", rights[i], try_read(p + 4096));
        printf(" write %s", try_write(p + 4096));
        printf(" run %s\n", try_run(p + 4096));
    }
    printf("neighbours %s %s\n", try_write(p), try_write(p + 8192));
    munmap(p + 4096, 4096);
    printf("hole %s, sides %s %s\n", try_read(p + 4096), try_read(p), try_read(p + 8192));
    return 0;
}
