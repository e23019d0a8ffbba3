/* A function whose init goes wrong; INIT says how. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    const char* how = getenv("INIT");
    if (!how) how = "";
    printf("about to %s\n", how);
    fflush(stdout);
    if (!strcmp(how, "exit")) return 7;
    if (!strcmp(how, "exit 0")) return 0;
    if (!strcmp(how, "segv")) *(volatile int*)16 = 1;
    if (!strcmp(how, "hang")) for (;;) pause();
    if (!strcmp(how, "spin")) for (;;) __asm__ volatile("" ::: "memory");
    if (!strcmp(how, "memory"))
        for (;;) memset(malloc(1 << 20), 1, 1 << 20);
    if (!strcmp(how, "error")) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9001)};
        inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr*)&a, sizeof a)) return 21;
        const char* body = "{\"errorMessage\":\"no such module\",\"errorType\":\"Import\"}";
        dprintf(s, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nLambda-Runtime-Function-Error-Type: "
                   "Runtime.ImportModuleError\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
        char b[1024];
        (void)!read(s, b, sizeof b);
        return 1;
    }
    if (!strcmp(how, "library")) {
        fprintf(stderr, "/var/task/bootstrap: error while loading shared libraries: libmissing.so.1: cannot open shared object file\n");
        return 127;
    }
    return 0;
}
