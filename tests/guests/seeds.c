/* A function that draws random bytes in its init, and keeps them or not: what all clones of its snapshot share.
 * Nothing here allocates: glibc's malloc would draw a key of its own. */
#define HEARTH_GUEST_ABI_ONLY
#include <hearth/guest.h>

#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

static _Alignas(4096) unsigned char kept[3 * 4096];
static char event[4096];

/* 64 bytes over the border of two pages. */
static unsigned char* const seed = kept + 2 * 4096 - 20;

int main(int argc, char** argv) {
    const char* how = argc > 1 ? argv[1] : "none";
    if (!strcmp(how, "keep")) {
        if (getrandom(seed, 64, 0) != 64) return 1;
    } else if (!strcmp(how, "urandom")) {
        const int fd = open("/dev/urandom", O_RDONLY);
        if (read(fd, seed, 64) != 64) return 1;
        close(fd);
    } else if (!strcmp(how, "bytewise")) {
        for (int i = 0; i < 64; ++i)
            if (getrandom(seed + i, 1, 0) != 1) return 1;
    } else if (!strcmp(how, "wipe")) {
        if (getrandom(seed, 64, 0) != 64) return 1;
        explicit_bzero(seed, 64);
    } else if (!strcmp(how, "short")) {
        if (getrandom(seed, 4, 0) != 4) return 1;
    } else if (!strcmp(how, "at_random")) {
        memcpy(seed, (void*)getauxval(AT_RANDOM), 16);
    } else if (!strcmp(how, "much")) {
        for (int i = 0; i < 256; ++i)
            if (getrandom(kept, 4096, 0) != 4096) return 1;
    } else if (!strcmp(how, "strew")) { /* as often as it fits, further than is reported */
        if (getrandom(seed, 8, 0) != 8) return 1;
        for (int i = 0; i + 16 <= (int)sizeof kept; i += 10)
            if (kept + i + 8 <= seed || kept + i >= seed + 8) memcpy(kept + i, seed, 8);
    }
    struct hearth_exchange x;
    memset(&x, 0, sizeof x);
    x.size = sizeof x;
    x.buffer = (uint64_t)(uintptr_t)event;
    x.capacity = sizeof event;
    for (;;) {
        if (syscall(HEARTH_SYS_EXCHANGE, &x) < 0) return 9;
        x.flags = HEARTH_EXCHANGE_REPLY;
        x.reply = (uint64_t)(uintptr_t)seed;
        x.reply_length = 64;
    }
}
