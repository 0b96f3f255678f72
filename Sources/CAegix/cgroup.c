/* Looks at cgroups, and connects to who manages them. No decisions. */
#include "aegix_cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

int aegix_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path) return errno = ENAMETOOLONG, -1;
    memcpy(address.sun_path, path, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}
