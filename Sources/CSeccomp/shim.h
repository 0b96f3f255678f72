/* libseccomp's actions are macros that Swift doesn't import. */
#include <seccomp.h>

static inline uint32_t aegix_action_allow(void) { return SCMP_ACT_ALLOW; }
static inline uint32_t aegix_action_notify(void) { return SCMP_ACT_NOTIFY; }
static inline uint32_t aegix_action_kill(void) { return SCMP_ACT_KILL_PROCESS; }
static inline uint32_t aegix_action_errno(int error) { return SCMP_ACT_ERRNO((uint32_t)error); }
