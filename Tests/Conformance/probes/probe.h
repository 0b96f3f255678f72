// What every attack probe shares: one line an attempt on stdout, `name<TAB>ok`, `name<TAB>EPERM` or `name<TAB>SIGSYS`.
// The probe never judges: run.py does, with the same probe inside the sandbox and outside of it.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/// `result` is what the call returned: negative means errno says why.
static inline void outcome(const char *name, long result) {
    int error = errno;
    const char *word = result >= 0 ? "ok" : strerrorname_np(error);
    dprintf(1, "%s\t%s\n", name, word ? word : "unknown");
}

/// A fact instead of a verdict: `name<TAB>value`.
static inline void fact(const char *name, const char *value) { dprintf(1, "%s\t%s\n", name, value); }

/// Waits for the child of an attempt; a child that died of a signal had no chance to speak for itself.
static inline void settle(const char *name, pid_t child) {
    int status = 0;
    if (child < 0) {
        outcome(name, -1);
        return;
    }
    while (waitpid(child, &status, __WALL) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status)) dprintf(1, "%s\tSIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
}

/// Each attempt runs in a child of its own, so that one that succeeds doesn't change the ground for the next.
#define ATTEMPT(name, expression)                  \
    do {                                           \
        pid_t attempt_child = fork();              \
        if (attempt_child == 0) {                  \
            errno = 0;                             \
            outcome(name, (long)(expression));     \
            _exit(0);                              \
        }                                          \
        settle(name, attempt_child);               \
    } while (0)

/// close() of what was opened, so that an attempt's result is the open's.
static inline long opened(int fd) {
    if (fd >= 0) close(fd);
    return fd;
}
