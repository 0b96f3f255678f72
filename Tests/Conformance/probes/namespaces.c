// K9: new namespaces, the mount API, and the calls that reach into the kernel or into other processes.
// `namespaces safe` leaves out what would do harm where nothing holds it back.
#include "probe.h"
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <time.h>

static const struct { const char *name; unsigned long flag; } kinds[] = {
    {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},   {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80},
};

static long clone_with(unsigned long flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    if (child > 0) waitpid((pid_t)child, NULL, 0);
    return child;
}

static long clone3_with(uint64_t flags) {
    uint64_t arguments[11] = {flags, 0, 0, 0, SIGCHLD};
    long child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0) _exit(0);
    if (child > 0) waitpid((pid_t)child, NULL, 0);
    return child;
}

static long join(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fd;
    return syscall(SYS_setns, fd, 0);
}

static void *idle(void *unused) { return unused; }
static long thread(void) {
    pthread_t id;
    int error = pthread_create(&id, NULL, idle, NULL);
    if (error) { errno = error; return -1; }
    pthread_join(id, NULL);
    return 0;
}

static long own_child_traced(void) {
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    long result = ptrace(PTRACE_ATTACH, child, 0, 0);
    int error = errno;
    kill(child, SIGKILL);
    waitpid(child, NULL, __WALL);
    errno = error;
    return result;
}

int main(int argc, char **argv) {
    int safe = argc > 1 && !strcmp(argv[1], "safe");
    char name[64];

    ATTEMPT("control: fork", clone_with(0));
    ATTEMPT("control: thread", thread());
    ATTEMPT("control: mmap", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(name, sizeof name, "unshare(%s)", kinds[i].name);
        ATTEMPT(name, syscall(SYS_unshare, kinds[i].flag));
        if (kinds[i].flag != 0x80) {  // 0x80 lies in clone's signal byte: a time namespace comes by unshare or clone3 only
            snprintf(name, sizeof name, "clone(%s)", kinds[i].name);
            ATTEMPT(name, clone_with(kinds[i].flag));
        }
        snprintf(name, sizeof name, "clone3(%s)", kinds[i].name);
        ATTEMPT(name, clone3_with(kinds[i].flag));
        // Alone most need privileges; after a user namespace of one's own they don't. That is the usual way in.
        snprintf(name, sizeof name, "unshare(user+%s)", kinds[i].name);
        if (i) ATTEMPT(name, syscall(SYS_unshare, CLONE_NEWUSER | kinds[i].flag));
        snprintf(name, sizeof name, "setns(%s)", kinds[i].name);
        char path[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
        ATTEMPT(name, join(path));
    }
    ATTEMPT("setns(pidfd)", syscall(SYS_setns, syscall(SYS_pidfd_open, getppid() ? getppid() : getpid(), 0), CLONE_NEWNS));

    ATTEMPT("mount(tmpfs)", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    ATTEMPT("mount(bind)", syscall(SYS_mount, "/", "/tmp", 0, MS_BIND | MS_REC, 0));
    ATTEMPT("mount(proc)", syscall(SYS_mount, "proc", "/tmp", "proc", 0, 0));
    ATTEMPT("mount(remount)", syscall(SYS_mount, "none", "/", 0, MS_REMOUNT | MS_BIND, 0));
    ATTEMPT("mount(propagation)", syscall(SYS_mount, "none", "/", 0, MS_PRIVATE | MS_REC, 0));
    ATTEMPT("umount2", syscall(SYS_umount2, "/proc", MNT_DETACH));
    ATTEMPT("open_tree", syscall(428, AT_FDCWD, "/", 1 | O_CLOEXEC));
    ATTEMPT("fsopen", syscall(430, "tmpfs", 0));
    ATTEMPT("fspick", syscall(433, AT_FDCWD, "/", 0));
    ATTEMPT("move_mount", syscall(429, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
    ATTEMPT("fsmount", syscall(432, -1, 0, 0));
    ATTEMPT("fsconfig", syscall(431, -1, 0, 0, 0, 0));
    uint64_t attributes[4] = {0, MS_RDONLY, 0, 0};  // clear read-only
    ATTEMPT("mount_setattr", syscall(442, AT_FDCWD, "/", 0x8000, attributes, sizeof attributes));
    ATTEMPT("pivot_root", syscall(SYS_pivot_root, "/", "/"));
    ATTEMPT("chroot", syscall(SYS_chroot, "/tmp"));

    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    ATTEMPT("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map));
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1, .exclude_hv = 1};
    ATTEMPT("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
    ATTEMPT("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC | 1));
    ATTEMPT("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
    char handle[136] = {128};
    int mount_id;
    ATTEMPT("open_by_handle_at", (syscall(SYS_name_to_handle_at, AT_FDCWD, "/", handle, &mount_id, 0), syscall(SYS_open_by_handle_at, AT_FDCWD, handle, O_RDONLY)));
    ATTEMPT("syslog", syscall(SYS_syslog, 3, malloc(4096), 4096));
    fact("traces its own child", own_child_traced() < 0 ? "no" : "yes");
    if (safe) return 0;

    // Seized and not attached: where it works, attaching would leave pid 1 stopped, and the run hanging.
    ATTEMPT("ptrace(pid 1)", ptrace(PTRACE_SEIZE, 1, 0, 0));
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)&main, 1};
    ATTEMPT("process_vm_readv(pid 1)", syscall(SYS_process_vm_readv, 1, &here, 1, &there, 1, 0));
    ATTEMPT("process_vm_writev(pid 1)", syscall(SYS_process_vm_writev, 1, &here, 1, &there, 1, 0));
    ATTEMPT("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
    ATTEMPT("init_module", syscall(SYS_init_module, "", 0, ""));
    ATTEMPT("finit_module", syscall(SYS_finit_module, -1, "", 0));
    ATTEMPT("delete_module", syscall(SYS_delete_module, "nothing", 0));
    ATTEMPT("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* ctrl-alt-del off */, 0));
    ATTEMPT("swapon", syscall(SYS_swapon, "/nothing", 0));
    ATTEMPT("swapoff", syscall(SYS_swapoff, "/nothing"));
    ATTEMPT("acct", syscall(SYS_acct, "/nothing"));
    ATTEMPT("quotactl", syscall(SYS_quotactl, 0x80000100, "/dev/null", 0, 0));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    ATTEMPT("clock_settime", syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
    long moment[2] = {now.tv_sec, 0};
    ATTEMPT("settimeofday", syscall(SYS_settimeofday, moment, 0));
    ATTEMPT("sethostname", syscall(SYS_sethostname, "taken", 5));
    ATTEMPT("setdomainname", syscall(SYS_setdomainname, "taken", 5));
#ifdef __x86_64__
    ATTEMPT("iopl", syscall(SYS_iopl, 3));
    ATTEMPT("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
#endif
    return 0;
}
