/* epoll_wait with room for fewer events than there are: level-triggered descriptors take turns. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { count = 7 };
static int set, fds[count];

static void take(int most) {
    struct epoll_event e[count];
    int n = epoll_wait(set, e, most, 0);
    printf("%d of %d:", n, most);
    for (int i = 0; i < n; i++) printf(" %u", e[i].data.u32);
    putchar('\n');
}

int main(void) {
    set = epoll_create1(0);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = eventfd(1, EFD_NONBLOCK);
        struct epoll_event e = {EPOLLIN, {.u32 = i}};
        if (epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &e)) return 1;
    }
    for (int i = 0; i < 8; i++) take(1);
    for (int i = 0; i < 8; i++) take(3);
    take(count);
    take(2);
    /* One that is not ready has no turn, one that is gone is not missed. */
    eventfd_t value;
    eventfd_read(fds[4], &value);
    for (int i = 0; i < 5; i++) take(2);
    epoll_ctl(set, EPOLL_CTL_DEL, fds[0], NULL);
    for (int i = 0; i < 5; i++) take(2);
    take(count);
    return 0;
}
