/* What Swift can't reach through Glibc: variadic and unexported calls. One prefix, one header. */
#ifndef AEGIX_H
#define AEGIX_H

#include <stdint.h>
#include <sys/types.h>

#include "aegix_launch.h"
#include "aegix_supervise.h"

#include "aegix_state.h"

#include "aegix_probe.h"
#include "aegix_watch.h"

#include "aegix_cgroup.h"
#include "aegix_hold.h"
#include "aegix_ask.h"

#pragma clang assume_nonnull begin

/* open is variadic; this one isn't. */
int aegix_openat(int directory, const char *path, int flags, mode_t mode);

/* Hidden behind feature macros that Glibc's module isn't built with. */
const char *_Nullable aegix_errno_name(int code);
const char *_Nullable aegix_errno_words(int code);
/* This program's build id; 0 when it was linked without one. */
size_t aegix_build_id(uint8_t *out, size_t room);

int aegix_o_path(void);
char *_Nullable *_Nonnull aegix_environment(void);
int aegix_memory_file(const char *name);
ssize_t aegix_random(void *buffer, size_t length);

#pragma clang assume_nonnull end
#endif
