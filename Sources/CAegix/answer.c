/* Answers that bring something: into a caller's memory, from a caller's descriptor. No decisions. */
#include "aegix_supervise.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static int gone(void) { return errno = ENOENT, -1; }

int aegix_write_memory(int listener, uint64_t id, pid_t thread, uint64_t address, const void *bytes, size_t length) {
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)thread);
    int memory = open(path, O_RDWR | O_CLOEXEC);
    if (!aegix_notice_valid(listener, id)) {
        if (memory >= 0) close(memory);
        return gone();
    }
    ssize_t count;
    if (memory >= 0) {
        count = pwrite(memory, bytes, length, (off_t)address);
        close(memory);
    } else {
        /* One that made itself undumpable: the file is root's, but the right is ours. */
        struct iovec local = {(void *)bytes, length}, remote = {(void *)(uintptr_t)address, length};
        count = process_vm_writev(thread, &local, 1, &remote, 1, 0);
    }
    if (count == (ssize_t)length) return 0;
    return errno = EFAULT, -1;
}

int aegix_copy_descriptor(int listener, uint64_t id, pid_t thread, int descriptor) {
    int process = (int)syscall(SYS_pidfd_open, thread, PIDFD_THREAD);
    if (process < 0 && errno == EINVAL) process = (int)syscall(SYS_pidfd_open, thread, 0); /* before Linux 6.9 */
    if (process < 0) { /* a thread that isn't its process's first, in the words of different kernels */
        if (errno == ENOENT && aegix_notice_valid(listener, id)) errno = EINVAL;
        return -1;
    }
    int copy = aegix_notice_valid(listener, id) ? (int)syscall(SYS_pidfd_getfd, process, descriptor, 0) : gone();
    int error = errno;
    close(process);
    errno = error;
    return copy;
}

/* Mirror of the kernel's struct linux_dirent64. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

ssize_t aegix_list_reversed(int directory, void *buffer, size_t room) {
    static char batch[65536] __attribute__((aligned(8))); /* one thread */
    ssize_t count = syscall(SYS_getdents64, directory, batch, room < sizeof batch ? room : sizeof batch);
    if (count <= 0) return count;
    /* From the back: each entry goes before those that came earlier. */
    char *to = (char *)buffer + count;
    for (ssize_t at = 0; at < count;) {
        const struct entry *entry = (const struct entry *)(void *)(batch + at);
        to -= entry->length;
        memcpy(to, entry, entry->length);
        at += entry->length;
    }
    /* The first one's place, the second one's, …: as they were read. */
    for (ssize_t from = 0, at = 0; at < count;) {
        const struct entry *source = (const struct entry *)(void *)(batch + from);
        struct entry *entry = (struct entry *)(void *)((char *)buffer + at);
        entry->offset = source->offset;
        from += source->length;
        at += entry->length;
    }
    return count;
}
