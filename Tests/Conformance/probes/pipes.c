// D2: pages that are given to stdout and changed afterwards.
//   pipes vmsplice     the pages of memory      pipes splice FILE     the pages of a file     pipes tee     of another pipe
#include "probe.h"
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

enum { PAGE = 4096, TIMES = 64 };

int main(int argc, char **argv) {
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int file = argc > 2 ? open(argv[2], O_CREAT | O_TRUNC | O_RDWR, 0644) : -1;
    if (!strcmp(argv[1], "splice")) {
        if (file < 0 || ftruncate(file, PAGE)) return 3;
        page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (page == MAP_FAILED) return 4;
    for (int i = 0; i < TIMES; i++) {
        memset(page, 'A', PAGE - 1);
        page[PAGE - 1] = '\n';
        ssize_t moved = -1;
        if (!strcmp(argv[1], "vmsplice")) {
            struct iovec part = {page, PAGE};
            moved = vmsplice(1, &part, 1, 0);
        } else if (!strcmp(argv[1], "splice")) {
            loff_t from = 0;
            moved = splice(file, &from, 1, NULL, PAGE, 0);
        }
        if (moved < 0) { dprintf(2, "%s: %s\n", argv[1], strerrorname_np(errno)); return 5; }
        // Now, not later: a reader that looked early and one that looks late see different texts.
        memset(page, 'B', PAGE - 1);
        struct timespec pause = {0, 200000};
        if (i % 8 == 0) nanosleep(&pause, NULL);
    }
    return 0;
}
