/* What the supervisor needs outside the sandbox: variadic calls, constants behind casts, structs with flexible ends. */
#ifndef AEGIX_SUPERVISE_H
#define AEGIX_SUPERVISE_H

#include <stdint.h>
#include <poll.h>
#include <sys/types.h>
#include <time.h>

#pragma clang assume_nonnull begin

/* Pipes and sockets, close-on-exec. 0 or -1 with errno. */
int aegix_pipe(int ends[_Nonnull 2]);
int aegix_socketpair(int ends[_Nonnull 2]);
/* The most that the kernel grants, up to `bytes`. */
void aegix_grow_pipe(int descriptor, int bytes);
int aegix_unread_bytes(int descriptor, int *count);
int aegix_set_nonblocking(int descriptor);
int aegix_poll(struct pollfd *slots, size_t count, const struct timespec *timeout);
/* Of procfs, sysfs, debugfs, tracefs or cgroupfs. */
int aegix_is_pseudo(int descriptor);
/* Its mount lets files be written. */
int aegix_is_writable(int descriptor);
/* To one slot. */
int aegix_shrink_pipe(int descriptor);
/* One buffer of `from`, which keeps it. 0 at the end, EAGAIN when nothing waits. */
ssize_t aegix_tee(int from, int to);
int aegix_duplicate(int descriptor);
/* What is there now; EAGAIN when nothing is. */
ssize_t aegix_read_ready(int descriptor, void *buffer, size_t length);
dev_t aegix_device(unsigned major, unsigned minor);
/* An open description of our own on what `descriptor` refers to, so that flags stay the caller's. -1 with errno. */
int aegix_reopen(int descriptor, int flags);
/* Pages of a pipe to anything that takes them, unseen. EAGAIN when either side isn't ready. */
ssize_t aegix_splice(int pipe, int to, size_t most);
ssize_t aegix_send_now(int descriptor, const void *bytes, size_t length);

/* Signals by descriptor. */
int aegix_signalfd(const int *signals, size_t count);
int aegix_read_signal(int descriptor, uint32_t *number);
int aegix_pidfd_signal(int pidfd, int signal);
/* A descriptor of the process, or -1. */
int aegix_pidfd(pid_t pid);
/* SIGKILL to the group that the process leads, since Linux 6.9; before, nothing. */
void aegix_pidfd_kill_group(int pidfd);
/* To be scheduled soon after waking, for as little as a look takes: since Linux 6.12. Children don't inherit it. */
void aegix_wake_early(void);
void aegix_ignore_sigpipe(void);
/* Dies of `signal` as if it had never been handled. */
void aegix_die_of(int signal);

struct aegix_usage {
    int32_t status;
    uint64_t user_ns, system_ns, peak_bytes;
};
/* Reaps `pid`, which has ended. 0 or -1 with errno. */
int aegix_reap(pid_t pid, struct aegix_usage *usage);

/* Relative to `directory`, through symlinks but never through a magic link. */
int aegix_open_plain(int directory, const char *path, int flags);
/* The file behind any descriptor, one of O_PATH too. -1 with errno. */
int aegix_change_mode(int descriptor, mode_t mode);
int aegix_change_owner(int descriptor, uid_t uid, gid_t gid);
int aegix_change_times(int descriptor, const struct timespec *_Nullable times);
int aegix_set_attribute(int descriptor, const char *name, const void *value, size_t length, int flags);
int aegix_remove_attribute(int descriptor, const char *name);

/* Orphans of our descendants come to us from now on. */
int aegix_become_reaper(void);
/* A copy-on-write copy of all of `from`, where the file system has that. */
int aegix_clone_file(int from, int to);
/* All of `from`, holes left out, at most `most` bytes of data: EFBIG beyond. */
int aegix_copy_data(int from, int to, uint64_t most);
/* How overlayfs writes down that a name of the lower layer is gone. */
int aegix_make_whiteout(int directory, const char *name);
int aegix_symlinkat(const char *target, int directory, const char *name);
ssize_t aegix_readlinkat(int directory, const char *name, void *buffer, size_t length);
/* From one directory to another; never over something that is there. */
int aegix_move(int from_directory, const char *from, int to_directory, const char *to);
/* Both names change places in one step, so that neither is ever missing. EINVAL where a file system can't. */
int aegix_exchange(int directory, const char *name, int other_directory, const char *other);
/* A FIFO, socket or device that was there before, put back; no umask. */
int aegix_make_node(int directory, const char *name, mode_t mode, dev_t device);
/* Everything written to the file system that `descriptor` lies on is on disk afterwards. */
int aegix_sync_file_system(int descriptor);
/* Who asks, for the kernel: the effective and the real ids and no groups; the saved ones stay, and with them the way back. */
int aegix_become(uid_t uid, gid_t gid);
int aegix_become_root_again(const gid_t *groups, size_t count);
/* Capabilities in effect; those that may be taken up again stay permitted. */
int aegix_effective_powers(uint64_t *effective);
int aegix_set_effective_powers(uint64_t effective);

/* A seccomp notification, flattened. */
struct aegix_notice {
    uint64_t id;
    uint32_t pid;
    int32_t call;
    uint64_t arguments[6];
};
/* 1: one was read; 0: it went away meanwhile; -1 with errno. */
int aegix_notice_receive(int listener, struct aegix_notice *notice);
int aegix_notice_valid(int listener, uint64_t id);
/* Lets the call go on (exec only), or answers it with an errno. 1: the caller is gone, what was read of it may be another's. */
int aegix_notice_continue(int listener, uint64_t id);
int aegix_notice_refuse(int listener, uint64_t id, int error);
/* Answers it with a value. */
int aegix_notice_answer(int listener, uint64_t id, int64_t value);
void aegix_notice_wake_locally(int listener);

/* Of a thread's process; -1 on a kernel that doesn't tell (before 6.13). */
pid_t aegix_parent(pid_t thread);
ssize_t aegix_read_memory(pid_t pid, uint64_t address, void *buffer, size_t length);

/* The memory of a thread's process, for the notification `id`: once this is open and the notification was valid, a number that
   goes to another meanwhile changes nothing. Writes all of it or says -1 with errno: ENOENT where the caller is gone. */
int aegix_write_memory(int listener, uint64_t id, pid_t thread, uint64_t address, const void *bytes, size_t length);
/* A copy of a thread's descriptor, for the notification `id`. -1 with errno: ENOENT where the caller is gone. */
int aegix_copy_descriptor(int listener, uint64_t id, pid_t thread, int descriptor);
/* As getdents64, with the entries of the batch in the opposite order. What is told of places in the directory stays in order,
   so that reading on from the last one works. */
ssize_t aegix_list_reversed(int directory, void *buffer, size_t room);

/* What one openat2 beneath `root` finds: never through magic links, never outside. */
int aegix_open_in_root(int root, const char *path, int flags);
int aegix_open_beneath(int directory, const char *path, int flags);
/* The same, and never into another mount. */
int aegix_open_within(int directory, const char *path, int flags);
/* The bytes that a file system knows a file by, as overlayfs writes them down. Their number; -1 with errno. */
ssize_t aegix_file_handle(int directory, const char *name, uint8_t *bytes, size_t room, int32_t *type);
/* user.* of a file, by a descriptor that may be O_PATH: as listxattr and getxattr. */
ssize_t aegix_list_attributes(int descriptor, char *names, size_t room);
ssize_t aegix_get_attribute(int descriptor, const char *name, void *value, size_t room);

/* A detached, recursive copy of the mount at `source`, with the id map of a user namespace (-1: none). -1 with errno. */
int aegix_detached_tree(int source, int user_namespace);
/* Both trees are detached; the places are theirs on the host, where a sandbox that mounts nothing yet sees them, too. */
struct aegix_overlay {
    pid_t pid; /* of that sandbox */
    int lower, layer;
    const char *lower_place, *layer_place;
    uid_t uid; /* as the host's kernel sees the command */
    gid_t gid;
    int is_volatile;
};
/* A detached overlay; -1 with errno. The caller has one thread, and is in its own mount namespace again afterwards. */
int aegix_overlay(const struct aegix_overlay *overlay);
/* A user namespace that holds nothing but an id map. */
int aegix_map_namespace(const char *uid_map, const char *gid_map);
int aegix_write_map(pid_t pid, const char *file, const char *text);

int aegix_landlock_abi(void);
/* As the processor calls itself, padded as it likes; empty where it doesn't say. */
enum { AEGIX_PROCESSOR_NAME = 49 };
void aegix_processor_name(char name[_Nonnull AEGIX_PROCESSOR_NAME]);
/* Processors that the caller may use. */
int aegix_processors(void);

/* The caller's terminal. */
struct aegix_terminal;
struct aegix_terminal *_Nullable aegix_terminal_raw(int descriptor, int keep_output);
void aegix_terminal_restore(struct aegix_terminal *terminal);
int aegix_terminal_size(int descriptor, uint16_t *rows, uint16_t *columns);
void aegix_terminal_resize(int descriptor, uint16_t rows, uint16_t columns);
int aegix_terminal_foreground(int descriptor);

#pragma clang assume_nonnull end
#endif
