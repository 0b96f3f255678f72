// Rule 7: RLIMIT_CORE, by every way to change it. `cores` tries; `cores tell NAME` only says what it is.
#include "probe.h"
#include <sys/resource.h>

static void tell(const char *name) {
    struct rlimit limit = {77, 77};
    char text[64];
    getrlimit(RLIMIT_CORE, &limit);
    snprintf(text, sizeof text, "%lld %lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
    fact(name, text);
}

static long set(int how, pid_t pid, unsigned long resource, rlim_t value) {
    struct rlimit limit = {value, value};
    return how ? syscall(SYS_prlimit64, pid, resource, &limit, NULL) : syscall(SYS_setrlimit, resource, &limit);
}

int main(int argc, char **argv) {
    if (argc == 3) { tell(argv[2]); return 0; }
    unsigned long high = 1ul << 32 | RLIMIT_CORE;
    tell("at the start");
    ATTEMPT("control: RLIMIT_NOFILE", set(0, 0, RLIMIT_NOFILE, 50));
    // In this very process, so that a change shows at the end. What loosens comes first: it fails for want of privilege, too.
    outcome("setrlimit unlimited", set(0, 0, RLIMIT_CORE, RLIM_INFINITY));
    outcome("setrlimit 0", set(0, 0, RLIMIT_CORE, 0));
    outcome("setrlimit 0 with high bits", set(0, 0, high, 0));
    outcome("prlimit 0", set(1, 0, RLIMIT_CORE, 0));
    outcome("prlimit 0 with high bits", set(1, getpid(), high, 0));
    int ends[2];
    pipe(ends);
    pid_t child = fork();
    if (child == 0) { char go; read(ends[0], &go, 1); tell("in a child"); _exit(0); }
    outcome("prlimit of a child 0", set(1, child, RLIMIT_CORE, 0));
    write(ends[1], "", 1);
    waitpid(child, NULL, 0);
    if (fork() == 0) { execl(argv[0], argv[0], "tell", "after exec", NULL); _exit(1); }
    wait(NULL);
    tell("at the end");
    return 0;
}
