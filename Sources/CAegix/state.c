/* Thin wrappers for the state directory, no decisions. */
#include "aegix_state.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int aegix_mkdirat(int directory, const char *name, mode_t mode) { return mkdirat(directory, name, mode); }

int aegix_unlinkat(int directory, const char *name, int flags) { return unlinkat(directory, name, flags); }

int aegix_renameat(int directory, const char *from, const char *to) {
    return renameat(directory, from, directory, to);
}

int aegix_rename_to(int directory, const char *from, int other_directory, const char *to) {
    return renameat(directory, from, other_directory, to);
}

int aegix_linkat(int from_directory, const char *from, int to_directory, const char *to) {
    return linkat(from_directory, from, to_directory, to, 0);
}

int aegix_fchmodat(int directory, const char *name, mode_t mode) { return fchmodat(directory, name, mode, 0); }

static void fill(struct aegix_file_facts *facts, const struct stat *found) {
    facts->device = found->st_dev;
    facts->inode = found->st_ino;
    facts->size = (uint64_t)found->st_size;
    facts->links = found->st_nlink;
    facts->mode = found->st_mode;
    facts->uid = found->st_uid;
    facts->gid = found->st_gid;
}

int aegix_fstat(int descriptor, struct aegix_file_facts *facts) {
    struct stat found;
    int result = fstat(descriptor, &found);
    if (result == 0) fill(facts, &found);
    return result;
}

int aegix_fstatat(int directory, const char *name, struct aegix_file_facts *facts) {
    struct stat found;
    int result = fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW);
    if (result == 0) fill(facts, &found);
    return result;
}

int aegix_flock(int descriptor, int operation) { return flock(descriptor, operation); }

ssize_t aegix_pread(int descriptor, void *buffer, size_t length, uint64_t offset) {
    return pread(descriptor, buffer, length, (off_t)offset);
}

ssize_t aegix_list_names(int directory, char *names, size_t length) {
    _Alignas(struct dirent64) char buffer[4096];
    size_t used = 0;
    if (lseek(directory, 0, SEEK_SET) < 0) return -1;
    for (;;) {
        ssize_t count = getdents64(directory, buffer, sizeof buffer);
        if (count < 0) return -1;
        if (count == 0) return (ssize_t)used;
        for (ssize_t at = 0; at < count;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
            at += entry->d_reclen;
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
            size_t size = strlen(entry->d_name) + 1;
            if (used + size > length) return (ssize_t)used;
            memcpy(names + used, entry->d_name, size);
            used += size;
        }
    }
}

int aegix_fork_aside(void) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int stream = 0; stream < 3 && null >= 0; stream++) dup2(null, stream);
    return 0;
}

ssize_t aegix_find(const void *bytes, size_t length, const void *needle, size_t needle_length) {
    const char *found = memmem(bytes, length, needle, needle_length);
    return found ? found - (const char *)bytes : -1;
}

ssize_t aegix_find_last(const void *bytes, size_t length, int byte) {
    const char *found = memrchr(bytes, byte, length);
    return found ? found - (const char *)bytes : -1;
}
