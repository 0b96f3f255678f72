/* What stands in for namespaces in tier confined: a process that every orphan of the run comes to, an identity that isn't
   root, and the proof that signals stay inside before any is sent to "all". */
#include "child.h"
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>

#define LAST_CAPABILITY 63

int aegix_child_confined_identity(const struct aegix_launch *launch) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) return -1;
    /* Out of the caller's process group: what ends that must not end us before the run. */
    if (syscall(SYS_setsid) < 0) return -1;
    if (syscall(SYS_geteuid) == 0) {
        /* Ours to give away as long as we are root: nothing gets a capability back by exec. Where even root has no say
           over it, no_new_privs alone holds that. */
        for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
            if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
            if (errno == EINVAL || errno == EPERM) break;
            return -1;
        }
        /* System calls, not glibc's wrappers: those would signal the threads of the process we were cloned from. */
        if (syscall(SYS_setgroups, 0, NULL) < 0) return -1;
        if (syscall(SYS_setresgid, launch->gid, launch->gid, launch->gid) < 0) return -1;
        if (syscall(SYS_setresuid, launch->uid, launch->uid, launch->uid) < 0) return -1;
    }
    /* The plan refuses root. "All" would mean the machine's processes. */
    if (syscall(SYS_getuid) == 0 || syscall(SYS_geteuid) == 0) return errno = EPERM, -1;
    return 0;
}

int aegix_child_powerless(void) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -1;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capset, &header, none) < 0) return -1;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Whoever is outside of the domain can't be signalled, not even by a process of the same user. */
int aegix_child_scope_holds(pid_t outside) {
    if (syscall(SYS_kill, outside, 0) == 0) return errno = EPROTO, -1;
    return errno == EPERM ? 0 : -1;
}
