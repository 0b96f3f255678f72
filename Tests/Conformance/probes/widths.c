// D3: arguments that the kernel takes as 32 bits (or 16: a mode), with rubbish above them.
#include "probe.h"
#include <sys/socket.h>
#define HIGH 0x100000000UL
#define TOP 0xffffffff00000000UL

static long clone_with(unsigned long flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    if (child > 0) waitpid((pid_t)child, NULL, 0);
    return child;
}

int main(void) {
    ATTEMPT("control: socket(inet)", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
    ATTEMPT("control: clone", clone_with(0));
    ATTEMPT("socket(vsock + high)", syscall(SYS_socket, HIGH | AF_VSOCK, (unsigned long)SOCK_STREAM, 0));
    ATTEMPT("socket(packet + top)", syscall(SYS_socket, TOP | AF_PACKET, (unsigned long)SOCK_RAW, 0));
    ATTEMPT("socket(inet, raw + high)", syscall(SYS_socket, (unsigned long)AF_INET, HIGH | SOCK_RAW, 1));
    ATTEMPT("socket(alg + high, flags)", syscall(SYS_socket, HIGH | AF_ALG, (unsigned long)SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ATTEMPT("unshare(user + high)", syscall(SYS_unshare, HIGH | CLONE_NEWUSER));
    ATTEMPT("unshare(net + top)", syscall(SYS_unshare, TOP | CLONE_NEWUSER | CLONE_NEWNET));
    ATTEMPT("clone(user + high)", clone_with(HIGH | CLONE_NEWUSER));
    ATTEMPT("clone(user + top)", clone_with(0xfffffffe00000000UL | CLONE_NEWUSER));
    int fd = open("width", O_CREAT | O_RDWR, 0644);
    outcome("control: create", fd);
    int words[2];
    ATTEMPT("ioctl(TIOCSTI + high)", syscall(SYS_ioctl, fd, HIGH | 0x5412, "x"));
    ATTEMPT("ioctl(TIOCLINUX + top)", syscall(SYS_ioctl, fd, TOP | 0x541C, "\3"));
    ATTEMPT("ioctl(FIONREAD + high) as without", syscall(SYS_ioctl, fd, HIGH | 0x541B, words));
    ATTEMPT("chmod(setuid + high)", syscall(SYS_chmod, "width", HIGH | 04755));
    ATTEMPT("chmod(setuid + bit 16)", syscall(SYS_chmod, "width", 0x10000UL | 04755));
    ATTEMPT("fchmod(setgid + top)", syscall(SYS_fchmod, fd, TOP | 02755));
    ATTEMPT("open(setuid + high)", opened((int)syscall(SYS_open, "width.open", (unsigned long)O_CREAT | O_RDWR, HIGH | 04755)));
    ATTEMPT("openat(flags + high, setuid)", opened((int)syscall(SYS_openat, AT_FDCWD, "width.openat", HIGH | O_CREAT | O_RDWR, 04755UL)));
    struct stat now;
    if (!fstat(fd, &now)) fact("mode", now.st_mode & 06000 ? "setuid" : "plain");
    return 0;
}
