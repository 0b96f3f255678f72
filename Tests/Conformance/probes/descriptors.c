// K2, D1: what came in through descriptors, and what can be done to the host through fd 0.
#include "probe.h"
#include <dirent.h>
#include <sys/socket.h>

static void listing(void) {
    char text[4096] = "";
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(directory)) continue;
        if (*text) strncat(text, ",", sizeof text - strlen(text) - 1);
        strncat(text, entry->d_name, sizeof text - strlen(text) - 1);
    }
    fact("open", text);
}

static long write_again(int flags) {
    int fd = open("/proc/self/fd/0", flags | O_NONBLOCK);
    return fd < 0 ? fd : write(fd, "INJECTED\n", 9);
}

int main(int argc, char **argv) {
    const char *file = argc > 1 ? argv[1] : "secret";
    listing();
    long reached = 0;
    for (int fd = 3; fd < 1024; fd++) reached += openat(fd, file, O_RDONLY) >= 0;
    char text[32];
    snprintf(text, sizeof text, "%ld", reached);
    fact("files reached through descriptors", text);

    struct stat status;
    fact("stdin", fstat(0, &status) ? "closed" : S_ISDIR(status.st_mode) ? "directory" : S_ISREG(status.st_mode) ? "file"
         : S_ISSOCK(status.st_mode) ? "socket" : S_ISFIFO(status.st_mode) ? "pipe" : S_ISCHR(status.st_mode) ? (isatty(0) ? "tty" : "device") : "other");
    ATTEMPT("openat(stdin)", opened(openat(0, file, O_RDONLY)));
    ATTEMPT("openat(stdin, ..)", opened(openat(0, "..", O_RDONLY | O_DIRECTORY)));
    ATTEMPT("fchdir(stdin)", fchdir(0));
    ATTEMPT("through /proc/self/fd/0", ({ char path[256]; snprintf(path, sizeof path, "/proc/self/fd/0/%s", file); opened(open(path, O_RDONLY)); }));
    ATTEMPT("write(stdin)", write(0, "INJECTED\n", 9));
    ATTEMPT("reopen stdin for writing", write_again(O_WRONLY));
    ATTEMPT("reopen stdin for both", write_again(O_RDWR));
    ATTEMPT("reopen stdin truncating", write_again(O_WRONLY | O_TRUNC));
    ATTEMPT("ftruncate(stdin)", ftruncate(0, 0));
    ATTEMPT("fchmod(stdin)", fchmod(0, 0777));
    ATTEMPT("chmod(/proc/self/fd/0)", chmod("/proc/self/fd/0", 0777));
    ATTEMPT("fchown(stdin)", fchown(0, getuid(), getgid()));
    int nonblock = fcntl(0, F_GETFL);
    ATTEMPT("O_NONBLOCK(stdin)", fcntl(0, F_SETFL, nonblock | O_NONBLOCK));
    ATTEMPT("O_NONBLOCK(stdout)", fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK));
    ATTEMPT("send(stdin)", send(0, "INJECTED\n", 9, MSG_NOSIGNAL));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    ATTEMPT("connect(stdin, AF_UNSPEC)", connect(0, &none, sizeof none));
    ATTEMPT("getpeername(stdin)", ({ struct sockaddr_storage a; socklen_t l = sizeof a; getpeername(0, (void *)&a, &l); }));
    return 0;
}
