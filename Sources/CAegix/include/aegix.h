/* What Swift can't reach through Glibc: variadic and unexported calls. One prefix, one header. */
#ifndef AEGIX_H
#define AEGIX_H

#include <stdint.h>
#include <sys/types.h>

#include "aegix_state.h"

#include "aegix_probe.h"

#pragma clang assume_nonnull begin

/* open is variadic; this one isn't. */
int aegix_openat(int directory, const char *path, int flags, mode_t mode);

/* Hidden behind feature macros that Glibc's module isn't built with. */
const char *_Nullable aegix_errno_name(int code);
const char *_Nullable aegix_errno_words(int code);
ssize_t aegix_random(void *buffer, size_t length);

#pragma clang assume_nonnull end
#endif
