/* Powers go: capabilities from every set but those kept, and no way to gain any by exec. */
#include "child.h"
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#define LAST_CAPABILITY 63

static int has(uint64_t keep, int capability) { return (int)(keep >> capability & 1); }

int aegix_child_privileges(uint64_t keep) {
    for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
        if (has(keep, capability)) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL) break; /* past the kernel's last */
            return -1;
        }
    }
    /* uid 0 inside is an ordinary user: exec gives it nothing, and setuid changes nothing back. */
    if (prctl(PR_SET_SECUREBITS,
              SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                  SECBIT_KEEP_CAPS_LOCKED,
              0, 0, 0) < 0)
        return -1;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)keep, (uint32_t)keep, (uint32_t)keep},
        {(uint32_t)(keep >> 32), (uint32_t)(keep >> 32), (uint32_t)(keep >> 32)},
    };
    if (syscall(SYS_capset, &header, data) < 0) return -1;
    /* Kept ones survive the exec of an ordinary program through the ambient set. */
    for (int capability = 0; keep && capability <= LAST_CAPABILITY; capability++)
        if (has(keep, capability) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) return -1;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
