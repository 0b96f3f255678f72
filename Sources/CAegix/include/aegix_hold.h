/* A thread that waits in an exec notification, held by ptrace until the kernel has loaded what it was let go on with. */
#ifndef AEGIX_HOLD_H
#define AEGIX_HOLD_H

#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/* Holds a thread without stopping it: it stops at its next exec, and dies with us. 0 or -1 with errno. */
int aegix_hold(pid_t thread);
/* Has it stop soon, wherever it is. */
int aegix_hold_interrupt(pid_t thread);
/* Only a stopped one can be let go; `signal` is what its stop was for, or 0. */
int aegix_hold_release(pid_t thread, int signal);
/* Stays stopped by its job control until that ends. */
int aegix_hold_listen(pid_t thread);
/* Goes on until its next system call begins or ends. */
int aegix_hold_step(pid_t thread, int signal);

enum aegix_hold_kind { AEGIX_HOLD_NONE = 0, AEGIX_HOLD_EXEC, AEGIX_HOLD_CALL, AEGIX_HOLD_STOPPED, AEGIX_HOLD_OTHER };

struct aegix_hold_stop {
    pid_t thread;
    uint32_t kind;
    int32_t signal;   /* to be delivered when it goes on */
    pid_t former;     /* EXEC: the number of the thread that called, which may have become its group's first */
};
/* The next stop of any held thread; `kind` is NONE when there is none. */
void aegix_hold_next(struct aegix_hold_stop *stop);
/* 1: it is gone and reaped; 0: it lives; -1: it isn't ours any more. */
int aegix_hold_reap(pid_t thread);

/* The system call that a stopped thread is at: its number and arguments where it begins, its result where it ends. */
struct aegix_hold_call {
    uint32_t is_end;
    int64_t number_or_result;
    uint64_t arguments[6];
};
int aegix_hold_call(pid_t thread, struct aegix_hold_call *call);

/* Of a process at its exec stop: takes the vDSO out of what its program is told of the system, so that libraries make system
   calls, and puts `random` where its 16 random bytes are (NULL: they stay). 0 or -1 with errno. */
int aegix_hold_pin(pid_t pid, const uint8_t *_Nullable random);

/* What /proc/PID/exe leads to. 0 or -1 with errno. */
int aegix_hold_image(pid_t pid, uint64_t *device, uint64_t *inode);

#pragma clang assume_nonnull end
#endif
