/* The new root: assembled on a tmpfs from the plan's steps, in the plan's order. Sources are opened beneath the old
   root without following symlinks and compared with what the plan saw, so nothing can be swapped in between. */
#include "child.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int beneath(int root, const char *path, uint64_t flags) {
    while (*path == '/') path++;
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
}

static int close_keeping_errno(int descriptor) {
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

static uint64_t attributes(uint32_t flags) {
    uint64_t set = MOUNT_ATTR_NOSUID;
    if (!(flags & AEGIX_DEVICES)) set |= MOUNT_ATTR_NODEV;
    if (flags & AEGIX_READONLY) set |= MOUNT_ATTR_RDONLY;
    if (flags & AEGIX_NOEXEC) set |= MOUNT_ATTR_NOEXEC;
    return set;
}

/* Consumes `tree`. The target is opened without following symlinks: it may lie in a view of the host's. */
static int attach(int tree, int root, const char *path) {
    int target = beneath(root, path, O_PATH);
    if (target < 0) return close_keeping_errno(tree);
    long rc = syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    close_keeping_errno(target);
    close_keeping_errno(tree);
    return rc < 0 ? -1 : 0;
}

static int restrict_tree(int tree, uint32_t flags) {
    struct mount_attr attr = {.attr_set = attributes(flags)};
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
}

static int bind_step(const struct aegix_step *step, int root, int old) {
    int source = beneath(step->flags & AEGIX_INSIDE ? root : old, step->source, O_PATH);
    if (source < 0) return -1;
    if (step->inode) {
        struct stat st;
        if (fstat(source, &st) < 0) return close_keeping_errno(source);
        if (st.st_ino != step->inode || st.st_dev != step->device) {
            errno = ESTALE;
            return close_keeping_errno(source);
        }
    }
    /* Recursive: in a user namespace the mounts beneath are locked to their parent. */
    int tree = (int)syscall(SYS_open_tree, source, "",
                            AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    close_keeping_errno(source);
    if (tree < 0) return -1;
    if (restrict_tree(tree, step->flags) < 0) return close_keeping_errno(tree);
    return attach(tree, root, step->path);
}

/* `options` is "key=value,key=value,flag": written by the plan, whose values hold no comma. */
static int mount_step(const struct aegix_step *step, const char *type, const char *options, int root) {
    int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0) return -1;
    char text[1024];
    size_t length = strlen(options);
    if (length >= sizeof text) {
        errno = ENAMETOOLONG;
        return close_keeping_errno(context);
    }
    memcpy(text, options, length + 1);
    for (char *key = text; *key;) {
        char *end = strchr(key, ',');
        if (end) *end = 0;
        char *value = strchr(key, '=');
        if (value) *value++ = 0;
        long rc = syscall(SYS_fsconfig, context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0);
        if (rc < 0) return close_keeping_errno(context);
        if (!end) break;
        key = end + 1;
    }
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return close_keeping_errno(context);
    int tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, (unsigned)attributes(step->flags));
    close_keeping_errno(context);
    return tree < 0 ? -1 : attach(tree, root, step->path);
}

static int file_step(const struct aegix_step *step, int root) {
    int fd = beneath(root, step->path, O_PATH);
    if (fd >= 0) { /* a mount target that is there already */
        if (step->length == 0) return close(fd), 0;
        errno = EEXIST;
        return close_keeping_errno(fd);
    }
    /* Only ever in the new tmpfs: the ancestors are steps of this plan. */
    fd = open(step->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, step->mode);
    if (fd < 0) return -1;
    size_t done = 0;
    while (done < step->length) {
        ssize_t count = write(fd, step->source + done, step->length - done);
        if (count < 0) return close_keeping_errno(fd);
        done += (size_t)count;
    }
    return close(fd), 0;
}

static int directory_step(const struct aegix_step *step) {
    if (mkdir(step->path, step->mode & 0777) == 0)
        return step->mode & 07000 ? chmod(step->path, step->mode) : 0;
    if (errno != EEXIST) return -1;
    struct stat st;
    if (lstat(step->path, &st) < 0) return -1;
    if (S_ISDIR(st.st_mode)) return 0;
    errno = ENOTDIR;
    return -1;
}

static int run_step(const struct aegix_step *step, const int *trees, int root, int old) {
    switch (step->operation) {
    case AEGIX_DIRECTORY: return directory_step(step);
    case AEGIX_FILE: return file_step(step, root);
    case AEGIX_SYMLINK: return symlink(step->source, step->path);
    case AEGIX_BIND: return bind_step(step, root, old);
    case AEGIX_ATTACH:
        if (restrict_tree(trees[step->handed], step->flags) < 0) return -1;
        return attach(trees[step->handed], root, step->path);
    case AEGIX_PROC: return mount_step(step, "proc", "", root);
    case AEGIX_DEVPTS: return mount_step(step, "devpts", "newinstance,ptmxmode=0666,mode=0620", root);
    case AEGIX_TMPFS: return mount_step(step, "tmpfs", step->source, root);
    case AEGIX_OVERLAY: return mount_step(step, "overlay", step->source, root);
    case AEGIX_DETACH: return umount2(step->path, MNT_DETACH);
    }
    errno = EINVAL;
    return -1;
}

/* A tmpfs becomes the root and the old root a directory of it, so that sources under any host path stay in view. */
int aegix_child_root(const char *options) {
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -1;
    if (mount("aegix", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) < 0) return -1;
    if (mkdir("/tmp" AEGIX_STAGING, 0700) < 0) return -1;
    if (mount("aegix", "/tmp" AEGIX_STAGING, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") < 0) return -1;
    if (mkdir("/tmp" AEGIX_OLD_ROOT, 0700) < 0) return -1;
    if (syscall(SYS_pivot_root, "/tmp", "/tmp" AEGIX_OLD_ROOT) < 0) return -1;
    return chdir("/");
}

int aegix_child_mounts(const struct aegix_launch *launch, const int *trees, int32_t *index) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int old = open(AEGIX_OLD_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || old < 0) return -1;
    for (size_t i = 0; i < launch->step_count; i++) {
        *index = (int32_t)i;
        if (run_step(&launch->steps[i], trees, root, old) < 0) return -1;
    }
    close(root);
    close(old);
    return 0;
}

/* After the last step: the host's tree goes, then the root's own mount turns read-only. What is writable is a mount
   of its own on top. */
int aegix_child_seal_root(void) {
    if (umount2(AEGIX_STAGING, MNT_DETACH) < 0 || rmdir(AEGIX_STAGING) < 0) return -1;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    return (int)syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof attr);
}
