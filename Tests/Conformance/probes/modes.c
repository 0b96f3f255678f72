// D4: setuid and setgid by every call that takes a mode. Files are made in the working directory.
#include "probe.h"
#include <sys/xattr.h>

static long chmod_open(const char *path, mode_t mode) {
    int fd = open(path, O_RDWR);
    return fd < 0 ? fd : fchmod(fd, mode);
}

static long through_tmpfile(const char *path, mode_t mode) {
    int fd = open(".", O_TMPFILE | O_RDWR, mode);
    if (fd < 0) return fd;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static long tmpfile_then_fchmod(const char *path, mode_t mode) {
    int fd = open(".", O_TMPFILE | O_RDWR, 0644);
    if (fd < 0) return fd;
    if (fchmod(fd, mode) < 0) return -1;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static void every(const char *tag, mode_t mode) {
    char name[64], path[64];
#define TRY(call, expression)                             \
    snprintf(name, sizeof name, "%s %s", call, tag);      \
    snprintf(path, sizeof path, "%s.%s", call, tag);      \
    umask(0);                                             \
    ATTEMPT(name, expression)
#define MADE (opened(open(path, O_CREAT | O_RDWR, 0644)), path)
    TRY("chmod", syscall(SYS_chmod, MADE, mode));
    TRY("fchmod", (MADE, chmod_open(path, mode)));
    TRY("fchmodat", syscall(SYS_fchmodat, AT_FDCWD, MADE, mode));
    TRY("fchmodat2", syscall(452, AT_FDCWD, MADE, mode, 0));
    TRY("open", opened((int)syscall(SYS_open, path, O_CREAT | O_RDWR, mode)));
    TRY("openat", opened((int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_RDWR, mode)));
    TRY("creat", opened((int)syscall(SYS_creat, path, mode)));
    TRY("tmpfile", through_tmpfile(path, mode));
    TRY("tmpfile-fchmod", tmpfile_then_fchmod(path, mode));
    TRY("mknod", syscall(SYS_mknod, path, S_IFREG | mode, 0));
    TRY("mknodat", syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | mode, 0));
    TRY("mkdir", syscall(SYS_mkdir, path, mode));
    TRY("mkdirat", syscall(SYS_mkdirat, AT_FDCWD, path, mode));
    TRY("mkdir-chmod", (mkdir(path, 0755), chmod(path, mode)));
}

int main(void) {
    every("0755", 0755);
    every("1777", 01777);
    every("4755", 04755);
    every("2755", 02755);
    every("6711", 06711);
    opened(open("caps", O_CREAT | O_RDWR, 0755));
    static const unsigned char raised[20] = {1, 0, 0, 2, 0, 0x20, 0, 0};  // VFS_CAP_REVISION_2, effective, cap_net_raw
    ATTEMPT("setxattr capability", setxattr("caps", "security.capability", raised, sizeof raised, 0));
    return 0;
}
