// Plain operations on paths, one after the other, each with its errno: `files read P write P link FROM TO …`.
//   read     open for reading and take a byte        stat, list, chdir, exec
//   write    open an existing file for writing, append a byte       create   make it (O_EXCL)
//   path     open O_PATH, then again through /proc/self/fd          mkdir, unlink, truncate, fifo, link, rename, symlink
//   reach    the nearest: creates or opens for writing without harm: open O_WRONLY only, nothing written
#include "probe.h"
#include <dirent.h>

static long read_one(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char byte;
    return fd < 0 ? fd : read(fd, &byte, 1);
}

static long write_one(const char *path, int flags) {
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | flags, 0644);
    return fd < 0 ? fd : write(fd, "!", 1);
}

static long reopen(const char *path, int flags) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    char again[64];
    if (fd < 0) return fd;
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    return opened(open(again, flags | O_NONBLOCK));
}

static long list(const char *path) {
    DIR *directory = opendir(path);
    return directory ? (closedir(directory), 0) : -1;
}

static long one(const char *verb, const char *path, const char *other) {
    struct stat status;
    if (!strcmp(verb, "read")) return read_one(path);
    if (!strcmp(verb, "write")) return write_one(path, O_APPEND);
    if (!strcmp(verb, "create")) return write_one(path, O_CREAT | O_EXCL);
    if (!strcmp(verb, "reach")) return opened(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (!strcmp(verb, "path")) return reopen(path, O_RDONLY);
    if (!strcmp(verb, "path-write")) return reopen(path, O_WRONLY);
    if (!strcmp(verb, "stat")) return stat(path, &status);
    if (!strcmp(verb, "list")) return list(path);
    if (!strcmp(verb, "chdir")) return chdir(path);
    if (!strcmp(verb, "mkdir")) return mkdir(path, 0755);
    if (!strcmp(verb, "unlink")) return unlink(path);
    if (!strcmp(verb, "truncate")) return truncate(path, 0);
    if (!strcmp(verb, "fifo")) return mkfifo(path, 0644);
    if (!strcmp(verb, "chmod")) return chmod(path, 0777);
    if (!strcmp(verb, "exec")) return execl(path, path, (char *)NULL);
    if (!strcmp(verb, "chrdev")) return mknod(path, S_IFCHR | 0666, (1 << 8) | 5);
    if (!strcmp(verb, "blkdev")) return mknod(path, S_IFBLK | 0666, (8 << 8) | 0);
    if (!strcmp(verb, "link")) return link(path, other);
    if (!strcmp(verb, "rename")) return rename(path, other);
    if (!strcmp(verb, "symlink")) return symlink(path, other);
    fprintf(stderr, "files: no such verb: %s\n", verb);
    exit(2);
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *verb = argv[i], *path = argv[i + 1], *other = NULL;
        int two = !strcmp(verb, "link") || !strcmp(verb, "rename") || !strcmp(verb, "symlink");
        if (two) other = argv[++i + 1];
        char name[9000];
        snprintf(name, sizeof name, "%s %s", verb, other ? other : path);
        if (!strcmp(verb, "chdir")) {  // has to last, so it can't be in a child
            errno = 0;
            outcome(name, one(verb, path, other));
        } else {
            ATTEMPT(name, one(verb, path, other));
        }
    }
    return 0;
}
