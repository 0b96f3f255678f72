/* Probes of single system calls, Landlock, seccomp and cgroups. All of it runs in a child of its own. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* getppid stands for any call: harmless, and its true answer is known. */
static int filter(uint32_t action, unsigned flags) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void seccomp_filter(int report) {
    if (filter(SECCOMP_RET_ERRNO | EXDEV, 0) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (syscall(SYS_getppid) != -1 || errno != EXDEV) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

/* The filtered process shares our descriptors, so its listener is ours as well. It is answered with CONTINUE, as an exec
 * is, and so has to see its true parent. */
static void notification(int report) {
    int news[2];
    if (pipe2(news, O_CLOEXEC) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    pid_t self = getpid();
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        int listener = filter(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
        if (listener < 0) listener = -errno;
        if (write(news[1], &listener, sizeof listener) != sizeof listener) _exit(1);
        _exit(syscall(SYS_getppid) == self ? 0 : 2);
    }
    int listener = -EIO;
    if (read(news[0], &listener, sizeof listener) != sizeof listener) aegix_probe_await(report, child);
    if (listener < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, -listener);
    /* Room for a kernel whose structures have grown. */
    union {
        struct seccomp_notif asked;
        struct seccomp_notif_resp answer;
        char room[1024];
    } message = {.room = {0}};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &message.asked) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    uint64_t id = message.asked.id;
    memset(&message, 0, sizeof message);
    message.answer.id = id;
    message.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &message.answer) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (status != 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

static void landlock(int report) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    struct landlock_ruleset_attr attributes = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_DIR};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0);
    if (rules < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES)
        aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, abi);
}

static void pidfd(int report) {
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0 || syscall(SYS_pidfd_send_signal, self, 0, NULL, 0) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    aegix_probe_held(report, 0);
}

static void beneath(int report) {
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    int root = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    if (root < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (syscall(SYS_openat2, root, "/", &how, sizeof how) >= 0 || errno != EXDEV)
        aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

static void clone_with_pidfd(int report) {
    int child = -1;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&child, .exit_signal = SIGCHLD};
    long number = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (number < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (number == 0) _exit(7);
    siginfo_t ended = {.si_status = 0};
    if (waitid(P_PIDFD, (id_t)child, &ended, WEXITED) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    if (ended.si_status != 7) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

static void close_many(int report) {
    int spare = fcntl(report, F_DUPFD_CLOEXEC, 500);
    if (spare < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (syscall(SYS_close_range, spare, spare, 0) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (fcntl(spare, F_GETFD) >= 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

/* As a sandbox is: born in the cgroup, not moved into it. */
static void birth_in_cgroup(int report, int cgroup) {
    struct clone_args arguments = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (child == 0) {
        /* It is in the list of the cgroup that it was born in; from a namespace of pids, under its number there. */
        char list[64] = {0};
        int procs = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        _exit(procs >= 0 && read(procs, list, sizeof list - 1) > 0 ? 7 : 1);
    }
    int status = 0;
    while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR) {}
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

void aegix_probe_calls(int kind, int directory, int report) {
    switch (kind) {
    case AEGIX_PROBE_LANDLOCK: landlock(report); break;
    case AEGIX_PROBE_SECCOMP: seccomp_filter(report); break;
    case AEGIX_PROBE_NOTIFICATION: notification(report); break;
    case AEGIX_PROBE_PIDFD: pidfd(report); break;
    case AEGIX_PROBE_OPENAT2: beneath(report); break;
    case AEGIX_PROBE_CLONE3: clone_with_pidfd(report); break;
    case AEGIX_PROBE_CLOSE_RANGE: close_many(report); break;
    case AEGIX_PROBE_CGROUP: birth_in_cgroup(report, directory); break;
    default: break;
    }
}
