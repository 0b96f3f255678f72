/* Holding threads by ptrace, for as long as one exec takes. No decisions. */
#include "aegix_hold.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
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

/* The words at the top of a new stack: argc, argv, NULL, environment, NULL, pairs of kind and value, the last of kind 0. */
static int pin(int memory, uint64_t at, const uint8_t *random) {
    uint64_t words[512], count;
    if (pread(memory, &count, sizeof count, (off_t)at) != sizeof count) return -1;
    at += (count + 2) * sizeof count;
    int in_pairs = 0;
    for (unsigned pieces = 0; pieces < 4096; pieces++) {
        ssize_t got = pread(memory, words, sizeof words, (off_t)at);
        if (got < 16) return -1;
        size_t i = 0, read = (size_t)got / sizeof *words;
        while (!in_pairs && i < read) in_pairs = words[i++] == 0;
        for (; in_pairs && i + 1 < read; i += 2) {
            uint64_t place = at + i * sizeof *words, none = AT_IGNORE;
            if (words[i] == AT_NULL) return 0;
            if (words[i] == AT_SYSINFO_EHDR && pwrite(memory, &none, sizeof none, (off_t)place) != sizeof none) return -1;
            if (words[i] == AT_RANDOM && random && pwrite(memory, random, 16, (off_t)words[i + 1]) != 16) return -1;
        }
        at += i * sizeof *words;
    }
    return errno = EPROTO, -1;
}

int aegix_hold_pin(pid_t pid, const uint8_t *random) {
    struct ptrace_syscall_info info;
    char path[40];
    if (trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, (unsigned long)&info) < 0) return -1;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int memory = open(path, O_RDWR | O_CLOEXEC);
    if (memory < 0) return -1;
    int rc = pin(memory, info.stack_pointer, random);
    int error = errno;
    close(memory);
    errno = error;
    return rc;
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
