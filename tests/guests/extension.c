/* An external extension on plain sockets. It is named as its file is; BEHAVE says what it does, by
   "NAME=what;": "mute" (never registers), "misnamed", "die" (before it registers), "late"
   (registers after a while), "ponder" (before it asks for its first event), "init error",
   "internal" (registers one more as an internal extension), "cold" (asks for no events); at an
   invocation "slow", "crash", "exit error" and "endless"; at SHUTDOWN "deaf" and "last" (takes its
   time). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char text[8192];
static char* body;

static int dial(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9001)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr*)&a, sizeof a)) exit(21);
    return s;
}

/* Sends a request; @return the status of the answer, which is in text and body. */
static int ask(int s, const char* line, const char* headers, const char* content) {
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", line, headers,
                     strlen(content), content);
    if (send(s, request, (size_t)n, MSG_NOSIGNAL) != n) exit(22);
    size_t have = 0;
    for (;;) {
        ssize_t k = recv(s, text + have, sizeof text - 1 - have, 0);
        if (k <= 0) exit(23);
        have += (size_t)k;
        text[have] = 0;
        char* end = strstr(text, "\r\n\r\n");
        char* length = strcasestr(text, "content-length:");
        if (end && length && have >= (size_t)(end + 4 - text) + strtoul(length + 15, 0, 10)) {
            *end = 0;
            body = end + 4;
            return atoi(text + 9);
        }
    }
}

static const char* name;

static int does(const char* what) {
    const char* all = getenv("BEHAVE");
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s=%s;", name, what);
    return all && strstr(all, wanted) != 0;
}

/* One line in the log at once, however many write. */
static void say(const char* what, const char* more) {
    char line[1024];
    int n = snprintf(line, sizeof line, "%s: %s %s\n", name, what, more);
    (void)!write(1, line, (size_t)n);
}

static void nap(long ms) {
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, 0);
}

static void enroll(int s, const char* as, const char* events, char* identifier) {
    char headers[256];
    snprintf(headers, sizeof headers,
             "Lambda-Extension-Name: %s\r\nLambda-Extension-Accept-Feature: accountId\r\n", as);
    int status = ask(s, "POST /2020-01-01/extension/register", headers, events);
    if (status != 200) {
        say("refused", body);
        return;
    }
    char* p = strcasestr(text, "Lambda-Extension-Identifier: ");
    if (!p || sscanf(p + 29, "%63[^\r]", identifier) != 1) exit(24);
    say("registered", body);
}

int main(int argc, char** argv) {
    (void)argc;
    name = strrchr(argv[0], '/') + 1;
    char identifier[64] = "", headers[192], count[32];
    if (does("die")) return 7;
    if (does("mute")) pause();
    int s = dial();
    if (does("late")) {
        nap(50);
        say("enrolls", "");
    }
    enroll(s, does("misnamed") ? "somebody" : name,
           does("cold")       ? "{\"events\":[]}"
           : does("misnamed") ? "{\"events\":[\"INVOKE\"]}"
                              : "{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}",
           identifier);
    snprintf(headers, sizeof headers, "Lambda-Extension-Identifier: %s\r\n", identifier);
    char failing[256];
    snprintf(failing, sizeof failing, "%sLambda-Extension-Function-Error-Type: Test.Asked\r\n",
             headers);
    ask(s, "PUT /2022-07-01/telemetry", headers, "{}");
    say("telemetry", body);
    if (does("internal")) {
        char other[64] = "";
        enroll(s, "inner", "{\"events\":[\"SHUTDOWN\"]}", other);
        enroll(s, "inner", "{\"events\":[\"INVOKE\"]}", other);
        enroll(s, "inner", "{\"events\":[\"INVOKE\"]}", other);
        if (fork() == 0) {
            int t = dial();
            char inner[192];
            snprintf(inner, sizeof inner, "Lambda-Extension-Identifier: %s\r\n", other);
            for (;;) {
                ask(t, "GET /2020-01-01/extension/event/next", inner, "");
                say("inner event", strstr(body, "INVOKE") ? "INVOKE" : "other");
            }
        }
    }
    if (does("init error")) {
        ask(s, "POST /2020-01-01/extension/init/error", failing, "{}");
        pause();
    }
    if (does("ponder")) {
        nap(50);
        say("pondered", "");
    }
    for (int n = 0;;) {
        if (ask(s, "GET /2020-01-01/extension/event/next", headers, "") != 200) exit(25);
        if (strstr(body, "\"SHUTDOWN\"")) {
            say("event", body);
            if (does("deaf")) pause();
            if (does("last")) nap(100);
            say("leaves", "");
            return 0;
        }
        say("event", body);
        if (does("slow")) nap(300);
        if (does("crash")) return 9;
        if (does("exit error")) {
            ask(s, "POST /2020-01-01/extension/exit/error", failing, "{}");
            pause();
        }
        if (does("endless")) pause();
        snprintf(count, sizeof count, "%d", ++n);
        say("done", count);
    }
}
