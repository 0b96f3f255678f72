/* Runs a probe in a child with a time limit. Side effects: one child, gone when the call returns. */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct aegix_probe_result) == 16, "written to a pipe in one piece");

static _Noreturn void say(int report, struct aegix_probe_result result) {
    ssize_t sent = write(report, &result, sizeof result);
    _exit(sent == sizeof result ? 0 : 1);
}

void aegix_probe_held(int report, int64_t value) {
    say(report, (struct aegix_probe_result){.stage = AEGIX_PROBE_HELD, .value = value});
}

void aegix_probe_failed(int report, int stage, int error) {
    say(report, (struct aegix_probe_result){.stage = stage, .error = error});
}

pid_t aegix_probe_fork(void) {
    pid_t child = fork();
    if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return child;
}

void aegix_probe_await(int report, pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status))
        say(report, (struct aegix_probe_result){.stage = AEGIX_PROBE_AT_DEATH, .value = WTERMSIG(status)});
    _exit(0);
}

int aegix_probe_write_file(int directory, const char *path, const char *text) {
    int file = openat(directory, path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -1;
    size_t length = strlen(text);
    ssize_t written = write(file, text, length);
    int code = written < 0 ? errno : EIO;
    close(file);
    errno = code;
    return written == (ssize_t)length ? 0 : -1;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* 1 when `descriptor` has something within the time, else 0. */
static int ready(int descriptor, int64_t deadline) {
    for (;;) {
        int64_t left = deadline - now();
        struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
        int count = poll(&wanted, 1, left > 0 ? (int)left : 0);
        if (count > 0) return 1;
        if (count == 0 || errno != EINTR) return 0;
    }
}

/* The number can't be another process's: nobody but us reaps it. A kernel without pidfd_open is one of the answers that
 * are looked for, so the number is the fallback. */
static void end(pid_t child, int pidfd) {
    if (pidfd >= 0) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    else kill(child, SIGKILL);
}

int aegix_probe(int kind, int directory, int milliseconds, struct aegix_probe_result *result) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) return -1;
    pid_t child = aegix_probe_fork();
    if (child < 0) {
        int code = errno;
        close(report[0]);
        close(report[1]);
        errno = code;
        return -1;
    }
    if (child == 0) {
        close(report[0]);
        if (kind == AEGIX_PROBE_HANG)
            for (;;) pause();
        aegix_probe_namespaces(kind, directory, report[1]);
        aegix_probe_calls(kind, directory, report[1]);
        aegix_probe_failed(report[1], AEGIX_PROBE_AT_CALL, EINVAL);
    }
    close(report[1]);
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    int64_t deadline = now() + milliseconds;
    struct aegix_probe_result heard = {.stage = AEGIX_PROBE_AT_TIME, .error = ETIMEDOUT};
    if (ready(report[0], deadline)) {
        ssize_t length = read(report[0], &heard, sizeof heard);
        if (length != sizeof heard) heard = (struct aegix_probe_result){.stage = AEGIX_PROBE_AT_DEATH};
    }
    /* The child ends by itself after its report, having reaped children of its own: killed before, it would leave them
     * to the system's init. One that is stuck isn't waited for for ever; its own children die with it. */
    if (heard.stage == AEGIX_PROBE_AT_TIME || pidfd < 0 || !ready(pidfd, now() + 200)) end(child, pidfd);
    int status = 0;
    if (pidfd < 0 || ready(pidfd, now() + 1000)) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        if (heard.stage == AEGIX_PROBE_AT_DEATH && heard.value == 0 && WIFSIGNALED(status))
            heard.value = WTERMSIG(status);
    }
    if (pidfd >= 0) close(pidfd);
    close(report[0]);
    *result = heard;
    return 0;
}

/* In the parent, so malloc is no harm. */
void aegix_probe_clear(int directory, const char *path) {
    if (fchmodat(directory, path, 0700, 0) < 0) return;
    int inside = openat(directory, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = inside < 0 ? NULL : fdopendir(inside);
    if (!list) {
        if (inside >= 0) close(inside);
        return;
    }
    for (struct dirent *entry; (entry = readdir(list));) unlinkat(inside, entry->d_name, 0);
    closedir(list);
    unlinkat(directory, path, AT_REMOVEDIR);
}
