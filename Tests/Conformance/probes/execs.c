// Rule 20: `execs COUNT KIB` starts itself COUNT times with KIB KiB of arguments, each of which ends at once.
#include "probe.h"

int main(int argc, char **argv) {
    if (argc > 3) return 0;
    long count = strtol(argv[1], NULL, 10), size = strtol(argv[2], NULL, 10) << 10, done = 0;
    char *word = malloc((size_t)size + 1), *words[] = {argv[0], "leaf", word, "end", NULL};
    memset(word, 'x', (size_t)size);
    word[size] = 0;
    for (; done < count; done++) {
        pid_t child = vfork();
        if (child == 0) { execv(argv[0], words); _exit(1); }
        int status;
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) break;
    }
    dprintf(1, "done\t%ld\n", done);
    return done == count ? 0 : 9;
}
