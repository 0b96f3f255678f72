/* Looks at cgroups. No decisions, no side effects. */
#include "aegix_cgroup.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

int aegix_is_cgroup2(const char *path) {
    struct statfs facts;
    return statfs(path, &facts) == 0 && facts.f_type == CGROUP2_SUPER_MAGIC;
}

int aegix_is_delegated(int cgroup) {
    char value = 0;
    if (fgetxattr(cgroup, "user.delegate", &value, 1) == 1 && value == '1') return 1;
    return fgetxattr(cgroup, "trusted.delegate", &value, 1) == 1 && value == '1';
}

int aegix_may_write(int directory, const char *name) { return faccessat(directory, name, W_OK, AT_EACCESS); }
