/* Asking outside the sandbox: a program of the host's, and the caller's terminal. No decisions. */
#include "aegix_ask.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int aegix_helper_start(const char *const *argv, const char *const *environment, int input, int output, pid_t *pid) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        /* A session of its own: it has no terminal to read from, and can be ended with all that it starts. */
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(126);
        struct sigaction plain;
        memset(&plain, 0, sizeof plain);
        plain.sa_handler = SIG_DFL;
        for (int number = 1; number < 65; number++) sigaction(number, &plain, NULL);
        sigemptyset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || chdir("/") < 0) _exit(126);
        syscall(SYS_close_range, 3u, ~0u, 0u);
        execve(argv[0], (char *const *)argv, (char *const *)environment);
        _exit(127);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    if (child < 0) return -1;
    *pid = child;
    int descriptor = (int)syscall(SYS_pidfd_open, child, 0);
    if (descriptor < 0) {
        error = errno;
        aegix_helper_end(child);
        errno = error;
    }
    return descriptor;
}

int aegix_helper_end(pid_t pid) {
    int status = 0;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL); /* its session may not be there yet */
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return status;
}

struct aegix_prompt {
    int descriptor;
    struct termios before;
};

struct aegix_prompt *aegix_prompt_open(void) {
    struct aegix_prompt *prompt = malloc(sizeof *prompt);
    if (!prompt) return NULL;
    prompt->descriptor = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (prompt->descriptor < 0) goto failed;
    if (tcgetpgrp(prompt->descriptor) != getpgrp()) {
        errno = ENOTTY;
        goto failed;
    }
    struct termios asking;
    if (tcgetattr(prompt->descriptor, &prompt->before) < 0) goto failed;
    asking = prompt->before;
    asking.c_iflag |= ICRNL;
    asking.c_oflag |= OPOST | ONLCR;
    asking.c_lflag |= ICANON | ECHO | ECHOE | ISIG;
    if (tcsetattr(prompt->descriptor, TCSADRAIN, &asking) < 0) goto failed;
    return prompt;
failed:;
    int error = errno;
    if (prompt->descriptor >= 0) close(prompt->descriptor);
    free(prompt);
    errno = error;
    return NULL;
}

int aegix_prompt_descriptor(const struct aegix_prompt *prompt) { return prompt->descriptor; }

void aegix_prompt_flush(const struct aegix_prompt *prompt) { tcflush(prompt->descriptor, TCIFLUSH); }

int aegix_prompt_write(const struct aegix_prompt *prompt, const void *text, size_t length) {
    const char *at = text;
    while (length > 0) {
        ssize_t count = write(prompt->descriptor, at, length);
        if (count > 0) {
            at += count;
            length -= (size_t)count;
        } else if (count < 0 && errno == EAGAIN) {
            struct pollfd ready = {prompt->descriptor, POLLOUT, 0};
            if (poll(&ready, 1, 2000) <= 0) return -1;
        } else if (count < 0 && errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

void aegix_prompt_close(struct aegix_prompt *prompt) {
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, &before);
    /* What was typed after the answer isn't the command's either. */
    tcsetattr(prompt->descriptor, TCSAFLUSH, &prompt->before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(prompt->descriptor);
    free(prompt);
}
