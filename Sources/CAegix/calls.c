/* Thin wrappers, no decisions: variadic or unexported system calls under a fixed signature. */
#include "aegix.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

int aegix_openat(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags, mode);
}

const char *aegix_errno_name(int code) { return strerrorname_np(code); }

const char *aegix_errno_words(int code) { return strerrordesc_np(code); }

ssize_t aegix_random(void *buffer, size_t length) { return getrandom(buffer, length, 0); }

int aegix_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int aegix_o_path(void) { return O_PATH; }

char **aegix_environment(void) { return environ; }
