// K6, K14: other processes. `processes PID MARKER SECRET`: PID and MARKER belong to a process of the host; SECRET is in the caller's
// environment and must not be found under any process in view. Both are given backwards, so as not to find this very argument. `processes` alone: pid 1 only.
#include "probe.h"
#include <ctype.h>
#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

static int holds(const char *path, const char *needle) {
    static char text[1 << 20];
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0) return 0;
    ssize_t size = read(fd, text, sizeof text);
    close(fd);
    return size > 0 && memmem(text, (size_t)size, needle, strlen(needle)) != NULL;
}

/// How many processes in view show the word in what the kernel tells of them.
static int showing(const char *word, const char *const *files) {
    DIR *directory = opendir("/proc");
    int found = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == getpid()) continue;
        for (const char *const *file = files; *file; file++) {
            char path[512];
            snprintf(path, sizeof path, "/proc/%s/%s", entry->d_name, *file);
            if (holds(path, word)) { found++; break; }
        }
    }
    if (directory) closedir(directory);
    return found;
}

static long own_child_killed(void) {
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    if (kill(child, SIGKILL)) return -1;
    return waitpid(child, NULL, 0);
}

static void attack(const char *who, pid_t pid) {
    char name[96], path[64];
    static const char *const files[] = {"environ", "mem", "maps", "auxv", "stack", "syscall", "io"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "%s %s", who, files[i]);
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        // A zero-length environ still means that it is open: reading must fail, not merely yield nothing.
        ATTEMPT(name, ({ int fd = open(path, O_RDONLY); char c; long n = fd < 0 ? -1 : pread(fd, &c, 1, strcmp(files[i], "mem") ? 0 : 4096); fd >= 0 && n < 0 && errno == EIO ? 0 : n; }));
    }
    snprintf(name, sizeof name, "%s mem for writing", who);
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    ATTEMPT(name, opened(open(path, O_RDWR)));
    static const char *const links[] = {"exe", "cwd", "root", "ns/user", "ns/mnt", "fd/0", "fd/1", "fd/2", "fd/3"};
    char target[256];
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(name, sizeof name, "%s %s", who, links[i]);
        snprintf(path, sizeof path, "/proc/%d/%s", pid, links[i]);
        ATTEMPT(name, readlink(path, target, sizeof target));
    }
    snprintf(name, sizeof name, "%s fd", who);
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    ATTEMPT(name, ({ DIR *d = opendir(path); d ? 0 : -1; }));
    snprintf(name, sizeof name, "%s root/etc", who);
    snprintf(path, sizeof path, "/proc/%d/root/etc", pid);
    ATTEMPT(name, opened(open(path, O_RDONLY)));
    snprintf(name, sizeof name, "%s ptrace", who);
    ATTEMPT(name, ptrace(PTRACE_SEIZE, pid, 0, 0));
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)&attack, 1};
    snprintf(name, sizeof name, "%s process_vm_readv", who);
    ATTEMPT(name, syscall(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0));
    snprintf(name, sizeof name, "%s process_vm_writev", who);
    ATTEMPT(name, syscall(SYS_process_vm_writev, pid, &here, 1, &there, 1, 0));
    snprintf(name, sizeof name, "%s pidfd_getfd", who);
    ATTEMPT(name, ({ long p = syscall(434, pid, 0); p < 0 ? p : syscall(438, p, 0, 0); }));
    struct rlimit limit = {0, 0};
    snprintf(name, sizeof name, "%s prlimit", who);
    ATTEMPT(name, syscall(SYS_prlimit64, pid, RLIMIT_FSIZE, &limit, NULL));
}

static char *backwards(char *text) {
    for (size_t i = 0, n = strlen(text); i < n / 2; i++) { char c = text[i]; text[i] = text[n - 1 - i]; text[n - 1 - i] = c; }
    return strdup(text);
}

int main(int argc, char **argv) {
    static const char *const told[] = {"cmdline", "environ", "comm", NULL};
    ATTEMPT("control: kill own child", own_child_killed());
    if (argc > 2) {
        pid_t host = atoi(argv[1]);
        char *marker = backwards(argv[2]), *secret = argc > 3 ? backwards(argv[3]) : NULL;
        for (int i = 2; i < argc; i++) memset(argv[i], 'x', strlen(argv[i]));  // the kernel shows these bytes as cmdline
        char text[16];
        snprintf(text, sizeof text, "%d", showing(marker, told));
        fact("processes showing the marker", text);
        if (secret) {
            snprintf(text, sizeof text, "%d", showing(secret, told));
            fact("processes showing the secret", text);
        }
        ATTEMPT("host kill 0", kill(host, 0));
        ATTEMPT("host pidfd_open", opened((int)syscall(434, host, 0)));
        attack("host", host);
    }
    if (argc == 1) attack("pid 1", 1);
    return 0;
}
