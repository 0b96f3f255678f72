/* What the files of the child share. None of it allocates, locks or prints. */
#ifndef AEGIX_CHILD_H
#define AEGIX_CHILD_H

#include "aegix_launch.h"
#include <sys/syscall.h>
#include <unistd.h>

/* A tmpfs for what is needed only while the root is assembled, the old root among it: all of it goes at once. */
#define AEGIX_STAGING "/.old"
#define AEGIX_OLD_ROOT AEGIX_STAGING "/host"

/* What pid 1's messages to the supervisor bring. */
#define AEGIX_WORD_READY "r"
#define AEGIX_WORD_SOCKETS "s"
#define AEGIX_WORD_NAMES "n"

/* Each returns 0, or -1 with errno and *index set to the step, rule or limit at fault. */
int aegix_child_root(const char *options);
int aegix_child_mounts(const struct aegix_launch *launch, const int *trees, int32_t *index);
int aegix_child_seal_root(void);
int aegix_child_loopback(void);
/* With `ruleset` the rules stay open there, to be applied once more. */
int aegix_child_landlock(const struct aegix_launch *launch, int32_t *index, int *ruleset);
int aegix_child_landlock_again(int ruleset);
int aegix_child_privileges(uint64_t keep);
/* Tier confined. */
int aegix_child_confined_identity(const struct aegix_launch *launch);
int aegix_child_powerless(void);
int aegix_child_scope_holds(pid_t outside);
int aegix_child_seccomp(const struct aegix_launch *launch);
int aegix_child_terminal(const struct aegix_launch *launch, int *master, int *slave);

/* Replaces the calling process, pid 1, by a loop that holds nothing of the process it was cloned from. */
_Noreturn void aegix_init(struct aegix_page *page, pid_t command, uint64_t deadline, uint32_t confined);

#endif
