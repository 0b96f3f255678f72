/* Tries what the kernel really lets this process do. In C because each try runs in a forked child, where Swift must not
 * run: no malloc, no stdio between fork and _exit. */
#ifndef AEGIX_PROBE_H
#define AEGIX_PROBE_H

#include <stdint.h>

#pragma clang assume_nonnull begin

enum {
    AEGIX_PROBE_USER_NAMESPACE = 1,
    AEGIX_PROBE_MOUNT_NAMESPACE,
    AEGIX_PROBE_PID_NAMESPACE,
    AEGIX_PROBE_NETWORK_NAMESPACE,
    AEGIX_PROBE_IPC_NAMESPACE,
    AEGIX_PROBE_UTS_NAMESPACE,
    AEGIX_PROBE_CGROUP_NAMESPACE,
    AEGIX_PROBE_PROC,
    AEGIX_PROBE_TMPFS,
    AEGIX_PROBE_OVERLAY,       /* directory: a scratch directory with lower/gone, upper, work, merged */
    AEGIX_PROBE_MOUNT_SETATTR,
    AEGIX_PROBE_IDMAPPED,      /* directory: the same; needs root */
    AEGIX_PROBE_LANDLOCK,      /* value: the ABI */
    AEGIX_PROBE_SECCOMP,
    AEGIX_PROBE_NOTIFICATION,
    AEGIX_PROBE_PIDFD,
    AEGIX_PROBE_OPENAT2,
    AEGIX_PROBE_CLONE3,
    AEGIX_PROBE_CLOSE_RANGE,
    AEGIX_PROBE_CGROUP,        /* directory: an empty cgroup made for this */
    AEGIX_PROBE_ISOLATED,      /* every namespace at once, with what is mounted in them */
    AEGIX_PROBE_SIGHT,         /* the memory of a process in a user namespace of its own */
    AEGIX_PROBE_RELAY,         /* what the relay's network namespace begins with */
    AEGIX_PROBE_HANG,          /* never ends: for the test of the time limit */
};

/* Where a probe stopped. */
enum {
    AEGIX_PROBE_HELD = 0,
    AEGIX_PROBE_AT_USER = 1,   /* unshare(CLONE_NEWUSER) */
    AEGIX_PROBE_AT_MAP,        /* uid_map, gid_map */
    AEGIX_PROBE_AT_NAMESPACE,  /* unshare of the others */
    AEGIX_PROBE_AT_MOUNT,
    AEGIX_PROBE_AT_CALL,       /* the call under test */
    AEGIX_PROBE_AT_EFFECT,     /* it succeeded and did nothing */
    AEGIX_PROBE_AT_TIME,       /* killed at the time limit */
    AEGIX_PROBE_AT_DEATH,      /* died without a word; value: the signal */
};

struct aegix_probe_result {
    int32_t stage;
    int32_t error;
    int64_t value;
};

/* Runs one probe in a child, killed after `milliseconds`. Nothing of it outlives the call but what it wrote to
 * `directory` (-1 where the probe takes none). Returns -1 with errno when no child could be made. */
int aegix_probe(int kind, int directory, int milliseconds, struct aegix_probe_result *result);

/* Removes a directory of ours and the files in it: overlay leaves whiteouts in its work directory, of mode 0. */
void aegix_probe_clear(int directory, const char *path);

#pragma clang assume_nonnull end
#endif
