// R2, R4: processes that don't want to go.
//   survivors MARKER     leaves every kind of straggler behind, all holding stdout, and waits
//   survivors leave MARKER    the same, but ends itself at once with 0
//   survivors orphans N  N double-forked orphans; then says how many zombies are in view
#include "probe.h"
#include <ctype.h>
#include <dirent.h>
#include <sys/prctl.h>
#include <time.h>

static void shrug(int number) { (void)number; }

static void linger(const char *marker, int how) {
    pid_t child = fork();
    if (child) { if (how != 4) waitpid(child, NULL, WNOHANG); return; }
    if (how == 0 && fork()) _exit(0);  // orphan
    if (how == 1) { setsid(); if (fork()) _exit(0); setsid(); }  // a session of its own, twice removed
    if (how == 2) for (int s = 1; s < 65; s++) signal(s, s % 2 ? SIG_IGN : shrug);  // deaf
    if (how == 3) kill(getpid(), SIGSTOP);  // stopped
    if (how == 4) { setpgid(0, 0); signal(SIGTERM, SIG_IGN); signal(SIGHUP, SIG_IGN); signal(SIGINT, SIG_IGN); }
    if (how == 5) for (int i = 0; i < 200; i++) { if (fork()) _exit(0); usleep(2000); }  // always under another pid
    prctl(PR_SET_NAME, marker);
    for (;;) pause();
}

static int zombies(void) {
    int count = 0;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[300], line[512];
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        count += end && end[2] == 'Z';
        fclose(file);
    }
    if (directory) closedir(directory);
    return count;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "orphans")) {
        long made = 0;
        for (long n = strtol(argv[2], NULL, 10); n > 0; n--) {
            pid_t child = fork();
            if (child < 0) { usleep(1000); n++; continue; }
            if (child == 0) { if (fork() == 0) _exit(0); _exit(0); }
            waitpid(child, NULL, 0);
            made++;
        }
        int left = 0;
        for (int i = 0; i < 2000 && (left = zombies()); i++) usleep(5000);
        printf("made\t%ld\nzombies\t%d\n", made, left);
        return 0;
    }
    int leave = argc == 3;
    for (int how = 0; how < 6; how++) linger(argv[argc - 1], how);
    dprintf(1, "ready\n");
    if (leave) return 0;
    for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
    for (;;) pause();
}
