/* The caller's own terminal: raw while the sandbox's is in front, and as it was afterwards. */
#include "aegix_supervise.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

struct aegix_terminal {
    int descriptor;
    struct termios before;
};

struct aegix_terminal *aegix_terminal_raw(int descriptor, int keep_output) {
    struct aegix_terminal *terminal = malloc(sizeof *terminal);
    if (!terminal) return NULL;
    terminal->descriptor = descriptor;
    struct termios raw;
    if (tcgetattr(descriptor, &terminal->before) < 0) goto failed;
    raw = terminal->before;
    cfmakeraw(&raw);
    if (keep_output) raw.c_oflag = terminal->before.c_oflag;
    if (tcsetattr(descriptor, TCSADRAIN, &raw) < 0) goto failed;
    return terminal;
failed:;
    int error = errno;
    free(terminal);
    errno = error;
    return NULL;
}

void aegix_terminal_restore(struct aegix_terminal *terminal) {
    /* In the background by now, the change would stop us. */
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, &before);
    tcsetattr(terminal->descriptor, TCSADRAIN, &terminal->before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(terminal);
}

int aegix_terminal_size(int descriptor, uint16_t *rows, uint16_t *columns) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -1;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

void aegix_terminal_resize(int descriptor, uint16_t rows, uint16_t columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    ioctl(descriptor, TIOCSWINSZ, &size);
}

int aegix_terminal_foreground(int descriptor) { return tcgetpgrp(descriptor) == getpgrp(); }
