/* What the watchdog reads of a running sandbox: many small files of /proc a hundred times a second, so in C and without
   memory of its own. */
#ifndef AEGIX_WATCH_H
#define AEGIX_WATCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

struct aegix_task_facts {
    int32_t pid; /* as the procfs that was read numbers it */
    uint32_t threads, files;
    uint32_t headless; /* its first thread has ended, and other threads have its memory */
    uint64_t size, resident, shared, data; /* bytes */
};

/* Every process of the procfs at `proc` but its pid 1, which is ours. The number found, which may be larger than `room`; -1 with errno. */
ssize_t aegix_watch_tasks(int proc, struct aegix_task_facts *tasks, size_t room);
/* Threads of all of them. */
uint64_t aegix_watch_count(int proc);
int aegix_watch_task(int proc, pid_t pid, struct aegix_task_facts *task);

struct aegix_share {
    uint64_t anonymous, shared; /* proportional: pages that many map count once over all of them */
    uint64_t tables;            /* page tables */
    uint64_t unnamed;           /* of `shared`: mappings without a file in any view, such as MAP_SHARED | MAP_ANONYMOUS */
};
/* 0, or -1 with errno (the process is gone, or has no memory any more). `unnamed` costs more, and is read when asked. */
int aegix_watch_share(int proc, pid_t pid, int unnamed, struct aegix_share *share);

/* The address spaces of two processes, as the caller numbers them, in an order of the kernel's own: 0 the same, 1 and 2
   before and after; -1 when one is gone, or the kernel can't tell. */
int aegix_watch_compare_memory(pid_t one, pid_t other);

/* What the caller calls a process that the pid namespace numbers so; -1 with errno. Linux 6.11. */
pid_t aegix_watch_outside(int pid_namespace, pid_t pid);
/* The other way round. */
pid_t aegix_watch_inside(int pid_namespace, pid_t pid);

/* By how many bytes the resident size of a process in statm may be off. */
uint64_t aegix_watch_doubt(void);

/* What a process holds open that no directory shows. */
struct aegix_open_facts {
    uint64_t device, inode, bytes;
    uint32_t kind; /* enum aegix_open_kind */
};
enum aegix_open_kind { AEGIX_OPEN_MEMORY = 1, AEGIX_OPEN_UNLINKED, AEGIX_OPEN_PIPE, AEGIX_OPEN_SOCKET };
/* memfds, unlinked files, pipes and sockets. The number found, which may be larger than `room`; -1 with errno. `bytes`
   of a socket is the number of descriptors that wait in it. Each thread may have descriptors of its own. */
ssize_t aegix_watch_open(int proc, pid_t pid, struct aegix_open_facts *open, size_t room);

/* CPU time of a process, in clock ticks: its own, and that of the children it has waited for. */
struct aegix_time_facts {
    uint64_t user, system, waited_user, waited_system, started;
};
/* 0 or -1. */
int aegix_watch_time(int proc, pid_t pid, struct aegix_time_facts *time);

/* Bytes and files in use on the file system of `descriptor`. 0 or -1. */
int aegix_watch_filesystem(int descriptor, uint64_t *bytes, uint64_t *files, uint64_t *bytes_free);
/* The machine's shared memory, tmpfs and memfd included. */
uint64_t aegix_watch_shared_memory(void);

/* What the sockets hold that `monitor` (NETLINK_SOCK_DIAG) can see: Unix and TCP and UDP ones. 0 or -1 with errno. */
int aegix_watch_sockets(int monitor, uint64_t *bytes);

struct aegix_tree_usage {
    uint64_t bytes, files, largest;
};
/* What lies beneath a directory, by blocks; each file counts one block at least. 0 or -1 with errno. */
int aegix_watch_tree(int directory, struct aegix_tree_usage *usage);

#pragma clang assume_nonnull end
#endif
