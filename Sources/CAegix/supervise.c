/* Outside the sandbox: pipes, signals, reaping, id-mapped trees. No decisions. */
#include "aegix_supervise.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

int aegix_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int aegix_socketpair(int ends[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); }

void aegix_grow_pipe(int descriptor, int bytes) {
    /* Past the user's quota the kernel says EPERM: the pipe stays as it was, only slower. */
    while (bytes > 65536 && fcntl(descriptor, F_SETPIPE_SZ, bytes) < 0) bytes /= 2;
}

int aegix_unread_bytes(int descriptor, int *count) { return ioctl(descriptor, FIONREAD, count); }

int aegix_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int aegix_reopen(int descriptor, int flags) {
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    return open(path, flags | O_CLOEXEC | O_NOCTTY);
}

ssize_t aegix_splice(int pipe, int to, size_t most) {
    return splice(pipe, NULL, to, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

ssize_t aegix_send_now(int descriptor, const void *bytes, size_t length) {
    return send(descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int aegix_signalfd(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) {
        /* What the caller has us ignore, as nohup does, stays ignored. */
        struct sigaction now;
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_IGN) continue;
        sigaddset(&set, signals[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int aegix_read_signal(int descriptor, uint32_t *number) {
    struct signalfd_siginfo info;
    ssize_t count = read(descriptor, &info, sizeof info);
    if (count != (ssize_t)sizeof info) return -1;
    *number = info.ssi_signo;
    return 0;
}

int aegix_processors(void) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) return 1;
    int count = CPU_COUNT(&allowed);
    return count > 0 ? count : 1;
}

int aegix_pidfd_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int aegix_pidfd(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

#define PIDFD_SIGNAL_PROCESS_GROUP (1u << 2)

void aegix_pidfd_kill_group(int pidfd) {
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP);
}

/* Mirror of the kernel's struct sched_attr in its first version. */
struct schedule {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct schedule) == 48, "struct sched_attr, version 0");
#define RESET_ON_FORK 1

void aegix_wake_early(void) {
    struct schedule now;
    if (syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) < 0 || now.policy != SCHED_OTHER) return;
    now.flags |= RESET_ON_FORK;
    now.runtime = 100000; /* a slice of 0.1 ms has the nearest deadline */
    syscall(SYS_sched_setattr, 0, &now, 0);
}

void aegix_ignore_sigpipe(void) {
    struct sigaction ignore;
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a caller's ulimit -f: the write says EFBIG instead */
    /* A caller that ignores SIGCHLD would have the kernel reap for us, and take the status away. */
    ignore.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &ignore, NULL);
}

void aegix_die_of(int signal_number) {
    struct sigaction plain;
    memset(&plain, 0, sizeof plain);
    plain.sa_handler = SIG_DFL;
    sigaction(signal_number, &plain, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), signal_number);
}

int aegix_reap(pid_t pid, struct aegix_usage *usage) {
    struct rusage used;
    int status;
    pid_t rc;
    do rc = wait4(pid, &status, __WALL, &used);
    while (rc < 0 && errno == EINTR);
    if (rc < 0) return -1;
    usage->status = status;
    usage->user_ns = (uint64_t)used.ru_utime.tv_sec * 1000000000u + (uint64_t)used.ru_utime.tv_usec * 1000u;
    usage->system_ns = (uint64_t)used.ru_stime.tv_sec * 1000000000u + (uint64_t)used.ru_stime.tv_usec * 1000u;
    usage->peak_bytes = (uint64_t)used.ru_maxrss * 1024u;
    return 0;
}

ssize_t aegix_read_memory(pid_t pid, uint64_t address, void *buffer, size_t length) {
    struct iovec local = {buffer, length}, remote = {(void *)(uintptr_t)address, length};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

pid_t aegix_parent(pid_t thread) {
    struct { /* struct pidfd_info as it came first */
        uint64_t mask, cgroup;
        uint32_t pid, tgid, ppid, ids[8], exit_code;
    } info = {.mask = 1};
    _Static_assert(sizeof info == 64, "struct pidfd_info");
    int file = (int)syscall(SYS_pidfd_open, thread, PIDFD_THREAD);
    if (file < 0) return -1;
    int rc = ioctl(file, _IOWR(0xFF, 11, info), &info); /* PIDFD_GET_INFO */
    close(file);
    return rc < 0 ? -1 : (pid_t)info.ppid;
}

static int open_how(int directory, const char *path, int flags, uint64_t resolve) {
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int aegix_open_in_root(int root, const char *path, int flags) {
    return open_how(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int aegix_open_beneath(int directory, const char *path, int flags) {
    return open_how(directory, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int aegix_open_within(int directory, const char *path, int flags) {
    return open_how(directory, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

int aegix_detached_tree(int source, int user_namespace) {
    int tree = (int)syscall(SYS_open_tree, source, "",
                            AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || user_namespace < 0) return tree;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0) {
        int error = errno;
        close(tree);
        errno = error;
        return -1;
    }
    return tree;
}

int aegix_write_map(pid_t pid, const char *file, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t length = strlen(text);
    ssize_t count = write(fd, text, length);
    int error = errno;
    close(fd);
    errno = error;
    return count == (ssize_t)length ? 0 : -1;
}

int aegix_map_namespace(const char *uid_map, const char *gid_map) {
    int hold[2];
    if (pipe2(hold, O_CLOEXEC) < 0) return -1;
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) { /* holds the namespace until the other end closes, whatever happens to its maker */
        close(hold[1]);
        char byte;
        while (read(hold[0], &byte, 1) < 0 && errno == EINTR) {}
        _exit(0);
    }
    int error = errno, fd = -1;
    close(hold[0]);
    if (pid > 0) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
        if (aegix_write_map(pid, "uid_map", uid_map) == 0 && aegix_write_map(pid, "gid_map", gid_map) == 0)
            fd = open(path, O_RDONLY | O_CLOEXEC);
        error = errno;
    }
    close(hold[1]);
    if (pid > 0)
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR) {}
    errno = error;
    return fd;
}

int aegix_landlock_abi(void) {
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
    return abi < 0 ? 0 : (int)abi;
}

int aegix_shrink_pipe(int descriptor) { return fcntl(descriptor, F_SETPIPE_SZ, 4096); }

ssize_t aegix_tee(int from, int to) { return tee(from, to, 1 << 20, SPLICE_F_NONBLOCK); }

ssize_t aegix_read_ready(int descriptor, void *buffer, size_t length) {
    /* A look first: the description is the caller's, so its flags aren't ours to set. */
    struct pollfd ready = {descriptor, POLLIN, 0};
    if (poll(&ready, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return read(descriptor, buffer, length);
}

dev_t aegix_device(unsigned major, unsigned minor) { return makedev(major, minor); }

int aegix_duplicate(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 3); }

int aegix_poll(struct pollfd *slots, size_t count, const struct timespec *timeout) {
    return ppoll(slots, (nfds_t)count, timeout, NULL);
}

int aegix_is_pseudo(int descriptor) {
    struct statfs facts;
    if (fstatfs(descriptor, &facts) < 0) return 1;
    return facts.f_type == PROC_SUPER_MAGIC || facts.f_type == SYSFS_MAGIC || facts.f_type == DEBUGFS_MAGIC ||
           facts.f_type == TRACEFS_MAGIC || facts.f_type == CGROUP_SUPER_MAGIC || facts.f_type == CGROUP2_SUPER_MAGIC;
}

int aegix_is_writable(int descriptor) {
    struct statfs facts;
    return fstatfs(descriptor, &facts) < 0 || !(facts.f_flags & ST_RDONLY);
}

int aegix_become_reaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int aegix_clone_file(int from, int to) { return ioctl(to, FICLONE, from); }
