/*
 * Hearth's guest SDK: a Lambda function in C (or C++, or whatever can include C), in one header.
 *
 *     #include <hearth/guest.h>
 *
 *     static int handle(struct hearth_session* h, const struct hearth_event* event, void* user) {
 *         return hearth_reply(h, event->payload, event->length);
 *     }
 *     int main(void) { return hearth_run(handle, 0); }
 *
 * In a Hearth microVM an invocation is one exit: a private system call hands over the reply and takes the next
 * event. The same program runs on AWS Lambda and wherever the Runtime API 2018-06-01 is: that call does not
 * exist there (ENOSYS), and the SDK speaks HTTP to AWS_LAMBDA_RUNTIME_API instead.
 *
 * C11 or C++11, Linux on x86-64 (elsewhere HTTP only). One thread per `struct hearth_session`. Functions return 0, or
 * a negative errno. Define HEARTH_GUEST_ABI_ONLY for the system call's structure and constants alone: that
 * part includes only <stdint.h> and stands in freestanding programs.
 */
#ifndef HEARTH_GUEST_H
#define HEARTH_GUEST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the system call ------------------------------------------------------------------------------------ */

/* "HEAR". One argument, a pointer to struct hearth_exchange. */
#define HEARTH_SYS_EXCHANGE 0x48454152L

/* Largest reply. Lambda refuses more with 413 RequestEntityTooLarge; the system call with E2BIG. */
#define HEARTH_REPLY_LIMIT 6291556u

#define HEARTH_EXCHANGE_REPLY 1u    /* in: reply, reply_length answer the last event */
#define HEARTH_EXCHANGE_FAILED 2u   /* in, with REPLY: the reply is an error document */
#define HEARTH_EXCHANGE_RESTORED 4u /* out: the first event since this environment came from a snapshot */

/*
 * Takes the next event, after giving the reply to the last one if flags say so. Waits until there is one.
 *
 * Returns the payload's length. The buffer holds the payload, a zero byte, the client context (empty without
 * one) and a zero byte. Once the reply is taken `flags` is cleared in place, so that the call may be made
 * again as it is; with an event they may say RESTORED, which the next call ignores.
 *
 * RESTORED: many environments start from one snapshot of an initialised function, so what it drew, counted or
 * connected before this event is the same in all of them. Random generators of its own are to be seeded anew;
 * getrandom(2), /dev/urandom and the clocks are renewed already.
 *
 * ENOBUFS   the buffer is too small: `needed` says how large. The event stays; call again.
 * E2BIG     the reply is over HEARTH_REPLY_LIMIT. It was not taken; give another.
 * EBUSY     the last event has no reply yet.
 * EINVAL    a reply without an event, an unknown flag, or a size that is not this structure's.
 * EFAULT    a pointer leads nowhere.
 * ENOSYS    not a Hearth microVM.
 */
struct hearth_exchange {
    uint32_t size;  /* in: sizeof(struct hearth_exchange); a later version is larger */
    uint32_t flags; /* in: HEARTH_EXCHANGE_*; cleared when the reply is taken. out, with an event: RESTORED or 0 */
    uint64_t reply; /* in: address and length of the reply */
    uint64_t reply_length;
    uint64_t buffer; /* in: address and size of the buffer for the event */
    uint64_t capacity;
    /* out, all of them when an event was taken; of an ENOBUFS only `needed` */
    uint64_t needed;
    uint64_t event_length;
    uint64_t client_context; /* its offset in the buffer */
    uint64_t client_context_length;
    int64_t deadline_ms; /* since the epoch */
    char request_id[64]; /* these are zero-terminated, cut if need be */
    char trace_id[256];
    char function_arn[256];
};

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_GUEST_H */

#if !defined(HEARTH_GUEST_ABI_ONLY) && !defined(HEARTH_GUEST_SDK)
#define HEARTH_GUEST_SDK

/* ---- the friendly part ---------------------------------------------------------------------------------- */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hearth_event {
    const char* payload; /* followed by a zero byte, which `length` does not count */
    size_t length;
    const char* request_id;
    const char* function_arn;
    const char* trace_id;
    const char* client_context; /* "" without one */
    int64_t deadline_ms;        /* since the epoch */
};

/* One conversation with the runtime. All fields are the SDK's own. */
struct hearth_session {
    int path;     /* HEARTH_PATH_* */
    int socket;   /* of the HTTP path; -1: not connected */
    int busy;     /* an event is out and has no reply yet */
    int asked;    /* HTTP: whether to wait for a restore is settled */
    int restored; /* HTTP: the next event is the first since a restore */
    uint32_t reply_flags;
    const char* reply;
    size_t reply_length;
    char* document; /* an error document of hearth_fail */
    char* buffer;   /* the event */
    size_t capacity;
    char* head; /* HTTP: the response's head */
    struct hearth_exchange exchange;
};
#define HEARTH_PATH_UNKNOWN 0
#define HEARTH_PATH_NATIVE 1
#define HEARTH_PATH_HTTP 2
#define HEARTH_HEAD_LIMIT 32768u

/* A handler answers with hearth_reply or hearth_fail and returns 0; another value fails the invocation. */
typedef int (*hearth_handler)(struct hearth_session* h, const struct hearth_event* event, void* user);

static inline void hearth_init(struct hearth_session* h) {
    memset(h, 0, sizeof *h);
    h->socket = -1;
}

static inline void hearth_close(struct hearth_session* h) {
    if (h->socket >= 0) close(h->socket);
    free(h->document);
    free(h->buffer);
    free(h->head);
    hearth_init(h);
}

/*
 * Answers the event at hand. The bytes go out with the next hearth_next (reply and next event are one call), so
 * they must stand until then; the event's own payload does.
 */
static inline int hearth_reply(struct hearth_session* h, const void* payload, size_t length) {
    if (!h->busy) return -EINVAL;
    if (length > HEARTH_REPLY_LIMIT) return -E2BIG;
    h->reply = (const char*)payload;
    h->reply_length = length;
    h->reply_flags = HEARTH_EXCHANGE_REPLY;
    return 0;
}

/*
 * Whether the event at hand is the first since this environment was restored from a snapshot: then seed random
 * generators anew, forget ids and connections made before. On AWS Lambda so with SnapStart.
 */
static inline int hearth_restored(const struct hearth_session* h) {
    return h->busy && (h->exchange.flags & HEARTH_EXCHANGE_RESTORED) != 0;
}

static inline size_t hearth_json_escape_(char* out, const char* text) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (; *text; ++text) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            out[n++] = '\\';
            out[n++] = 'u';
            out[n++] = '0';
            out[n++] = '0';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            out[n++] = (char)c;
        }
    }
    return n;
}

/* Fails the event at hand: {"errorType": type, "errorMessage": message}. */
static inline int hearth_fail(struct hearth_session* h, const char* type, const char* message) {
    static const char a[] = "{\"errorType\":\"", b[] = "\",\"errorMessage\":\"", c[] = "\"}";
    size_t n = 0;
    if (!h->busy) return -EINVAL;
    char* document = (char*)malloc(sizeof a + sizeof b + sizeof c + 6 * (strlen(type) + strlen(message)));
    if (!document) return -ENOMEM;
    memcpy(document, a, sizeof a - 1);
    n = sizeof a - 1;
    n += hearth_json_escape_(document + n, type);
    memcpy(document + n, b, sizeof b - 1);
    n += sizeof b - 1;
    n += hearth_json_escape_(document + n, message);
    memcpy(document + n, c, sizeof c - 1);
    n += sizeof c - 1;
    free(h->document);
    h->document = document;
    h->reply = document;
    h->reply_length = n;
    h->reply_flags = HEARTH_EXCHANGE_REPLY | HEARTH_EXCHANGE_FAILED;
    return 0;
}

static inline int hearth_reserve_(struct hearth_session* h, size_t capacity) {
    if (capacity <= h->capacity) return 0;
    /* Nothing in the old buffer is needed but a reply that points into it; those are sent first. */
    char* buffer = (char*)realloc(h->buffer, capacity);
    if (!buffer) return -ENOMEM;
    h->buffer = buffer;
    h->capacity = capacity;
    return 0;
}

static inline long hearth_syscall_(struct hearth_exchange* exchange) {
#if defined(__x86_64__) && defined(__linux__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(HEARTH_SYS_EXCHANGE), "D"(exchange)
                     : "rcx", "r11", "memory");
    return result;
#else
    (void)exchange;
    return -ENOSYS;
#endif
}

static inline void hearth_done_with_reply_(struct hearth_session* h) {
    free(h->document);
    h->document = NULL;
    h->reply = NULL;
    h->reply_length = 0;
    h->reply_flags = 0;
    h->busy = 0;
}

static inline long hearth_next_native_(struct hearth_session* h) {
    struct hearth_exchange* x = &h->exchange;
    for (;;) {
        x->size = sizeof *x;
        x->flags = h->reply_flags;
        x->reply = (uint64_t)(uintptr_t)h->reply;
        x->reply_length = h->reply_length;
        x->buffer = (uint64_t)(uintptr_t)h->buffer;
        x->capacity = h->capacity;
        const long result = hearth_syscall_(x);
        if (h->reply_flags && !(x->flags & HEARTH_EXCHANGE_REPLY) && result != -ENOSYS) hearth_done_with_reply_(h);
        if (result == -EINTR) continue; /* a handler ran */
        if (result != -ENOBUFS) return result;
        /* Room to spare, so that the next event that is a little larger fits. */
        const int error = hearth_reserve_(h, (size_t)(x->needed + x->needed / 2));
        if (error) return error;
    }
}

/* ---- the Runtime API over HTTP -------------------------------------------------------------------------- */

static inline int hearth_http_connect_(struct hearth_session* h) {
    const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
    char host[64];
    struct sockaddr_in to;
    const int on = 1;
    if (h->socket >= 0) return 0;
    if (!api) return -EDESTADDRREQ;
    const char* colon = strrchr(api, ':');
    const size_t length = colon ? (size_t)(colon - api) : strlen(api);
    if (length >= sizeof host) return -EINVAL;
    memcpy(host, api, length);
    host[length] = 0;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)(colon ? strtoul(colon + 1, NULL, 10) : 80));
    /* Always a numeric address (127.0.0.1:9001); resolving names is not worth a resolver. */
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &to.sin_addr) != 1) return -EINVAL;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (const struct sockaddr*)&to, sizeof to) != 0) {
        const int error = -errno;
        close(fd);
        return error;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    h->socket = fd;
    return 0;
}

static inline void hearth_http_drop_(struct hearth_session* h) {
    if (h->socket >= 0) close(h->socket);
    h->socket = -1;
}

static inline int hearth_http_send_(struct hearth_session* h, const char* bytes, size_t length) {
    while (length > 0) {
        const ssize_t n = send(h->socket, bytes, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

/* At least one byte; -ECONNRESET at the end of the stream. */
static inline long hearth_http_receive_(struct hearth_session* h, char* into, size_t room) {
    for (;;) {
        const ssize_t n = recv(h->socket, into, room, 0);
        if (n > 0) return (long)n;
        if (n == 0) return -ECONNRESET;
        if (errno != EINTR) return -errno;
    }
}

static inline int hearth_same_name_(const char* a, const char* name, size_t length) {
    size_t i;
    for (i = 0; i < length; ++i) {
        const char c = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] + 32) : a[i];
        if (c != name[i]) return 0;
    }
    return a[length] == ':' && name[length] == 0;
}

/* The value of a header (name in lower case), or NULL. The head is zero-terminated; lines end in \r\n. */
static inline const char* hearth_http_header_(const char* head, const char* name, size_t* length) {
    const char* line = strstr(head, "\r\n");
    const size_t n = strlen(name);
    while (line && line[2] != '\r' && line[2] != 0) {
        line += 2;
        const char* end = strstr(line, "\r\n");
        if (!end) return NULL;
        if ((size_t)(end - line) > n && hearth_same_name_(line, name, n)) {
            const char* value = line + n + 1;
            while (*value == ' ' || *value == '\t') ++value;
            while (end > value && (end[-1] == ' ' || end[-1] == '\t')) --end;
            *length = (size_t)(end - value);
            return value;
        }
        line = end;
    }
    return NULL;
}

static inline void hearth_copy_header_(const char* head, const char* name, char* into, size_t room) {
    size_t length = 0;
    const char* value = hearth_http_header_(head, name, &length);
    if (!value) length = 0;
    if (length >= room) length = room - 1;
    if (length) memcpy(into, value, length);
    into[length] = 0;
}

/* Makes sure that h->buffer holds `total` bytes, of which `have` have come. */
static inline int hearth_http_fill_(struct hearth_session* h, size_t have, size_t total) {
    while (have < total) {
        const long n = hearth_http_receive_(h, h->buffer + have, total - have);
        if (n < 0) return (int)n;
        have += (size_t)n;
    }
    return 0;
}

/* A chunked body: `have` bytes of it lie in h->buffer. Decodes in place. @return its length, or an error. */
static inline long hearth_http_dechunk_(struct hearth_session* h, size_t have) {
    size_t in = 0, out = 0;
    for (;;) {
        const char* end;
        /* A whole size line. */
        while (h->buffer[have] = 0, (end = strstr(h->buffer + in, "\r\n")) == NULL) {
            const int error = hearth_reserve_(h, have + 4096 + 1);
            if (error) return error;
            if (have - in > 4096) return -EPROTO;
            const long n = hearth_http_receive_(h, h->buffer + have, 4096);
            if (n < 0) return n;
            have += (size_t)n;
        }
        const unsigned long size = strtoul(h->buffer + in, NULL, 16);
        if (size > 64ul << 20) return -EPROTO;
        in = (size_t)(end - h->buffer) + 2;
        /* The chunk and its \r\n. The last one, empty, may be followed by trailers; none is sent here. */
        const size_t until = in + size + 2;
        if (until > have) {
            const int error = hearth_reserve_(h, until + 4096 + 1);
            if (error) return error;
            const int filled = hearth_http_fill_(h, have, until);
            if (filled) return filled;
            have = until;
        }
        if (size == 0) return (long)out;
        memmove(h->buffer + out, h->buffer + in, size);
        out += size;
        in += size + 2;
    }
}

/*
 * One request and its response: the head in h->head, the body in h->buffer with a zero byte behind it.
 * @return the status, or an error; the body's length in *length.
 */
static inline int hearth_http_exchange_(struct hearth_session* h,
                                        const char* request,
                                        const char* body,
                                        size_t body_length,
                                        size_t* length) {
    size_t have = 0, value_length = 0;
    char* end = NULL;
    int error = hearth_http_connect_(h);
    if (error) return error;
    error = hearth_http_send_(h, request, strlen(request));
    if (!error && body_length) error = hearth_http_send_(h, body, body_length);
    if (error) return error;
    if (!h->head && !(h->head = (char*)malloc(HEARTH_HEAD_LIMIT))) return -ENOMEM;
    while (!end) {
        if (have == HEARTH_HEAD_LIMIT - 1) return -EPROTO;
        const long n = hearth_http_receive_(h, h->head + have, HEARTH_HEAD_LIMIT - 1 - have);
        if (n < 0) return have ? -EPROTO : (int)n;
        have += (size_t)n;
        h->head[have] = 0;
        end = strstr(h->head, "\r\n\r\n");
    }
    end += 4;
    if (strncmp(h->head, "HTTP/1.", 7) != 0) return -EPROTO;
    const int status = atoi(h->head + 9);
    const size_t early = have - (size_t)(end - h->head);

    const char* value = hearth_http_header_(h->head, "transfer-encoding", &value_length);
    const int chunked = value != NULL && value_length >= 7 && strncmp(value + value_length - 7, "chunked", 7) == 0;
    value = hearth_http_header_(h->head, "content-length", &value_length);
    *length = !chunked && value ? strtoul(value, NULL, 10) : 0;
    if (*length > 64ul << 20) return -EPROTO;
    if (!chunked && early > *length) return -EPROTO;
    error = hearth_reserve_(h, (chunked ? early : *length) + 4096 + 1);
    if (error) return error;
    memcpy(h->buffer, end, early);
    *end = 0; /* what follows is no header */
    if (chunked) {
        const long n = hearth_http_dechunk_(h, early);
        if (n < 0) return (int)n;
        *length = (size_t)n;
    } else {
        error = hearth_http_fill_(h, early, *length);
        if (error) return error;
    }
    h->buffer[*length] = 0;
    value = hearth_http_header_(h->head, "connection", &value_length);
    if (value && value_length == 5 && (value[0] | 32) == 'c') hearth_http_drop_(h); /* "close" */
    return status;
}

/* As above; once more on a new connection when a kept one turns out to be gone. */
static inline int hearth_http_request_(struct hearth_session* h,
                                       const char* request,
                                       const char* body,
                                       size_t body_length,
                                       size_t* length) {
    const int kept = h->socket >= 0;
    int status = hearth_http_exchange_(h, request, body, body_length, length);
    if (status < 0) hearth_http_drop_(h);
    if (kept && (status == -EPIPE || status == -ECONNRESET)) {
        status = hearth_http_exchange_(h, request, body, body_length, length);
        if (status < 0) hearth_http_drop_(h);
    }
    return status;
}

/*
 * The function is initialised. With SnapStart the snapshot is taken while this waits, and it is answered in every
 * environment that comes from it. A Runtime API without it (404) takes no snapshots.
 */
static inline int hearth_wait_for_restore_(struct hearth_session* h, const char* api) {
    const char* type = getenv("AWS_LAMBDA_INITIALIZATION_TYPE");
    char request[512];
    size_t length = 0;
    int status;
    if (!h->asked && type && strcmp(type, "snap-start") == 0) {
        snprintf(request, sizeof request, "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: %s\r\n\r\n", api);
        status = hearth_http_request_(h, request, NULL, 0, &length);
        if (status < 0) return status;
        if (status != 200 && status != 404) return -EPROTO;
        h->restored = status == 200;
    }
    h->asked = 1;
    return 0;
}

static inline long hearth_next_http_(struct hearth_session* h) {
    static const char version[] = "/2018-06-01/runtime/invocation/";
    const char* api = getenv("AWS_LAMBDA_RUNTIME_API");
    struct hearth_exchange* x = &h->exchange;
    char request[1024];
    char number[32];
    size_t length = 0;
    int status;
    if (!api) return -EDESTADDRREQ;
    if (h->reply_flags) {
        const int failed = (h->reply_flags & HEARTH_EXCHANGE_FAILED) != 0;
        /* hearth_reply may have been given the event itself, and the response to this request goes where that
           lies: it is out of the way by then. */
        snprintf(request, sizeof request,
                 "POST %s%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %lu\r\n\r\n",
                 version, x->request_id, failed ? "error" : "response", api,
                 failed ? "Lambda-Runtime-Function-Error-Type: Unhandled\r\n" : "", (unsigned long)h->reply_length);
        status = hearth_http_request_(h, request, h->reply, h->reply_length, &length);
        if (status < 0) return status;
        hearth_done_with_reply_(h);
        if (status == 413) return -E2BIG;
        if (status < 200 || status > 299) return -EPROTO;
    }
    if (h->busy) return -EBUSY;
    status = hearth_wait_for_restore_(h, api);
    if (status) return status;
    snprintf(request, sizeof request, "GET %snext HTTP/1.1\r\nHost: %s\r\n\r\n", version, api);
    status = hearth_http_request_(h, request, NULL, 0, &length);
    if (status < 0) return status;
    if (status != 200) return -EPROTO;
    hearth_copy_header_(h->head, "lambda-runtime-aws-request-id", x->request_id, sizeof x->request_id);
    hearth_copy_header_(h->head, "lambda-runtime-trace-id", x->trace_id, sizeof x->trace_id);
    hearth_copy_header_(h->head, "lambda-runtime-invoked-function-arn", x->function_arn, sizeof x->function_arn);
    hearth_copy_header_(h->head, "lambda-runtime-deadline-ms", number, sizeof number);
    x->deadline_ms = strtoll(number, NULL, 10);
    /* As the system call leaves it: payload, zero, client context, zero. */
    size_t context_length = 0;
    const char* context = hearth_http_header_(h->head, "lambda-runtime-client-context", &context_length);
    if (!context) context_length = 0;
    status = hearth_reserve_(h, length + context_length + 2);
    if (status) return status;
    if (context_length) memcpy(h->buffer + length + 1, context, context_length);
    h->buffer[length + 1 + context_length] = 0;
    x->event_length = length;
    x->client_context = length + 1;
    x->client_context_length = context_length;
    x->flags = h->restored ? HEARTH_EXCHANGE_RESTORED : 0;
    h->restored = 0;
    return (long)length;
}

/* Hands over the reply of the last event, waits for the next one. What *event points to stands until then. */
static inline int hearth_next(struct hearth_session* h, struct hearth_event* event) {
    long result = -ENOSYS;
    if (h->path != HEARTH_PATH_HTTP) {
        const int error = hearth_reserve_(h, 65536);
        if (error) return error;
        result = hearth_next_native_(h);
        if (h->path == HEARTH_PATH_UNKNOWN)
            /* EPERM: a seccomp filter's way to say that there is no such call. */
            h->path = result == -ENOSYS || result == -EPERM ? HEARTH_PATH_HTTP : HEARTH_PATH_NATIVE;
    }
    if (h->path == HEARTH_PATH_HTTP) result = hearth_next_http_(h);
    if (result < 0) return (int)result;
    h->busy = 1;
    event->payload = h->buffer;
    event->length = (size_t)h->exchange.event_length;
    event->request_id = h->exchange.request_id;
    event->function_arn = h->exchange.function_arn;
    event->trace_id = h->exchange.trace_id;
    event->client_context = h->buffer + h->exchange.client_context;
    event->deadline_ms = h->exchange.deadline_ms;
    return 0;
}

/* Serves events until the runtime is gone. @return why: a negative errno. */
static inline int hearth_run(hearth_handler handler, void* user) {
    struct hearth_session h;
    struct hearth_event event;
    int error;
    hearth_init(&h);
    for (;;) {
        error = hearth_next(&h, &event);
        if (error == -E2BIG) continue; /* Lambda refused the reply and told the caller so */
        if (error) break;
        const int status = handler(&h, &event, user);
        if (status != 0) {
            char message[64];
            snprintf(message, sizeof message, "the handler returned %d", status);
            error = hearth_fail(&h, "Runtime.HandlerFailed", message);
        } else if (!h.reply_flags) {
            error = hearth_reply(&h, "null", 4);
        }
        if (error) break;
    }
    hearth_close(&h);
    return error;
}

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_GUEST_SDK */
