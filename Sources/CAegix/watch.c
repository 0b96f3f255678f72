/* The watchdog's eyes. A process that ends while it is looked at is skipped: that is no error. */
#include "aegix_watch.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BLOCK 4096u

/* Mirror of the kernel's struct linux_dirent64. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static ssize_t read_small(int directory, const char *path, char *text, size_t room) {
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t count = read(fd, text, room - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (count >= 0) text[count] = 0;
    return count;
}

static pid_t number(const char *name) {
    pid_t value = 0;
    if (*name < '1' || *name > '9') return 0;
    for (; *name; name++) {
        if (*name < '0' || *name > '9') return 0;
        value = value * 10 + (*name - '0');
    }
    return value;
}

/* Calls `each` for every name in the open directory, from its beginning. */
static int list(int directory, int (*each)(void *context, const struct entry *entry), void *context) {
    char room[8192] __attribute__((aligned(8)));
    if (lseek(directory, 0, SEEK_SET) < 0) return -1;
    for (;;) {
        long count = syscall(SYS_getdents64, directory, room, sizeof room);
        if (count <= 0) return (int)count;
        for (long at = 0; at < count;) {
            const struct entry *entry = (const struct entry *)(void *)(room + at);
            int rc = each(context, entry);
            if (rc != 0) return rc;
            at += entry->length;
        }
    }
}

static int count_names(void *context, const struct entry *entry) {
    if (entry->name[0] != '.') ++*(uint32_t *)context;
    return 0;
}

/* Since Linux 6.2 the directory's size is the number of descriptors; before, its names are counted. */
static uint32_t open_files(int proc, pid_t pid) {
    char path[32];
    struct stat st;
    snprintf(path, sizeof path, "%d/fd", pid);
    if (fstatat(proc, path, &st, 0) < 0) return 0;
    if (st.st_size > 0) return (uint32_t)st.st_size;
    uint32_t count = 0;
    int directory = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return 0;
    list(directory, count_names, &count);
    close(directory);
    return count;
}

/* Of a thread, where its process's first one has ended: that one has no memory any more, and the others have. */
struct living {
    int proc;
    pid_t pid;
    const char *file;
    char *text;
    size_t room;
    ssize_t length;
};

static int try_thread(void *context, const struct entry *entry) {
    struct living *of = context;
    char path[64];
    if (number(entry->name) == 0) return 0;
    snprintf(path, sizeof path, "%d/task/%.10s/%s", of->pid, entry->name, of->file);
    of->length = read_small(of->proc, path, of->text, of->room);
    return of->length > 0 && strncmp(of->text, "0 0 ", 4) != 0; /* the first that has any */
}

static int open_threads(int proc, pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "%d/task", pid);
    return openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A file of the process that its first thread answers, or else another one. */
static ssize_t read_living(int proc, pid_t pid, const char *file, char *text, size_t room, int *headless) {
    char path[40];
    snprintf(path, sizeof path, "%d/%s", pid, file);
    ssize_t length = read_small(proc, path, text, room);
    if (length > 0 && strncmp(text, "0 0 ", 4) != 0) return length;
    *headless = 1;
    struct living of = {proc, pid, file, text, room, length};
    int threads = open_threads(proc, pid);
    if (threads < 0) return -1;
    list(threads, try_thread, &of);
    close(threads);
    return of.length;
}

int aegix_watch_task(int proc, pid_t pid, struct aegix_task_facts *task) {
    char path[32], text[256];
    struct stat st;
    unsigned long long size, resident, shared, code, library, data;
    snprintf(path, sizeof path, "%d/task", pid);
    if (fstatat(proc, path, &st, 0) < 0) return -1;
    int headless = 0;
    if (read_living(proc, pid, "statm", text, sizeof text, &headless) <= 0) return -1;
    if (sscanf(text, "%llu %llu %llu %llu %llu %llu", &size, &resident, &shared, &code, &library, &data) != 6)
        return errno = EPROTO, -1;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *task = (struct aegix_task_facts){
        .pid = pid,
        .threads = st.st_nlink > 2 ? (uint32_t)st.st_nlink - 2 : 1,
        .files = open_files(proc, pid),
        .headless = (uint32_t)headless,
        .size = size * page,
        .resident = resident * page,
        .shared = shared * page,
        .data = data * page,
    };
    return 0;
}

struct task_list {
    int proc;
    struct aegix_task_facts *tasks;
    size_t room, found;
};

static int add_task(void *context, const struct entry *entry) {
    struct task_list *all = context;
    pid_t pid = number(entry->name);
    struct aegix_task_facts task;
    if (pid <= 1 || aegix_watch_task(all->proc, pid, &task) < 0) return 0;
    if (all->found < all->room) all->tasks[all->found] = task;
    all->found++;
    return 0;
}

ssize_t aegix_watch_tasks(int proc, struct aegix_task_facts *tasks, size_t room) {
    struct task_list all = {proc, tasks, room, 0};
    return list(proc, add_task, &all) < 0 ? -1 : (ssize_t)all.found;
}

struct count {
    int proc;
    uint64_t threads;
};

static int add_count(void *context, const struct entry *entry) {
    struct count *all = context;
    pid_t pid = number(entry->name);
    char path[32];
    struct stat st;
    if (pid <= 1) return 0;
    snprintf(path, sizeof path, "%d/task", pid);
    if (fstatat(all->proc, path, &st, 0) == 0) all->threads += st.st_nlink > 2 ? (uint64_t)st.st_nlink - 2 : 1;
    return 0;
}

uint64_t aegix_watch_count(int proc) {
    struct count all = {proc, 0};
    list(proc, add_count, &all);
    return all.threads;
}

static uint64_t kilobytes(const char *text, const char *name) {
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

/* A mapping of shared memory that no file system in view and no descriptor stands for. */
static int is_unnamed(const char *header) {
    return strstr(header, " /dev/zero (deleted)") || strstr(header, " /SYSV");
}

static uint64_t unnamed_bytes(int proc, pid_t pid) {
    char path[32], line[512];
    snprintf(path, sizeof path, "%d/smaps", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        if (fd >= 0) close(fd);
        return 0;
    }
    uint64_t total = 0;
    int counts = 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "Pss:", 4) == 0) {
            if (counts) total += strtoull(line + 4, NULL, 10) * 1024;
        } else if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f')) {
            counts = is_unnamed(line); /* the names of members begin with a capital */
        }
    }
    fclose(file);
    return total;
}

int aegix_watch_share(int proc, pid_t pid, int unnamed, struct aegix_share *share) {
    char text[4096];
    int headless = 0;
    if (read_living(proc, pid, "status", text, sizeof text, &headless) <= 0) return -1;
    share->tables = kilobytes(text, "VmPTE:");
    if (read_living(proc, pid, "smaps_rollup", text, sizeof text, &headless) <= 0) return -1;
    share->anonymous = kilobytes(text, "Pss_Anon:") + kilobytes(text, "SwapPss:");
    share->shared = kilobytes(text, "Pss_Shmem:");
    share->unnamed = unnamed && share->shared ? unnamed_bytes(proc, pid) : 0;
    return 0;
}

int aegix_watch_compare_memory(pid_t one, pid_t other) { return (int)syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0); }

/* Since Linux 6.11. */
#ifndef NS_GET_PID_FROM_PIDNS
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 0x6, int)
#define NS_GET_PID_IN_PIDNS _IOR(0xb7, 0x8, int)
#endif

pid_t aegix_watch_outside(int pid_namespace, pid_t pid) { return ioctl(pid_namespace, NS_GET_PID_FROM_PIDNS, pid); }

pid_t aegix_watch_inside(int pid_namespace, pid_t pid) { return ioctl(pid_namespace, NS_GET_PID_IN_PIDNS, pid); }

static long resident(void) {
    char text[256];
    long size, pages = -1;
    if (read_small(AT_FDCWD, "/proc/self/statm", text, sizeof text) <= 0) return -1;
    return sscanf(text, "%ld %ld", &size, &pages) == 2 ? pages : -1;
}

/* Each processor keeps some pages to itself before it adds them to the sum; newer kernels count those, too. Whether this
   one does shows in pages that are touched one by one. */
uint64_t aegix_watch_doubt(void) {
    enum { PAGES = 8, KEPT = 32 };
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), off = 0;
    volatile char *at = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return KEPT * page * (uint64_t)get_nprocs();
    for (uint64_t n = 0; n < PAGES; n++) {
        long before = resident();
        at[n * page] = 1;
        if (before < 0 || resident() <= before) off = KEPT * page * (uint64_t)get_nprocs();
    }
    munmap((void *)at, PAGES * page);
    return off;
}

struct open_list {
    int directory;
    struct aegix_open_facts *open;
    size_t room, found;
};

/* What a pipe holds, by a reader's descriptor of our own that takes nothing. */
static uint64_t waiting(int directory, const char *name) {
    int count = 0;
    int fd = openat(directory, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return 0;
    if (ioctl(fd, FIONREAD, &count) < 0) count = 0;
    close(fd);
    return (uint64_t)count;
}

/* Descriptors on their way through a Unix socket, which no process has open meanwhile. */
static uint64_t in_flight(int directory, const char *name) {
    char path[40], text[512];
    snprintf(path, sizeof path, "../fdinfo/%.10s", name);
    if (read_small(directory, path, text, sizeof text) <= 0) return 0;
    const char *line = strstr(text, "scm_fds:");
    return line ? strtoull(line + 8, NULL, 10) : 0;
}

static int add_open(void *context, const struct entry *entry) {
    struct open_list *all = context;
    struct stat st;
    char target[16];
    if (entry->name[0] == '.' || fstatat(all->directory, entry->name, &st, 0) < 0) return 0;
    uint32_t kind = 0;
    if (S_ISFIFO(st.st_mode)) kind = AEGIX_OPEN_PIPE;
    if (S_ISSOCK(st.st_mode)) kind = AEGIX_OPEN_SOCKET;
    if (S_ISREG(st.st_mode) && st.st_nlink == 0) {
        ssize_t length = readlinkat(all->directory, entry->name, target, sizeof target);
        kind = length > 7 && memcmp(target, "/memfd:", 7) == 0 ? AEGIX_OPEN_MEMORY : AEGIX_OPEN_UNLINKED;
    }
    if (kind == 0) return 0;
    uint64_t bytes = (uint64_t)st.st_blocks * 512;
    if (kind == AEGIX_OPEN_PIPE) bytes = waiting(all->directory, entry->name);
    if (kind == AEGIX_OPEN_SOCKET) bytes = in_flight(all->directory, entry->name);
    if (all->found < all->room) all->open[all->found] = (struct aegix_open_facts){st.st_dev, st.st_ino, bytes, kind};
    all->found++;
    return 0;
}

static int add_thread(void *context, const struct entry *entry) {
    struct open_list *all = context;
    char path[32];
    if (number(entry->name) == 0) return 0;
    snprintf(path, sizeof path, "%.10s/fd", entry->name);
    int threads = all->directory;
    all->directory = openat(threads, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (all->directory >= 0) {
        list(all->directory, add_open, all);
        close(all->directory);
    }
    all->directory = threads;
    return 0;
}

ssize_t aegix_watch_open(int proc, pid_t pid, struct aegix_open_facts *open, size_t room) {
    int threads = open_threads(proc, pid);
    if (threads < 0) return -1;
    struct open_list all = {threads, open, room, 0};
    int rc = list(threads, add_thread, &all);
    int error = errno;
    close(threads);
    errno = error;
    return rc < 0 ? -1 : (ssize_t)all.found;
}

int aegix_watch_time(int proc, pid_t pid, struct aegix_time_facts *time) {
    char path[32], text[1024];
    unsigned long long user, system, child_user, child_system, start;
    snprintf(path, sizeof path, "%d/stat", pid);
    if (read_small(proc, path, text, sizeof text) < 0) return -1;
    const char *fields = strrchr(text, ')'); /* the name may hold anything */
    if (!fields ||
        sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d %*d %*d %llu", &user,
               &system, &child_user, &child_system, &start) != 5)
        return errno = EPROTO, -1;
    *time = (struct aegix_time_facts){user, system, child_user, child_system, start};
    return 0;
}

int aegix_watch_filesystem(int descriptor, uint64_t *bytes, uint64_t *files, uint64_t *bytes_free) {
    struct statfs st;
    if (fstatfs(descriptor, &st) < 0) return -1;
    uint64_t unit = (uint64_t)st.f_bsize;
    *bytes = (st.f_blocks - st.f_bfree) * unit;
    *files = st.f_files - st.f_ffree;
    *bytes_free = st.f_files > 0 && st.f_ffree == 0 ? 0 : st.f_bfree * unit; /* out of inodes is full, too */
    return 0;
}

uint64_t aegix_watch_shared_memory(void) {
    struct sysinfo info;
    return sysinfo(&info) < 0 ? 0 : (uint64_t)info.sharedram * info.mem_unit;
}

struct tree {
    int directory, depth;
    struct aegix_tree_usage *usage;
};

static int walk(int directory, int depth, struct aegix_tree_usage *usage);

static int add_file(void *context, const struct entry *entry) {
    struct tree *at = context;
    struct stat st;
    const char *name = entry->name;
    if (name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0))) return 0;
    if (fstatat(at->directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return 0; /* gone again */
    uint64_t bytes = (uint64_t)st.st_blocks * 512;
    at->usage->files++;
    at->usage->bytes += bytes > BLOCK ? bytes : BLOCK;
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > at->usage->largest) at->usage->largest = (uint64_t)st.st_size;
    if (!S_ISDIR(st.st_mode)) return 0;
    int inner = openat(at->directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) return errno == EMFILE || errno == ENFILE ? -1 : 0;
    int rc = walk(inner, at->depth + 1, at->usage);
    close(inner);
    return rc;
}

static int walk(int directory, int depth, struct aegix_tree_usage *usage) {
    /* Deeper than any path that can be named in one call; each level holds a descriptor and 8 KiB. */
    if (depth > 200) return errno = ELOOP, -1;
    struct tree at = {directory, depth, usage};
    return list(directory, add_file, &at);
}

int aegix_watch_tree(int directory, struct aegix_tree_usage *usage) {
    *usage = (struct aegix_tree_usage){0, 0, 0};
    int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) return -1;
    int rc = walk(own, 0, usage);
    int error = errno;
    close(own);
    errno = error;
    return rc;
}
