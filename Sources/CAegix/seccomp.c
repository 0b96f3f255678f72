/* The filter is loaded last: after it, only what the filter allows. */
#include "child.h"
#include <errno.h>
#include <linux/seccomp.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

int aegix_child_seccomp(const struct aegix_launch *launch) {
    struct sock_fprog program = {launch->filter_length, (struct sock_filter *)launch->filter};
    /* Killable: a runtime that interrupts its threads by signals doesn't restart a judged call again and again. */
    unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (listener < 0 && errno == EINVAL) /* before Linux 5.19 */
        listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    return listener;
}
