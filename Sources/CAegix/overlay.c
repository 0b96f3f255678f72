/* The overlay that a privileged supervisor mounts for a sandbox: what an overlay mounted in a user namespace can't do,
   renaming directories of the base and writing through hard links, it can. */
#include "aegix_supervise.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(int descriptor) {
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

/* Puts the detached `tree` where a mount may be made from it: over `place`, in the caller's mount namespace. */
static int settle(int tree, int root, const char *place) {
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int target = (int)syscall(SYS_openat2, root, place, &how, sizeof how);
    if (target < 0) return -1;
    long rc = syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0) return failed(target);
    close(target);
    return 0;
}

static int set(int context, const char *key, const char *value) {
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0);
}

/* A directory of the layer, by the descriptor of its mount: no path of the host's is written into the options. */
static int set_path(int context, const char *key, int tree, const char *name) {
    char text[64];
    snprintf(text, sizeof text, "/proc/self/fd/%d%s", tree, name);
    return set(context, key, text);
}

static int make(int lower, int layer, int is_volatile) {
    int context = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    if (context < 0) return -1;
    if (set(context, "source", "aegix") < 0 || set_path(context, "lowerdir", lower, "") < 0 ||
        set_path(context, "upperdir", layer, "/upper") < 0 || set_path(context, "workdir", layer, "/work") < 0)
        return failed(context);
    if (set(context, "redirect_dir", "on") < 0 || set(context, "index", "on") < 0 || set(context, "metacopy", "off") < 0)
        return failed(context);
    if (is_volatile && syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
        return failed(context);
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return failed(context);
    int tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (tree < 0) return failed(context);
    close(context);
    return tree;
}

/* What overlayfs makes for itself, such as its work directory, belongs to whoever mounts it, and only the owner's ids go
   through the layer's id map. The capabilities stay: they are what this is done for. */
static int make_as(uid_t uid, gid_t gid, int lower, int layer, int is_volatile) {
    int bits = prctl(PR_GET_SECUREBITS);
    if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) < 0) return -1;
    setfsgid(gid);
    setfsuid(uid);
    int tree = -1;
    if (setfsuid((uid_t)-1) == (int)uid && setfsgid((gid_t)-1) == (int)gid) tree = make(lower, layer, is_volatile);
    else errno = EPERM;
    int error = errno;
    setfsuid(geteuid());
    setfsgid(getegid());
    if (prctl(PR_SET_SECUREBITS, bits) < 0) return tree < 0 ? -1 : failed(tree);
    errno = error;
    return tree;
}

int aegix_overlay(const struct aegix_overlay *overlay) {
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", overlay->pid);
    int theirs = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/root", overlay->pid);
    int root = open(path, O_PATH | O_CLOEXEC);
    int ours = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), top = open("/", O_PATH | O_CLOEXEC);
    int here = open(".", O_PATH | O_CLOEXEC), tree = -1, back = 0, error;
    if (theirs < 0 || root < 0 || ours < 0 || top < 0) goto end;
    /* Theirs is a copy that gives nothing back; what is settled there goes with the old root. */
    if (setns(theirs, CLONE_NEWNS) < 0) goto end;
    if (settle(overlay->lower, root, overlay->lower_place) == 0 &&
        settle(overlay->layer, root, overlay->layer_place) == 0)
        tree = make_as(overlay->uid, overlay->gid, overlay->lower, overlay->layer, overlay->is_volatile);
    error = errno;
    back = setns(ours, CLONE_NEWNS) < 0 || fchdir(top) < 0 || chroot(".") < 0;
    if (here >= 0 && !back) back = fchdir(here) < 0;
    if (!back) errno = error;
end:
    error = errno;
    if (theirs >= 0) close(theirs);
    if (root >= 0) close(root);
    if (ours >= 0) close(ours);
    if (top >= 0) close(top);
    if (here >= 0) close(here);
    if (back && tree >= 0) {
        close(tree);
        tree = -1;
    }
    errno = error;
    return tree;
}
