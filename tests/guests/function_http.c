/* A function on plain sockets: the Runtime API by hand. The event says what to do. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "spinner.h"

static char* body;   /* of the last answer */
static size_t body_length;
static char head[16384];
static char id[128];
static int count;
static const char* close_header = "";

static int dial(void) {
    const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
    char host[64];
    int port = 80;
    if (!api || sscanf(api, "%63[^:]:%d", host, &port) != 2) exit(20);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr*)&a, sizeof a)) {
        perror("connect");
        exit(21);
    }
    return s;
}

static void send_all(int s, const char* p, size_t n) {
    while (n) {
        ssize_t k = send(s, p, n, MSG_NOSIGNAL);
        if (k <= 0) {
            perror("send");
            exit(22);
        }
        p += k;
        n -= (size_t)k;
    }
}

/* Reads an answer; returns its status. */
static int answer(int s) {
    size_t have = 0;
    char* end;
    for (;;) {
        ssize_t k = recv(s, head + have, sizeof head - 1 - have, 0);
        if (k <= 0) {
            perror("recv");
            exit(23);
        }
        have += (size_t)k;
        head[have] = 0;
        if ((end = strstr(head, "\r\n\r\n"))) break;
    }
    size_t extra = have - (size_t)(end + 4 - head);
    *end = 0;
    char* length = strcasestr(head, "content-length:");
    body_length = length ? strtoul(length + 15, 0, 10) : 0;
    body = realloc(body, body_length + 1);
    memcpy(body, end + 4, extra);
    for (size_t got = extra; got < body_length;) {
        ssize_t k = recv(s, body + got, body_length - got, 0);
        if (k <= 0) exit(24);
        got += (size_t)k;
    }
    body[body_length] = 0;
    return atoi(head + 9);
}

static void next(int s) {
    char request[256];
    int n = snprintf(request, sizeof request, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n%s\r\n", close_header);
    send_all(s, request, (size_t)n);
    if (answer(s) != 200) exit(25);
    char* p = strcasestr(head, "Lambda-Runtime-Aws-Request-Id: ");
    if (!p || sscanf(p + 31, "%127[^\r]", id) != 1) exit(26);
}

static int post(int s, const char* what, const char* extra, const char* p, size_t n) {
    char request[512];
    int k = snprintf(request, sizeof request,
                     "POST /2018-06-01/runtime/invocation/%s/%s HTTP/1.1\r\nHost: x\r\n%s%sContent-Length: %zu\r\n\r\n",
                     id, what, extra, close_header, n);
    send_all(s, request, (size_t)k);
    send_all(s, p, n);
    return answer(s);
}

static int post_chunked(int s, const char* p, size_t n) {
    char request[512];
    int k = snprintf(request, sizeof request,
                     "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                     "chunked\r\n\r\n", id);
    send_all(s, request, (size_t)k);
    for (size_t at = 0; at < n;) {
        size_t piece = n - at < 5 ? n - at : 5;
        k = snprintf(request, sizeof request, "%zx\r\n", piece);
        send_all(s, request, (size_t)k);
        send_all(s, p + at, piece);
        send_all(s, "\r\n", 2);
        at += piece;
    }
    send_all(s, "0\r\n\r\n", 5);
    return answer(s);
}

/* Response streaming. how: a number of KiB, every byte of the n-th 'a' + n % 26; "slow"; "late": the trailer says it
   failed; "exit". */
static int post_streaming(int s, const char* how) {
    char request[512];
    int k = snprintf(request, sizeof request,
                     "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                     "chunked\r\nContent-Type: text/x-parts\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
                     "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n",
                     id);
    send_all(s, request, (size_t)k);
    char chunk[6 + 1024 + 2];
    memcpy(chunk, "400\r\n", 5);
    memcpy(chunk + 5 + 1024, "\r\n", 2);
    for (int i = 0, n = atoi(how); i < n; ++i) {
        memset(chunk + 5, 'a' + i % 26, 1024);
        send_all(s, chunk, 5 + 1024 + 2);
    }
    if (!strncmp(how, "slow", 4))
        for (int i = 0; i < 3; ++i) {
            send_all(s, "7\r\npart 1\n\r\n", 12);
            usleep(20000);
        }
    if (!strncmp(how, "late", 4)) {
        static const char failed[] = "4\r\npart\r\n0\r\nLambda-Runtime-Function-Error-Type: Late\r\n"
                                     "Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJMYXRlIn0=\r\n\r\n";
        send_all(s, failed, sizeof failed - 1);
        return answer(s);
    }
    if (!strncmp(how, "exit", 4)) {
        send_all(s, "4\r\npart\r\n", 9);
        usleep(1000);
        exit(6);
    }
    send_all(s, "0\r\n\r\n", 5);
    return answer(s);
}

static void recurse(volatile char* p) {
    volatile char frame[4096];
    frame[0] = *p;
    recurse(frame);
}

/* SnapStart's hooks: HOOKS says how those after the restore end. */
static unsigned seed;
static void wait_for_restore(int s, const char* how) {
    static const char request[] = "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n\r\n";
    send_all(s, request, sizeof request - 1);
    if (answer(s) != 200) exit(27);
    printf("hooks\n");
    if (!strcmp(how, "sleep")) usleep(50000);
    if (!strcmp(how, "exit")) exit(28);
    if (!strcmp(how, "segv")) *(volatile int*)16 = 1;
    if (!strcmp(how, "spin")) for (;;) __asm__ volatile("" ::: "memory");
    if (!strcmp(how, "hang")) for (;;) pause();
    if (!strcmp(how, "fail")) {
        static const char failed[] =
            "POST /2018-06-01/runtime/restore/error HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n"
            "Lambda-Runtime-Function-Error-Type: Runtime.HookFailed\r\n\r\n"
            "{\"errorMessage\":\"as asked\",\"errorType\":\"Runtime.HookFailed\"}";
        send_all(s, failed, sizeof failed - 1);
        answer(s);
        pause();
    }
    FILE* random = fopen("/dev/urandom", "r");
    if (!random || fread(&seed, sizeof seed, 1, random) != 1) exit(29);
    fclose(random);
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    printf("init\n");
    if (getenv("SPIN")) start_spinner(getenv("SPIN"));
    int s = dial();
    if (getenv("HOOKS")) wait_for_restore(s, getenv("HOOKS"));
    for (;;) {
        next(s);
        char* event = strdup(body);
        size_t n = body_length;
        const char* reply = event;
        char text[512];
        int status = 0;
        if (!strcmp(event, "\"count\"")) {
            snprintf(text, sizeof text, "%d", ++count);
            reply = text, n = strlen(text);
        } else if (!strncmp(event, "\"spin ", 6)) {
            n = (size_t)snprintf(text, sizeof text, "%d", start_spinner(event + 6));
            reply = text;
        } else if (!strcmp(event, "\"seed\"")) {
            snprintf(text, sizeof text, "%u", seed);
            reply = text, n = strlen(text);
        } else if (!strcmp(event, "\"fail\"")) {
            reply = "{\"errorMessage\":\"as asked\",\"errorType\":\"Asked\"}";
            status = post(s, "error", "Lambda-Runtime-Function-Error-Type: Asked\r\n", reply, strlen(reply));
            free(event);
            continue;
        } else if (!strcmp(event, "\"chunked\"")) {
            status = post_chunked(s, event, n);
            printf("chunked %d\n", status);
            free(event);
            continue;
        } else if (!strncmp(event, "\"stream ", 8)) {
            printf("stream %d\n", post_streaming(s, event + 8));
            free(event);
            continue;
        } else if (strstr(event, "\"rawPath\":\"/stream/")) { /* by a function URL */
            printf("stream %d\n", post_streaming(s, strstr(event, "/stream/") + 8));
            free(event);
            continue;
        } else if (!strcmp(event, "\"too large\"")) {
            char* big = malloc(7 << 20);
            memset(big, 'x', 7 << 20);
            printf("too large %d\n", post(s, "response", "", big, 7 << 20));
            free(big);
            continue;
        } else if (!strcmp(event, "\"twice\"")) {
            int a = post(s, "response", "", "1", 1), b = post(s, "response", "", "2", 1);
            printf("twice %d %d\n", a, b);
            continue;
        } else if (!strcmp(event, "\"wrong id\"")) {
            char kept[128];
            strcpy(kept, id);
            strcpy(id, "nobody");
            int a = post(s, "response", "", "1", 1);
            strcpy(id, kept);
            printf("wrong id %d\n", a);
        } else if (!strcmp(event, "\"close\"")) {
            close(s);
            s = dial();
        } else if (!strcmp(event, "\"second connection\"")) {
            int other = dial();
            post(other, "response", "", "other", 5);
            close(other);
            continue;
        } else if (!strcmp(event, "\"segv\"")) {
            *(volatile int*)16 = 1;
        } else if (!strcmp(event, "\"stack\"")) {
            char c = 0;
            recurse(&c);
        } else if (!strcmp(event, "\"exit\"")) {
            fprintf(stderr, "leaving\n");
            exit(3);
        } else if (!strcmp(event, "\"exit 0\"")) {
            exit(0);
        } else if (!strcmp(event, "\"abort\"")) {
            abort();
        } else if (!strcmp(event, "\"loop\"")) {
            for (;;) __asm__ volatile("" ::: "memory");
        } else if (!strcmp(event, "\"sleep\"")) {
            sleep(1000);
        } else if (!strcmp(event, "\"nap\"")) {
            struct timespec nap = {0, 200000000};
            nanosleep(&nap, 0);
        } else if (!strcmp(event, "\"memory\"")) {
            for (;;) {
                char* p = malloc(1 << 20);
                if (p) memset(p, 1, 1 << 20);
            }
        } else if (!strcmp(event, "\"flood\"")) {
            char line[1024];
            memset(line, 'f', sizeof line);
            line[sizeof line - 1] = '\n';
            for (int i = 0; i < 20000; ++i) (void)!write(1, line, sizeof line);
        } else if (!strcmp(event, "\"flood forever\"")) {
            char line[65536];
            memset(line, 'F', sizeof line);
            for (;;) (void)!write(1, line, sizeof line);
        } else if (!strcmp(event, "\"fork\"")) {
            errno = 0;
            pid_t child = fork();
            if (child == 0) _exit(0);
            snprintf(text, sizeof text, "%d %s", child > 0, child > 0 ? "" : strerror(errno));
            reply = text, n = strlen(text);
        } else if (!strcmp(event, "\"close all\"")) {
            for (int fd = 0; fd < 1100; ++fd) close(fd);
            s = dial();
            n = strlen(event);
        } else if (!strcmp(event, "\"wild\"")) {
            /* Wild pointers and numbers to every system call but those that would end or park us. */
            static const long wild[] = {0, 1, -1, 0x1000, 0x7fffffffffffffff, (long)0x8000000000000000ull,
                                        0x7ffffffff000, 0x7fffffe00000, (long)0xffffffff80000000ull, 4096 * 1024};
            unsigned seed = 1;
            int calls = 0;
            for (long number = 0; number < 470; ++number) {
                switch (number) {
                    case 15: case 34: case 60: case 61: case 62: case 130: case 200: case 231: case 234: case 247:
                    case 128: case 219: case 3: case 436: case 11: case 10: case 9: case 25: case 12: case 13: case 14:
                    case 37: case 38: case 131: case 158: case 202: case 5: case 7: case 23: case 35: case 230:
                    case 232: case 270: case 271: case 281: case 441: case 33: case 292: case 57: case 58: case 56:
                    case 435: case 59: case 322: case 222: case 223: case 226: case 218: case 80: case 81: case 161: continue;
                }
                for (int i = 0; i < 12; ++i) {
                    long a[6];
                    for (int k = 0; k < 6; ++k) {
                        seed = seed * 1664525u + 1013904223u;
                        a[k] = wild[(seed >> 16) % (sizeof wild / sizeof *wild)];
                    }
                    if (a[0] == 0 || a[0] == 1) a[0] = -1; /* not our own streams */
                    syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
                    ++calls;
                }
            }
            snprintf(text, sizeof text, "survived %d", calls > 0);
            reply = text, n = strlen(text);
        } else if (!strcmp(event, "\"after\"")) {
            /* Works on after the response. */
            post(s, "response", "", "done", 4);
            struct timespec nap = {0, 50000000};
            nanosleep(&nap, 0);
            printf("afterwards\n");
            continue;
        } else if (!strcmp(event, "\"after exit\"")) {
            post(s, "response", "", "done", 4);
            exit(5);
        } else if (!strcmp(event, "\"tmp\"")) {
            struct stat st;
            int there = stat("/tmp/kept", &st) == 0;
            FILE* f = fopen("/tmp/kept", "a");
            if (f) fputs("x", f), fclose(f);
            snprintf(text, sizeof text, "%d %ld", there, there ? (long)st.st_size : 0l);
            reply = text, n = strlen(text);
        } else if (!strcmp(event, "\"garbage\"")) {
            int other = dial();
            send_all(other, "\x16\x03\x01 nonsense\r\n\r\n", 16);
            printf("garbage %d\n", answer(other));
            close(other);
        } else if (!strcmp(event, "\"env\"")) {
            reply = getenv("STAGE");
            if (!reply) reply = "none";
            n = strlen(reply);
            for (char* const* e = environ; *e; ++e) puts(*e);
        } else if (!strcmp(event, "\"close header\"")) {
            close_header = "Connection: close\r\n";
            post(s, "response", "", "closing", 7);
            close(s);
            close_header = "";
            s = dial();
            continue;
        }
        status = post(s, "response", "", reply, n);
        if (status != 202) printf("unexpected %d\n", status);
        free(event);
    }
}
