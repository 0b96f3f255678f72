// K7: system calls through another ABI, whose numbers mean other things than the filter thinks; and io_uring.
#include "probe.h"

#ifdef __x86_64__
static long i386(long number, long first) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) { errno = (int)-result; return -1; }
    return result;
}
#endif

int main(void) {
    ATTEMPT("control: getpid", syscall(SYS_getpid));
#ifdef __x86_64__
    ATTEMPT("i386: getpid", i386(20, 0));
    ATTEMPT("i386: umask", i386(60, 022));
    ATTEMPT("i386: unshare", i386(310, 0));
    ATTEMPT("i386: socketcall", i386(102, 1));
    ATTEMPT("i386: unknown", i386(9999, 0));
    ATTEMPT("x32: getpid", syscall(0x40000000L | SYS_getpid));
    ATTEMPT("x32: execve", syscall(0x40000000L | 520, "/nothing", 0, 0));
    ATTEMPT("x32: ioctl", syscall(0x40000000L | 514, 0, 0x5413, 0));
#endif
    char parameters[120] = {0};
    ATTEMPT("io_uring_setup", syscall(425, 2, parameters));
    ATTEMPT("io_uring_enter", syscall(426, -1, 0, 0, 0, 0, 0));
    ATTEMPT("io_uring_register", syscall(427, -1, 0, 0, 0));
    ATTEMPT("openat2", ({ uint64_t how[3] = {O_RDONLY}; syscall(437, AT_FDCWD, "/", how, sizeof how); }));
    ATTEMPT("unknown call", syscall(4000));
    return 0;
}
