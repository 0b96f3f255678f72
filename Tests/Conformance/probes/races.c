/* races KIND SECONDS: starts programs as fast as it can while something else changes what is started. `bad`, or what is
   started with the word bad, leaves a byte in `ran`; each start that came through leaves one in `good-ran`. */
#include "probe.h"
#include <pthread.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

static volatile int over;
static char path[16], word[16];
static char *arguments[] = {"prog", word, NULL};
static int descriptor = -1;
static const char *kind;

static void mark(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (write(fd, "x", 1) != 1) _exit(3);
    close(fd);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* In the memory of those who call. */
static void *flip(void *unused) {
    (void)unused;
    static char good[] = "fine", bad[] = "bad";
    int files[2] = {open("./good", O_PATH), open("./bad", O_PATH)};
    for (unsigned i = 0; !over; i++) {
        if (!strcmp(kind, "path")) strcpy(path, i & 1 ? "./bad" : "./good");
        if (!strcmp(kind, "argv")) strcpy(word, i & 1 ? "bad" : "fine");
        if (!strcmp(kind, "pointer")) arguments[1] = i & 1 ? bad : good;
        if (!strcmp(kind, "descriptor")) dup2(files[i & 1], descriptor);
        for (volatile int wait = 0; wait < (int)(i * 7919 % 3000); wait++) {}
    }
    return NULL;
}

/* In the file system. */
static void swap(const char *name, const char *good, const char *bad, int hard) {
    for (unsigned i = 0;; i++) {
        char fresh[32];
        snprintf(fresh, sizeof fresh, "%s.new", name);
        unlink(fresh);
        if (hard ? link(i & 1 ? bad : good, fresh) : symlink(i & 1 ? bad : good, fresh)) _exit(4);
        rename(fresh, name);
        for (volatile int wait = 0; wait < (int)(i * 7919 % 20000); wait++) {}
    }
}

static int start(void *unused) {
    (void)unused;
    if (!strcmp(kind, "descriptor"))
        syscall(SYS_execveat, descriptor, "", arguments, environ, AT_EMPTY_PATH);
    else
        execve(path, arguments, environ);
    _exit(126);
}

static void *start_here(void *unused) {
    start(unused);
    return NULL;
}

static void *sleep_on(void *unused) {
    (void)unused;
    for (;;) pause();
    return NULL;
}

int main(int argc, char **argv) {
    char own[4096] = "";
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0) return 5;
    char *base = strrchr(own, '/') + 1;
    if (!strcmp(base, "prog") || !strcmp(base, "prog.new") || strstr(base, "(deleted)")) {
        /* By a hard link the name says nothing: `bad` has one byte more. */
        int file = open("/proc/self/exe", O_RDONLY);
        char last = 0;
        if (pread(file, &last, 1, lseek(file, 0, SEEK_END) - 1) != 1) return 8;
        base = last == '\n' ? "bad" : "good";
        close(file);
    }
    if (!strcmp(base, "bad") || (!strcmp(base, "good") && argc > 1 && !strcmp(argv[1], "bad"))) {
        mark("ran");
        return 0;
    }
    if (!strcmp(base, "good")) {
        mark("good-ran");
        return 0;
    }
    if (argc < 3) return 2;
    kind = argv[1];
    double end = now() + atof(argv[2]);
    strcpy(path, "./good");
    strcpy(word, "fine");
    int isLink = !strcmp(kind, "link") || !strcmp(kind, "hardlink");
    int isScript = !strncmp(kind, "script", 6);
    pid_t racer = 0;
    pthread_t thread;
    if (isLink || isScript) {
        int hard = strstr(kind, "hard") != NULL;
        strcpy(path, isScript ? "./s.sh" : "./prog");
        const char *good = strstr(kind, "env") ? "env-good.sh" : isScript ? "good.sh" : "good";
        const char *bad = strstr(kind, "env") ? "env-bad.sh" : isScript ? "bad.sh" : "bad";
        if (hard ? link(good, path) : symlink(good, path)) return 6;
        racer = fork();
        if (racer == 0) swap(path, good, bad, hard);
    } else if (!strcmp(kind, "descriptor")) {
        descriptor = open("./good", O_PATH);
        pthread_create(&thread, NULL, flip, NULL);
    } else if (strcmp(kind, "threads") && strcmp(kind, "plain")) {
        pthread_create(&thread, NULL, flip, NULL);
    }
    unsigned long starts = 0, failed = 0, killed = 0;
    static char stack[65536] __attribute__((aligned(16)));
    while (now() < end) {
        int status;
        pid_t child;
        if (!strcmp(kind, "threads")) { /* exec from a thread that isn't the first, while others do the same */
            child = fork();
            if (child == 0) {
                pthread_t many[4];
                for (int i = 0; i < 2; i++) pthread_create(&many[i], NULL, sleep_on, NULL);
                for (int i = 2; i < 4; i++) pthread_create(&many[i], NULL, start_here, NULL);
                for (;;) pause();
            }
        } else {
            child = clone(start, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0) return 7;
        starts++;
        if (WIFSIGNALED(status)) killed++;
        else if (WEXITSTATUS(status)) failed++;
    }
    over = 1;
    if (racer) kill(racer, SIGKILL);
    printf("starts %lu failed %lu killed %lu\n", starts, failed, killed);
    return 0;
}
