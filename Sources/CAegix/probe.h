/* Shared by the files of the probes; not for Swift. All of it runs in the child. */
#ifndef PROBE_H
#define PROBE_H

#include "aegix_probe.h"
#include <sys/types.h>

/* Both send the one result and end the process. */
_Noreturn void aegix_probe_held(int report, int64_t value);
_Noreturn void aegix_probe_failed(int report, int stage, int error);

/* A child that dies with its parent. */
pid_t aegix_probe_fork(void);
/* Waits, and says nothing when the child has reported; reports its death otherwise. */
_Noreturn void aegix_probe_await(int report, pid_t child);
int aegix_probe_write_file(int directory, const char *path, const char *text);

void aegix_probe_namespaces(int kind, int directory, int report);
void aegix_probe_calls(int kind, int directory, int report);

#endif
