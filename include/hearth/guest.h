/*
 * Hearth's guest SDK: a Lambda function in C (or C++, or whatever can include C), in one header.
 *
 *     #include <hearth/guest.h>
 *
 *     static int handle(struct hearth* h, const struct hearth_event* event, void* user) {
 *         return hearth_reply(h, event->payload, event->length);
 *     }
 *     int main(void) { return hearth_run(handle, 0); }
 *
 * In a Hearth microVM an invocation is one exit: a private system call hands over the reply and takes the next
 * event. The same program runs on AWS Lambda and wherever the Runtime API 2018-06-01 is: that call does not
 * exist there (ENOSYS), and the SDK speaks HTTP to AWS_LAMBDA_RUNTIME_API instead.
 *
 * C11 or C++11, Linux on x86-64 (elsewhere HTTP only). One thread per `struct hearth`. Functions return 0, or
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

#define HEARTH_EXCHANGE_REPLY 1u  /* reply, reply_length answer the last event */
#define HEARTH_EXCHANGE_FAILED 2u /* with REPLY: the reply is an error document */

/*
 * Takes the next event, after giving the reply to the last one if flags say so. Waits until there is one.
 *
 * Returns the payload's length. The buffer holds the payload, a zero byte, the client context (empty without
 * one) and a zero byte. Once the reply is taken `flags` is cleared in place, so that the call may be made
 * again as it is.
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
    uint32_t flags; /* in: HEARTH_EXCHANGE_*; cleared when the reply is taken */
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

#endif
