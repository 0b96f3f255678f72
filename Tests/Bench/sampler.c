// Watches a sandbox's memory from outside: sampler LIMIT_BYTES COMMAND [ARG…]
// Starts the command, and reads RssAnon and RssShmem of everything below it, a thousand times a second, until it has ended.
// Prints one line of JSON. What several processes share counts for each of them: the bombs that it watches share nothing.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096 };
static const int64_t PERIOD = 1000000;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static ssize_t text(const char *path, char *room, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t count = read(fd, room, size - 1);
    close(fd);
    if (count >= 0) room[count] = 0;
    return count;
}

static int64_t field(const char *status, const char *name) {
    const char *line = strstr(status, name);
    return line ? strtoll(line + strlen(name), NULL, 10) * 1024 : 0;
}

/// The process ids below one, breadth first. Children of other threads than the first: a supervisor of one thread has none.
static int below(pid_t top, pid_t *found) {
    char path[64], room[16384];
    int count = 0;
    for (int at = -1; at < count; at++) {
        pid_t pid = at < 0 ? top : found[at];
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
        if (text(path, room, sizeof room) <= 0) continue;
        for (char *next = room; *next && count < MOST;) {
            char *end;
            pid_t child = (pid_t)strtol(next, &end, 10);
            if (end == next) break;
            found[count++] = child;
            next = end + (*end == ' ');
        }
    }
    return count;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int64_t limit = strtoll(argv[1], NULL, 10);
    // Ahead of what it watches, where that is allowed; its child isn't.
    mlockall(MCL_CURRENT | MCL_FUTURE);
    int64_t started = now();
    pid_t child = fork();
    if (child == 0) {
        munlockall();
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    struct sched_param first = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &first) < 0) setpriority(PRIO_PROCESS, 0, -10);
    prctl(PR_SET_TIMERSLACK, 1000);

    static pid_t pids[MOST];
    int64_t most_one = 0, most_all = 0, over = 0, gone = 0, samples = 0, longest = 0, last = 0, late = 0;
    int status = 0;
    for (;;) {
        int64_t time = now();
        if (last && time - last > longest) longest = time - last;
        late += last && time - last > 2000000;
        last = time;
        int count = below(child, pids);
        int64_t all = 0, alive = 0;
        for (int i = 0; i < count; i++) {
            char path[64], room[4096];
            snprintf(path, sizeof path, "/proc/%d/status", pids[i]);
            if (text(path, room, sizeof room) <= 0) continue;
            int64_t one = field(room, "RssAnon:") + field(room, "RssShmem:");
            alive += one > 0;
            all += one;
            if (one > most_one) most_one = one;
        }
        if (all > most_all) most_all = all;
        if (all > limit && !over) over = time;
        if (over && !gone && alive == 0) gone = now();
        samples++;
        if (waitpid(child, &status, WNOHANG) == child) break;
        int64_t next = time + PERIOD, left = next - now();
        if (left > 0) nanosleep(&(struct timespec){0, left}, NULL);
    }
    int64_t ended = now();
    if (over && !gone) gone = ended;
    printf("{\"most_one\": %lld, \"most_all\": %lld, \"over_to_gone_ms\": %.3f, \"over_to_end_ms\": %.3f, \"seconds\": %.6f, \"exit\": %d,"
           " \"samples\": %lld, \"longest_gap_ms\": %.3f, \"late\": %lld}\n",
           (long long)most_one, (long long)most_all, over ? (double)(gone - over) / 1e6 : 0, over ? (double)(ended - over) / 1e6 : 0,
           (double)(ended - started) / 1e9, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), (long long)samples,
           (double)longest / 1e6, (long long)late);
    return 0;
}
