/* Probes of namespaces and of what can be mounted in them. All of it runs in a child of its own. */
#include "probe.h"

#include "aegix_network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* A directory that every system has; it is covered in our own mount namespace only. */
#define STAND "/proc"

/* "7 7 1": the id itself, the one map that needs no power outside. Returns the text's start within `text`. */
static const char *map(char text[64], uint32_t inside, uint32_t outside) {
    char *at = text + 63;
    *at = 0;
    *--at = '1';
    *--at = ' ';
    do *--at = (char)('0' + outside % 10);
    while (outside /= 10);
    *--at = ' ';
    do *--at = (char)('0' + inside % 10);
    while (inside /= 10);
    return at;
}

/* After the user namespace, because it gives the power for the others. */
static void enter(int report, int flags) {
    uid_t user = geteuid();
    gid_t group = getegid();
    if (unshare(CLONE_NEWUSER) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_USER, errno);
    /* Cleared by the change of credentials. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    char text[64];
    if (aegix_probe_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 && errno != ENOENT)
        aegix_probe_failed(report, AEGIX_PROBE_AT_MAP, errno);
    if (aegix_probe_write_file(AT_FDCWD, "/proc/self/uid_map", map(text, user, user)) < 0
        || aegix_probe_write_file(AT_FDCWD, "/proc/self/gid_map", map(text, group, group)) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_MAP, errno);
    if (flags != 0 && unshare(flags) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_NAMESPACE, errno);
}

static void enter_mounts(int report, int flags) {
    enter(report, CLONE_NEWNS | flags);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_MOUNT, errno);
}

static void mount_tmpfs(int report) {
    if (mount("aegix", STAND, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (mkdir(STAND "/made", 0700) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
}

static void pid_namespace(int report) {
    enter(report, CLONE_NEWPID);
    pid_t child = aegix_probe_fork();
    if (child < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (child > 0) aegix_probe_await(report, child);
    if (syscall(SYS_getpid) != 1) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

/* The kernel refuses a new procfs where the one in view has been partly covered, as in a container. */
static void proc(int report) {
    enter_mounts(report, CLONE_NEWPID);
    pid_t child = aegix_probe_fork();
    if (child < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (child > 0) aegix_probe_await(report, child);
    if (mount("proc", STAND, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (access(STAND "/1/status", F_OK) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    aegix_probe_held(report, 0);
}

/* The loopback device is brought up as well: the namespace alone may be had without the power in it. */
static void network_namespace(int report) {
    enter(report, CLONE_NEWNET);
    struct ifreq request = {.ifr_name = "lo"};
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (any < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    request.ifr_flags = IFF_UP;
    if (ioctl(any, SIOCSIFFLAGS, &request) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    aegix_probe_held(report, 0);
}

static void uts_namespace(int report) {
    enter(report, CLONE_NEWUTS);
    if (sethostname("aegix", 5) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    aegix_probe_held(report, 0);
}

/* Relative paths, because the scratch directory's own may hold a comma or a colon. */
static void overlay(int report, int directory) {
    if (fchdir(directory) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_MOUNT, errno);
    enter_mounts(report, 0);
    if (mount("aegix", "merged", "overlay", MS_NOSUID | MS_NODEV,
              "lowerdir=lower,upperdir=upper,workdir=work,userxattr") < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    /* A new file, and a deletion: the second needs a whiteout in the upper layer. */
    int file = open("merged/made", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    if (unlink("merged/gone") < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    aegix_probe_held(report, 0);
}

static void recursive_read_only(int report) {
    enter_mounts(report, 0);
    mount_tmpfs(report);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (syscall(SYS_mount_setattr, AT_FDCWD, STAND, AT_RECURSIVE, &attributes, sizeof attributes) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (mkdir(STAND "/more", 0700) == 0 || errno != EROFS) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

/* The namespace whose map the mount takes has to be another's, and the map has to be written from outside. */
static void idmapped(int report, int directory) {
    int up[2], down[2];
    if (pipe2(up, O_CLOEXEC) < 0 || pipe2(down, O_CLOEXEC) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_USER, errno);
    pid_t holder = aegix_probe_fork();
    if (holder < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_USER, errno);
    char byte = 0;
    if (holder == 0) {
        if (unshare(CLONE_NEWUSER) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_USER, errno);
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (write(up[1], &byte, 1) == 1)
            for (;;) pause();
        _exit(1);
    }
    close(up[1]);
    /* An end of file: the holder has reported why. */
    if (read(up[0], &byte, 1) != 1) aegix_probe_await(report, holder);

    char digits[16] = {0}, text[64];
    char *at = digits + sizeof digits - 1;
    for (pid_t rest = holder; rest > 0; rest /= 10) *--at = (char)('0' + rest % 10);
    int root = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int process = openat(root, at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = 0, stage = AEGIX_PROBE_AT_MAP;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP};
    struct stat seen = {0};
    if (process < 0 || aegix_probe_write_file(process, "uid_map", map(text, 0, 100000)) < 0
        || aegix_probe_write_file(process, "gid_map", map(text, 0, 100000)) < 0)
        error = errno;
    if (error == 0) {
        stage = AEGIX_PROBE_AT_CALL;
        int namespace = openat(process, "ns/user", O_RDONLY | O_CLOEXEC);
        int tree = (int)syscall(SYS_open_tree, directory, "lower", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        attributes.userns_fd = (uint64_t)namespace;
        if (namespace < 0 || tree < 0
            || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
            error = errno;
        else if (fstatat(tree, "gone", &seen, AT_SYMLINK_NOFOLLOW) < 0)
            error = errno;
        else if (seen.st_uid != 100000)
            stage = AEGIX_PROBE_AT_EFFECT;
        else
            stage = AEGIX_PROBE_HELD;
    }
    kill(holder, SIGKILL);
    while (waitpid(holder, NULL, 0) < 0 && errno == EINTR) {}
    if (stage == AEGIX_PROBE_HELD) aegix_probe_held(report, 0);
    aegix_probe_failed(report, stage, error);
}

/* As the supervisor reads a command's words: Yama may forbid it. */
static void sight(int report) {
    static volatile char word = 1;
    int up[2];
    if (pipe2(up, O_CLOEXEC) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_USER, errno);
    pid_t other = aegix_probe_fork();
    if (other < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_USER, errno);
    if (other == 0) {
        if (unshare(CLONE_NEWUSER) < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_USER, errno);
        /* Both cleared by the change of credentials; an exec would set the second. */
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        word = 2;
        if (write(up[1], (char *)&word, 1) == 1)
            for (;;) pause();
        _exit(1);
    }
    close(up[1]);
    char heard = 0;
    /* An end of file: the other has reported why. */
    if (read(up[0], &heard, 1) != 1) aegix_probe_await(report, other);
    heard = 0;
    struct iovec here = {&heard, 1}, there = {(char *)&word, 1};
    int error = process_vm_readv(other, &here, 1, &there, 1, 0) < 0 ? errno : 0;
    kill(other, SIGKILL);
    while (waitpid(other, NULL, 0) < 0 && errno == EINTR) {}
    if (error) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, error);
    if (heard != 2) aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, 0);
    aegix_probe_held(report, 0);
}

static void relay(int report) {
    enter(report, CLONE_NEWNET);
    switch (aegix_relay_try()) {
    case 0: aegix_probe_held(report, 0);
    case AEGIX_RELAY_NAMESPACE: aegix_probe_failed(report, AEGIX_PROBE_AT_NAMESPACE, errno);
    case AEGIX_RELAY_LINK: aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    default: aegix_probe_failed(report, AEGIX_PROBE_AT_EFFECT, errno);
    }
}

/* What tier isolated begins with, in one try. */
static void isolated(int report) {
    enter_mounts(report, CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP);
    pid_t child = aegix_probe_fork();
    if (child < 0) aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    if (child > 0) aegix_probe_await(report, child);
    if (mount("proc", STAND, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        aegix_probe_failed(report, AEGIX_PROBE_AT_CALL, errno);
    mount_tmpfs(report);
    aegix_probe_held(report, 0);
}

void aegix_probe_namespaces(int kind, int directory, int report) {
    switch (kind) {
    case AEGIX_PROBE_USER_NAMESPACE: enter(report, 0); aegix_probe_held(report, 0);
    case AEGIX_PROBE_MOUNT_NAMESPACE: enter_mounts(report, 0); aegix_probe_held(report, 0);
    case AEGIX_PROBE_PID_NAMESPACE: pid_namespace(report); break;
    case AEGIX_PROBE_NETWORK_NAMESPACE: network_namespace(report); break;
    case AEGIX_PROBE_IPC_NAMESPACE: enter(report, CLONE_NEWIPC); aegix_probe_held(report, 0);
    case AEGIX_PROBE_UTS_NAMESPACE: uts_namespace(report); break;
    case AEGIX_PROBE_CGROUP_NAMESPACE: enter(report, CLONE_NEWCGROUP); aegix_probe_held(report, 0);
    case AEGIX_PROBE_PROC: proc(report); break;
    case AEGIX_PROBE_TMPFS: enter_mounts(report, 0); mount_tmpfs(report); aegix_probe_held(report, 0);
    case AEGIX_PROBE_OVERLAY: overlay(report, directory); break;
    case AEGIX_PROBE_MOUNT_SETATTR: recursive_read_only(report); break;
    case AEGIX_PROBE_ISOLATED: isolated(report); break;
    case AEGIX_PROBE_SIGHT: sight(report); break;
    case AEGIX_PROBE_RELAY: relay(report); break;
    case AEGIX_PROBE_IDMAPPED: idmapped(report, directory); break;
    default: break;
    }
}
