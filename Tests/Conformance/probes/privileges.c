// K12: who am I, with which powers? Run plain, setuid and with file capabilities, it must say the same inside.
#include "probe.h"
#include <linux/capability.h>
#include <sys/prctl.h>

int main(void) {
    char text[64];
    snprintf(text, sizeof text, "%d %d", getuid(), geteuid());
    fact("uid euid", text);
    FILE *status = fopen("/proc/self/status", "r");
    for (char line[256]; status && fgets(line, sizeof line, status);) {
        char key[32], value[64];
        if (sscanf(line, "%31[^:]: %63s", key, value) == 2 && (!strncmp(key, "Cap", 3) || !strcmp(key, "NoNewPrivs") || !strcmp(key, "Seccomp")))
            fact(key, value);
    }
    ATTEMPT("setuid(0)", getuid() == 0 ? (errno = EPERM, -1) : setuid(0));
    ATTEMPT("setgroups", syscall(SYS_setgroups, 0, NULL));
    ATTEMPT("capset", ({
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2] = {{1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 0}};
        syscall(SYS_capset, &header, data);
    }));
    ATTEMPT("chown away", ({ int fd = open("privileges.owned", O_CREAT | O_RDWR, 0644); fd < 0 ? 0 : fchown(fd, 12345, 12345); }));
    return 0;
}
