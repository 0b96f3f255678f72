/* A terminal of the sandbox's own devpts. The caller's never enters. */
#include "child.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

int aegix_child_terminal(const struct aegix_launch *launch, int *master, int *slave) {
    *master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*master < 0) return -1;
    int unlock = 0;
    if (ioctl(*master, TIOCSPTLCK, &unlock) < 0) return -1;
    *slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*slave < 0) return -1;
    struct winsize size = {.ws_row = launch->rows, .ws_col = launch->columns};
    if (ioctl(*slave, TIOCSWINSZ, &size) < 0) return -1;
    if (launch->raw_output) {
        struct termios modes;
        if (tcgetattr(*slave, &modes) < 0) return -1;
        modes.c_oflag &= ~(tcflag_t)OPOST;
        if (tcsetattr(*slave, TCSANOW, &modes) < 0) return -1;
    }
    return 0;
}
