// K1: putting words into the terminal of the caller, by every descriptor that may lead to it and on a pty of one's own.
#include "probe.h"
#include <sys/ioctl.h>
#include <termios.h>

static long stuff(int fd, unsigned long request, const char *text) {
    for (; *text; text++)
        if (syscall(SYS_ioctl, fd, request, text) < 0) return -1;
    return 0;
}

static int own_terminal(void) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) return -1;
    return open(ptsname(master), O_RDWR | O_NOCTTY);
}

int main(void) {
    char name[64];
    struct winsize size = {0};
    outcome("control: window size", ioctl(0, TIOCGWINSZ, &size));
    char text[32];
    snprintf(text, sizeof text, "%dx%d", size.ws_col, size.ws_row);
    fact("size", text);
    char *tty = ttyname(0);
    fact("ttyname", tty ? tty : "none");
    int subcode = 3;  // TIOCL_PASTESEL: pastes the console's selection as if typed
    int fds[] = {0, 1, 2, open("/dev/tty", O_RDWR), own_terminal()};
    const char *names[] = {"stdin", "stdout", "stderr", "/dev/tty", "own pty"};
    for (int i = 0; i < 5; i++) {
        if (fds[i] < 0) continue;
        snprintf(name, sizeof name, "TIOCSTI on %s", names[i]);
        ATTEMPT(name, stuff(fds[i], TIOCSTI, "x"));
        snprintf(name, sizeof name, "TIOCSTI with high bits on %s", names[i]);
        ATTEMPT(name, stuff(fds[i], 0x100000000UL | TIOCSTI, "x"));
        snprintf(name, sizeof name, "TIOCLINUX on %s", names[i]);
        ATTEMPT(name, syscall(SYS_ioctl, fds[i], (unsigned long)TIOCLINUX, &subcode));
        snprintf(name, sizeof name, "TIOCCONS on %s", names[i]);
        // Unprivileged or not, it redirects the console; harmless outside only because a pty slave refuses it when root lacks.
        if (getenv("HARMFUL")) ATTEMPT(name, syscall(SYS_ioctl, fds[i], (unsigned long)TIOCCONS, 0));
    }
    return 0;
}
