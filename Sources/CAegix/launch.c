/* From clone3 to exec, in order. The order is the argument:
     death signal   first, so that the supervisor's end is ours from here on
     cgroup         its namespace, while all capabilities over our own namespaces are still there
     identity       before any file is made, so that all belong to the right owner
     root, mounts   while we still hold capabilities over our own namespaces
     terminal       from the new devpts, before ioctls are restricted
     limits         before privileges go, since a hard limit may have to rise
     privileges     then Landlock (needs no_new_privs), then seccomp last: everything above needs calls it refuses
     handover       listener, root and terminal to the supervisor; nothing of it stays here
     fork           the command is pid 2 and waits until pid 1 is sealed
   Nothing here decides, allocates, locks or prints. */
#include "child.h"
#include "message.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#ifndef CLONE_INTO_CGROUP /* glibc's sched.h leaves it to linux/sched.h, which can't be had beside it */
#define CLONE_INTO_CGROUP 0x200000000ull
#endif

/* Mirror of the kernel's struct clone_args up to cgroup. */
struct clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
_Static_assert(sizeof(struct clone_arguments) == 88, "struct clone_args, version 2");

static _Noreturn void fail(struct aegix_page *page, enum aegix_stage stage, int32_t index) {
    page->error = errno;
    page->index = index;
    __atomic_store_n(&page->stage, stage, __ATOMIC_RELEASE);
    _exit(125);
}

static int hung_up(int control) {
    struct pollfd peer = {control, 0, 0};
    errno = EPIPE;
    return poll(&peer, 1, 0) > 0;
}

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t length = strlen(text);
    ssize_t count = write(fd, text, length);
    int error = errno;
    close(fd);
    errno = error;
    return count == (ssize_t)length ? 0 : -1;
}

static void wait_for(uint32_t *word) {
    while (!__atomic_load_n(word, __ATOMIC_ACQUIRE)) syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

void aegix_page_say(uint32_t *word) {
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* The supervisor's word, then the detached trees. The supervisor's end is ours, so this doesn't wait for ever. */
static int wait_release(struct aegix_page *page, int control, int *trees, uint32_t expected) {
    wait_for(&page->released);
    char word;
    size_t got;
    long count = aegix_message_receive(control, 0, &word, 1, trees, AEGIX_TREES, &got);
    if (count < 0) return -1;
    if (count == 0) return errno = EPIPE, -1;
    if (got != expected) return errno = EPROTO, -1;
    return 0;
}

static int take_identity(const struct aegix_launch *launch, int *trees) {
    if (launch->uid_map) {
        if (write_file("/proc/self/setgroups", "deny") < 0) return -1;
        if (write_file("/proc/self/uid_map", launch->uid_map) < 0) return -1;
        return write_file("/proc/self/gid_map", launch->gid_map);
    }
    if (wait_release(launch->page, launch->control, trees, launch->trees) < 0) return -1;
    /* System calls, not glibc's wrappers: those would signal the threads of the process we were cloned from. */
    if (syscall(SYS_setgroups, 0, NULL) < 0) return -1;
    if (syscall(SYS_setresgid, launch->gid, launch->gid, launch->gid) < 0) return -1;
    return (int)syscall(SYS_setresuid, launch->uid, launch->uid, launch->uid);
}

int aegix_child_loopback(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int rc = ioctl(fd, SIOCSIFFLAGS, &request);
    int error = errno;
    close(fd);
    errno = error;
    return rc;
}

/* Different runs begin at different processors, so that they don't all share the first. */
static int take_processors(uint32_t count, uint32_t first) {
    cpu_set_t allowed, taken;
    if (count == 0) return 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) return -1;
    uint32_t there = (uint32_t)CPU_COUNT(&allowed), seen = 0;
    CPU_ZERO(&taken);
    for (int number = 0; number < CPU_SETSIZE; number++) {
        if (!CPU_ISSET(number, &allowed)) continue;
        if ((seen + there - first % there) % there < count) CPU_SET(number, &taken);
        seen++;
    }
    return sched_setaffinity(0, sizeof taken, &taken);
}

static int set_limits(const struct aegix_launch *launch, int32_t *index) {
    *index = -1;
    if (take_processors(launch->processors, launch->first_processor) < 0) return -1;
    for (size_t i = 0; i < launch->limit_count; i++) {
        *index = (int32_t)i;
        /* The caller may have less to give: a limit is never raised above its own. */
        struct rlimit limit = {launch->limits[i].soft, launch->limits[i].hard}, given;
        if (getrlimit(launch->limits[i].resource, &given) < 0) return -1;
        if (limit.rlim_max > given.rlim_max) limit.rlim_max = given.rlim_max;
        if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
        if (setrlimit(launch->limits[i].resource, &limit) < 0) return -1;
    }
    return 0;
}

/* What sockets hold counts as memory, and only a socket of this network namespace can be asked. */
static int send_socket_monitor(int control) {
    int monitor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (monitor < 0) return errno == EPROTONOSUPPORT ? 0 : -1; /* a kernel without it: they aren't counted */
    int rc = aegix_message_send(control, AEGIX_WORD_SOCKETS, 1, &monitor, 1);
    int error = errno;
    close(monitor);
    errno = error;
    return rc;
}

/* Where no network is, lookups come here, to be refused and recorded by name. Nobody inside could bind this port. */
static int send_name_socket(int control) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int names = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (names < 0) return -1;
    int rc = bind(names, (struct sockaddr *)&place, sizeof place);
    if (rc == 0) rc = aegix_message_send(control, AEGIX_WORD_NAMES, 1, &names, 1);
    int error = errno;
    close(names);
    errno = error;
    return rc;
}

static void reset_signals(void) {
    /* By system call: glibc keeps 32 and 33 to itself, and a caller may have them ignored. All zero is SIG_DFL. */
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } plain;
    memset(&plain, 0, sizeof plain);
    for (int number = 1; number < NSIG; number++) syscall(SYS_rt_sigaction, number, &plain, NULL, sizeof plain.mask);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int take_stdio(const struct aegix_launch *launch, int slave) {
    int null = -1;
    int source[3];
    for (int i = 0; i < 3; i++) {
        source[i] = launch->stdio[i] == -2 ? slave : launch->stdio[i];
        if (source[i] >= 0 && source[i] > 2) continue;
        if (source[i] >= 0) { /* out of the way of the targets 0, 1, 2 */
            source[i] = fcntl(source[i], F_DUPFD_CLOEXEC, 3);
        } else {
            if (null < 0) null = open("/dev/null", O_RDWR | O_CLOEXEC);
            if (null >= 0 && null < 3) null = fcntl(null, F_DUPFD_CLOEXEC, 3);
            source[i] = null;
        }
        if (source[i] < 0) return -1;
    }
    for (int i = 0; i < 3; i++)
        if (dup2(source[i], i) < 0) return -1;
    if (slave >= 0 && ioctl(slave, TIOCSCTTY, 0) < 0) return -1;
    return (int)syscall(SYS_close_range, 3, UINT_MAX, 0);
}

/* A domain within init's: signals reach the run's own processes and not init. If init is killed by somebody outside, the
   command goes with it, and the supervisor ends the rest. */
static int leave_init(pid_t init, int ruleset) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return -1;
    if (syscall(SYS_getppid) != init) return errno = ESRCH, -1;
    if (aegix_child_landlock_again(ruleset) < 0) return -1;
    return aegix_child_scope_holds(init);
}

/* pid 2: the command. It keeps nothing open but 0, 1, 2 and execs when pid 1 is sealed. */
static _Noreturn void run_command(const struct aegix_launch *launch, int slave, pid_t init, int ruleset) {
    struct aegix_page *page = launch->page;
    if (launch->confined && leave_init(init, ruleset) < 0) fail(page, AEGIX_STAGE_LANDLOCK, -1);
    setsid();
    if (take_stdio(launch, slave) < 0) fail(page, AEGIX_STAGE_STDIO, 0);
    if (chdir(launch->cwd) < 0) fail(page, AEGIX_STAGE_CWD, 0);
    reset_signals();
    wait_for(&page->sealed);
    /* Nothing of the sandbox's runs yet that could look into what we were cloned from, and the exec takes that away. */
    if (launch->held && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) fail(page, AEGIX_STAGE_EXEC, 1);
    int error = ENOENT;
    for (const char *const *candidate = launch->candidates; *candidate; candidate++) {
        struct stat st;
        if (stat(*candidate, &st) < 0) { /* only a thing that is there is tried, so that the record shows no guesses */
            if (errno == EACCES) error = EACCES;
            continue;
        }
        execve(*candidate, (char *const *)launch->argv, (char *const *)launch->environment);
        error = errno;
        if (error != EACCES && error != ENOENT && error != ENOTDIR) break;
    }
    errno = error;
    fail(page, AEGIX_STAGE_EXEC, 0);
}

/* Everything that needs a namespace. */
static void enter_root(const struct aegix_launch *launch) {
    struct aegix_page *page = launch->page;
    int trees[AEGIX_TREES];
    int32_t index = 0;
    /* A cgroup namespace made with the clone would have the supervisor's cgroup as its root: the kernel takes what the
       caller is in when it copies namespaces, and puts the child where it belongs later. */
    if (launch->cgroup >= 0) {
        close(launch->cgroup);
        if (unshare(CLONE_NEWCGROUP) < 0) fail(page, AEGIX_STAGE_CGROUP, 0);
    }
    /* Who joins our namespaces has to find us as we were cloned: other ids would close us to a caller without powers. */
    if (launch->relayed) wait_for(&page->joined);
    if (take_identity(launch, trees) < 0) fail(page, AEGIX_STAGE_IDENTITY, 0);
    if (sethostname(launch->hostname, strlen(launch->hostname)) < 0) fail(page, AEGIX_STAGE_HOST, 0);
    if (launch->own_network && aegix_child_loopback() < 0) fail(page, AEGIX_STAGE_HOST, 1);
    int may_bind = launch->keep >> CAP_NET_BIND_SERVICE & 1; /* a resolver of its own, then */
    if (launch->own_network && !launch->relayed && !may_bind && send_name_socket(launch->control) < 0)
        fail(page, AEGIX_STAGE_HOST, 3);
    if (launch->watch_sockets && send_socket_monitor(launch->control) < 0) fail(page, AEGIX_STAGE_HOST, 2);
    umask(0); /* the steps' modes are exact */
    if (aegix_child_root(launch->root_options) < 0) fail(page, AEGIX_STAGE_ROOT, 0);
    if (aegix_child_mounts(launch, trees, &index) < 0) fail(page, AEGIX_STAGE_MOUNT, index);
    if (aegix_child_seal_root() < 0) fail(page, AEGIX_STAGE_SEAL_ROOT, 0);
}

/* pid 1; in tier confined, the reaper of everything that the command starts. */
static _Noreturn void run_child(const struct aegix_launch *launch) {
    struct aegix_page *page = launch->page;
    int32_t index = 0;
    int ruleset = -1;
    pid_t init = (pid_t)syscall(SYS_getpid), supervisor = (pid_t)syscall(SYS_getppid);
    close(launch->peer);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) fail(page, AEGIX_STAGE_PARENT, 0);
    /* The supervisor may have died before that call. Its descriptors close before its children are told, so a dead one
       shows here; one that dies from now on takes us with it. */
    if (hung_up(launch->control)) fail(page, AEGIX_STAGE_PARENT, 2);
    if (!launch->confined) enter_root(launch);
    else if (aegix_child_confined_identity(launch) < 0) fail(page, AEGIX_STAGE_IDENTITY, 0);
    umask(launch->umask);
    int descriptors[3] = {-1, -1, -1}, slave = -1;
    if (launch->stdio[0] == -2 || launch->stdio[1] == -2 || launch->stdio[2] == -2)
        if (aegix_child_terminal(launch, &descriptors[2], &slave) < 0) fail(page, AEGIX_STAGE_TERMINAL, 0);
    descriptors[1] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (descriptors[1] < 0) fail(page, AEGIX_STAGE_ROOT, 1);
    /* A session keyring of its own: the caller's isn't possessed. Kernels without keys have nothing to leave. */
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM &&
        errno != EDQUOT)
        fail(page, AEGIX_STAGE_PRIVILEGES, 1);
    index = 0;
    if (set_limits(launch, &index) < 0) fail(page, AEGIX_STAGE_LIMITS, index);
    /* Kept over fork and exec. The filter refuses the call to everybody inside. */
    if (launch->plain_addresses && syscall(SYS_personality, ADDR_NO_RANDOMIZE) < 0)
        fail(page, AEGIX_STAGE_ADDRESSES, 0);
    if ((launch->confined ? aegix_child_powerless() : aegix_child_privileges(launch->keep)) < 0)
        fail(page, AEGIX_STAGE_PRIVILEGES, 0);
    if (aegix_child_landlock(launch, &index, launch->confined ? &ruleset : NULL) < 0)
        fail(page, AEGIX_STAGE_LANDLOCK, index);
    if (launch->confined && aegix_child_scope_holds(supervisor) < 0) fail(page, AEGIX_STAGE_LANDLOCK, -2);
    /* The command's exec sets this back for the command; pid 1 stays closed to it for good. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) fail(page, AEGIX_STAGE_PRIVILEGES, 2);
    /* Again: a change of credentials clears it. If the supervisor died before, the handover fails instead. */
    if (prctl(PR_SET_PDEATHSIG, launch->confined ? AEGIX_END_ALL : SIGKILL, 0, 0, 0) < 0)
        fail(page, AEGIX_STAGE_PARENT, 1);
    if (launch->relayed) wait_for(&page->connected);
    descriptors[0] = aegix_child_seccomp(launch);
    if (descriptors[0] < 0) fail(page, AEGIX_STAGE_SECCOMP, 0);
    if (aegix_message_send(launch->control, AEGIX_WORD_READY, 1, descriptors, descriptors[2] < 0 ? 2 : 3) < 0)
        fail(page, AEGIX_STAGE_HANDOVER, 0);
    /* Nothing runs before it is recorded. As late as can be: the record is begun while the kernel translates the filter. */
    wait_for(&page->recorded);
    pid_t command = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (command < 0) fail(page, AEGIX_STAGE_FORK, 0);
    if (command == 0) run_command(launch, slave, init, ruleset);
    syscall(SYS_close_range, 0, UINT_MAX, 0);
    aegix_init(page, command, launch->deadline, launch->confined);
}

/* A new child waits behind its parent on the parent's processor, and this parent has work left to do: on to another one
   that the caller may use, at once and without keeping it there. */
static void move_away(pid_t pid) {
    cpu_set_t allowed, others;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) < 2) return;
    others = allowed;
    int here = sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE) return;
    CPU_CLR(here, &others);
    if (sched_setaffinity(pid, sizeof others, &others) == 0) sched_setaffinity(pid, sizeof allowed, &allowed);
}

pid_t aegix_spawn(const struct aegix_launch *launch, int *pidfd) {
    struct clone_arguments arguments = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (launch->own_network) arguments.flags |= CLONE_NEWNET;
    if (launch->cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)launch->cgroup;
    } else {
        arguments.flags |= CLONE_NEWCGROUP;
    }
    /* Everything stays blocked in pid 1: it takes signals by waiting for them. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    /* A container that refuses namespaces refuses clone3 altogether, whose flags its filter can't read. */
    long pid = launch->confined ? syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL)
                                : syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) run_child(launch);
    if (pid > 0) move_away((pid_t)pid);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return (pid_t)pid;
}

int aegix_send_release(struct aegix_page *page, int control, const int *trees, uint32_t count) {
    if (aegix_message_send(control, "g", 1, trees, count) < 0) return -1;
    aegix_page_say(&page->released);
    return 0;
}

int aegix_receive_handover(int control, int timeout_ms, int *listener, int *root, int *terminal) {
    *listener = *root = *terminal = -1;
    struct pollfd ready = {control, POLLIN, 0};
    int rc;
    do rc = poll(&ready, 1, timeout_ms);
    while (rc < 0 && errno == EINTR);
    if (rc < 0) return -1;
    if (rc == 0) return errno = ETIMEDOUT, -1;
    char word;
    int got[3] = {-1, -1, -1};
    size_t came;
    long count = aegix_message_receive(control, MSG_DONTWAIT, &word, 1, got, 3, &came);
    if (count <= 0) return (int)count;
    if (came == 0) return errno = EPROTO, -1;
    *listener = got[0];
    *root = got[1];
    *terminal = got[2];
    return word == *AEGIX_WORD_NAMES ? 3 : word == *AEGIX_WORD_SOCKETS ? 2 : 1;
}

struct aegix_page *aegix_page_map(void) {
    void *page = mmap(NULL, sizeof(struct aegix_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

void aegix_page_extend(struct aegix_page *page, uint64_t nanoseconds) {
    __atomic_store_n(&page->extension, nanoseconds, __ATOMIC_RELEASE);
}

void aegix_page_unmap(struct aegix_page *page) { munmap(page, sizeof *page); }
