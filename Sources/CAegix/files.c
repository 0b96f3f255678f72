/* Files outside the sandbox, by descriptor: copies of a workspace, and what a confined command has done for it. No
   decisions. */
#include "aegix_supervise.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int aegix_open_plain(int directory, const char *path, int flags) {
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

/* The way to the file itself that chmod and its like accept for a descriptor of O_PATH. */
struct place {
    char path[40];
};
static struct place place(int descriptor) {
    struct place made;
    snprintf(made.path, sizeof made.path, "/proc/self/fd/%d", descriptor);
    return made;
}

int aegix_change_mode(int descriptor, mode_t mode) { return chmod(place(descriptor).path, mode); }

int aegix_change_owner(int descriptor, uid_t uid, gid_t gid) {
    return fchownat(descriptor, "", uid, gid, AT_EMPTY_PATH);
}

int aegix_change_times(int descriptor, const struct timespec *times) {
    /* By number: glibc has no descriptor with AT_EMPTY_PATH on its older versions. */
    return (int)syscall(SYS_utimensat, descriptor, "", times, AT_EMPTY_PATH);
}

int aegix_set_attribute(int descriptor, const char *name, const void *value, size_t length, int flags) {
    return setxattr(place(descriptor).path, name, value, length, flags);
}

int aegix_remove_attribute(int descriptor, const char *name) { return removexattr(place(descriptor).path, name); }

ssize_t aegix_file_handle(int directory, const char *name, uint8_t *bytes, size_t room, int32_t *type) {
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } found;
    int mount;
    found.handle.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(directory, name, &found.handle, &mount, 0) < 0) return -1;
    if (found.handle.handle_bytes > room) return errno = EOVERFLOW, -1;
    memcpy(bytes, found.handle.f_handle, found.handle.handle_bytes);
    *type = found.handle.handle_type;
    return (ssize_t)found.handle.handle_bytes;
}

ssize_t aegix_list_attributes(int descriptor, char *names, size_t room) {
    return listxattr(place(descriptor).path, names, room);
}

ssize_t aegix_get_attribute(int descriptor, const char *name, void *value, size_t room) {
    return getxattr(place(descriptor).path, name, value, room);
}

/* Between file systems of different kinds the kernel doesn't copy for us. */
static int copy_by_hand(int from, int to, off_t at, off_t end) {
    char buffer[65536];
    while (at < end) {
        size_t want = end - at < (off_t)sizeof buffer ? (size_t)(end - at) : sizeof buffer;
        ssize_t count = pread(from, buffer, want, at);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        if (count == 0) return 0; /* shortened meanwhile */
        for (ssize_t done = 0; done < count;) {
            ssize_t written = pwrite(to, buffer + done, (size_t)(count - done), at + done);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return -1;
            done += written;
        }
        at += count;
    }
    return 0;
}

int aegix_copy_data(int from, int to, uint64_t most) {
    struct stat facts;
    if (fstat(from, &facts) < 0) return -1;
    uint64_t copied = 0;
    for (off_t at = 0;;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        if (data < 0) return -1;
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0) return -1;
        copied += (uint64_t)(hole - data);
        if (copied > most) return errno = EFBIG, -1;
        off_t target = data;
        while (data < hole) {
            ssize_t count = copy_file_range(from, &data, to, &target, (size_t)(hole - data), 0);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
                if (copy_by_hand(from, to, data, hole) < 0) return -1;
                break;
            }
            if (count < 0) return -1;
            if (count == 0) break; /* shortened meanwhile */
        }
        at = hole;
    }
    return ftruncate(to, facts.st_size);
}

int aegix_make_whiteout(int directory, const char *name) { return mknodat(directory, name, S_IFCHR, makedev(0, 0)); }

int aegix_symlinkat(const char *target, int directory, const char *name) { return symlinkat(target, directory, name); }

ssize_t aegix_readlinkat(int directory, const char *name, void *buffer, size_t length) {
    return readlinkat(directory, name, buffer, length);
}

int aegix_move(int from_directory, const char *from, int to_directory, const char *to) {
    return renameat2(from_directory, from, to_directory, to, RENAME_NOREPLACE);
}

int aegix_exchange(int directory, const char *name, int other_directory, const char *other) {
    return renameat2(directory, name, other_directory, other, RENAME_EXCHANGE);
}

int aegix_make_node(int directory, const char *name, mode_t mode, dev_t device) {
    return mknodat(directory, name, mode, device);
}

int aegix_sync_file_system(int descriptor) { return syncfs(descriptor); }

int aegix_become(uid_t uid, gid_t gid) {
    if (setgroups(0, NULL) < 0) return -1;
    if (setresgid(gid, gid, (gid_t)-1) < 0) return -1;
    return setresuid(uid, uid, (uid_t)-1);
}

int aegix_become_root_again(const gid_t *groups, size_t count) {
    uid_t uid[3];
    gid_t gid[3];
    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || setresuid(uid[2], uid[2], uid[2]) < 0) return -1;
    if (getresgid(&gid[0], &gid[1], &gid[2]) < 0 || setresgid(gid[2], gid[2], gid[2]) < 0) return -1;
    return setgroups(count, groups);
}

static int powers(struct __user_cap_header_struct *header, struct __user_cap_data_struct data[2]) {
    *header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
    return (int)syscall(SYS_capget, header, data);
}

int aegix_effective_powers(uint64_t *effective) {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[2];
    if (powers(&header, data) < 0) return -1;
    *effective = (uint64_t)data[1].effective << 32 | data[0].effective;
    return 0;
}

int aegix_set_effective_powers(uint64_t effective) {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[2];
    if (powers(&header, data) < 0) return -1;
    data[0].effective = (uint32_t)effective;
    data[1].effective = (uint32_t)(effective >> 32);
    return (int)syscall(SYS_capset, &header, data);
}
