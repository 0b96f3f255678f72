/* Holding threads by ptrace, for as long as one exec takes. No decisions. */
#include "aegix_hold.h"
#include <errno.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)

static long trace(long request, pid_t thread, unsigned long address, unsigned long data) {
    return syscall(SYS_ptrace, request, (long)thread, address, data);
}

int aegix_hold(pid_t thread) { return (int)trace(PTRACE_SEIZE, thread, 0, OPTIONS); }

int aegix_hold_interrupt(pid_t thread) { return (int)trace(PTRACE_INTERRUPT, thread, 0, 0); }

int aegix_hold_release(pid_t thread, int signal) { return (int)trace(PTRACE_DETACH, thread, 0, (unsigned long)signal); }

int aegix_hold_listen(pid_t thread) { return (int)trace(PTRACE_LISTEN, thread, 0, 0); }

int aegix_hold_step(pid_t thread, int signal) { return (int)trace(PTRACE_SYSCALL, thread, 0, (unsigned long)signal); }

void aegix_hold_next(struct aegix_hold_stop *stop) {
    siginfo_t info;
    memset(stop, 0, sizeof *stop);
    memset(&info, 0, sizeof info);
    /* Only stops: what has ended is somebody else's to reap. */
    while (waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG | __WALL) < 0)
        if (errno != EINTR) return;
    if (info.si_pid == 0) return;
    stop->thread = info.si_pid;
    int signal = info.si_status & 0xff, event = info.si_status >> 8;
    stop->kind = AEGIX_HOLD_OTHER;
    if (signal == SIGTRAP && event == PTRACE_EVENT_EXEC) {
        unsigned long former = 0;
        stop->kind = AEGIX_HOLD_EXEC;
        trace(PTRACE_GETEVENTMSG, info.si_pid, 0, (unsigned long)&former);
        stop->former = (pid_t)former;
    } else if (signal == (SIGTRAP | 0x80) && event == 0) {
        stop->kind = AEGIX_HOLD_CALL;
    } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
        stop->kind = AEGIX_HOLD_STOPPED;
    } else if (event == 0) {
        stop->signal = signal; /* on its way to the thread */
    }
}

int aegix_hold_reap(pid_t thread) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    /* A look first: of a traced one every wait takes the stop along that came meanwhile, and it would never go on. */
    while (waitid(P_PID, (id_t)thread, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
        if (errno != EINTR) return -1;
    if (info.si_pid == 0 || info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED || info.si_code == CLD_CONTINUED)
        return 0;
    int status;
    while (waitpid(thread, &status, WNOHANG | __WALL) < 0)
        if (errno != EINTR) return -1;
    return 1;
}

int aegix_hold_call(pid_t thread, struct aegix_hold_call *call) {
    struct ptrace_syscall_info info;
    memset(&info, 0, sizeof info);
    if (trace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, (unsigned long)&info) < 0) return -1;
    memset(call, 0, sizeof *call);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        call->is_end = 1;
        call->number_or_result = info.exit.rval;
    } else if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        call->number_or_result = (int64_t)info.entry.nr;
        for (int i = 0; i < 6; i++) call->arguments[i] = info.entry.args[i];
    } else {
        errno = ESRCH;
        return -1;
    }
    return 0;
}

int aegix_hold_image(pid_t pid, uint64_t *device, uint64_t *inode) {
    char path[40];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    if (stat(path, &facts) < 0) return -1;
    *device = facts.st_dev;
    *inode = facts.st_ino;
    return 0;
}
