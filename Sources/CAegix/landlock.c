/* Landlock, on top of the mounts: what may be read, written and run, and that signals and abstract sockets stay
   inside. */
#include "child.h"
#include <errno.h>
#include <fcntl.h>

/* Mirrors of the kernel's structs: older headers lack the later members. */
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};
struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));
_Static_assert(sizeof(struct path_beneath_attr) == 12, "struct landlock_path_beneath_attr");
#define RULE_PATH_BENEATH 1
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* Rights that a rule on something that isn't a directory may carry: execute, write, read, truncate, device ioctl. */
#define FILE_RIGHTS (1ull << 0 | 1ull << 1 | 1ull << 2 | 1ull << 14 | 1ull << 15)

int aegix_child_landlock(const struct aegix_launch *launch, int32_t *index, int *kept) {
    if (!launch->handled_fs) return 0;
    *index = -1;
    struct ruleset_attr attr = {launch->handled_fs, launch->handled_net, launch->handled_scope};
    size_t size = launch->handled_scope ? sizeof attr : sizeof attr.handled_access_fs;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0) return -1;
    for (size_t i = 0; i < launch->rule_count; i++) {
        *index = (int32_t)i;
        const struct aegix_landlock_rule *rule = &launch->rules[i];
        int fd = open(rule->path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) return -1;
        struct path_beneath_attr beneath = {rule->access & launch->handled_fs, fd};
        long rc = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &beneath, 0);
        if (rc < 0 && errno == EINVAL) { /* a file carries fewer rights than a directory */
            beneath.allowed_access &= FILE_RIGHTS;
            rc = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &beneath, 0);
        }
        if (rc < 0) return -1;
        close(fd);
    }
    *index = -1;
    if (aegix_child_landlock_again(ruleset) < 0) return -1;
    if (kept) *kept = ruleset;
    else close(ruleset);
    return 0;
}

int aegix_child_landlock_again(int ruleset) { return (int)syscall(SYS_landlock_restrict_self, ruleset, 0); }
