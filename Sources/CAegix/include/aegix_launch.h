/* The sandbox as data, and the one call that makes it. Swift takes every decision and fills these structs before
   the clone; the code between clone3 and exec walks them in order and reports where it stopped. It allocates nothing,
   uses no stdio and takes no lock, so it may run in a clone of any process. */
#ifndef AEGIX_LAUNCH_H
#define AEGIX_LAUNCH_H

#include <linux/filter.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/* Where the child was when something failed. Order is the order of execution. */
enum aegix_stage {
    AEGIX_STAGE_NONE = 0,
    AEGIX_STAGE_PARENT,    /* the death signal, and whether the parent still lives */
    AEGIX_STAGE_CGROUP,    /* a cgroup namespace whose root is the run's own cgroup */
    AEGIX_STAGE_IDENTITY,  /* id maps and the ids themselves */
    AEGIX_STAGE_HOST,      /* host name, loopback */
    AEGIX_STAGE_ROOT,      /* the tmpfs and pivot_root */
    AEGIX_STAGE_MOUNT,     /* index is the step's */
    AEGIX_STAGE_SEAL_ROOT, /* the old root detached, the new one read-only */
    AEGIX_STAGE_TERMINAL,
    AEGIX_STAGE_LIMITS, /* index is the limit's */
    AEGIX_STAGE_ADDRESSES, /* no address randomisation */
    AEGIX_STAGE_PRIVILEGES,
    AEGIX_STAGE_LANDLOCK, /* index is the rule's, -1 for the rule set itself */
    AEGIX_STAGE_SECCOMP,
    AEGIX_STAGE_HANDOVER, /* listener, root and terminal to the supervisor */
    AEGIX_STAGE_FORK,
    AEGIX_STAGE_STDIO,
    AEGIX_STAGE_CWD,
    AEGIX_STAGE_EXEC,
};

/* Shared between supervisor and pid 1 only: the one channel that needs no descriptor inside. The command loses the
   mapping with its exec, before its first instruction. */
struct aegix_page {
    uint32_t stage; /* of the failure; AEGIX_STAGE_NONE while all is well */
    int32_t index;
    int32_t error;
    uint32_t sealed;      /* pid 1 has dropped its memory, descriptors and privileges: a futex */
    uint32_t finished;    /* the command was reaped: `status` is valid */
    int32_t status;       /* as wait4 gives it */
    uint32_t deadline;    /* pid 1's own timer ended the run */
    uint32_t joined;      /* the relay is in our namespaces, or never will be: a futex */
    uint32_t connected;   /* the way to the relay is there: a futex */
    uint64_t extension;   /* nanoseconds that the deadline is later: somebody was asked meanwhile */
    uint32_t recorded;    /* the ledger tells of the run's start: a futex. Nothing of the caller's is executed before */
    uint32_t released;    /* maps and trees are there: a futex, since a socket's wake-up would queue the child behind us */
};

enum aegix_operation {
    AEGIX_DIRECTORY = 1, /* path, mode; an existing directory is fine */
    AEGIX_FILE,          /* path, mode, content and length */
    AEGIX_SYMLINK,       /* path, source is the text */
    AEGIX_BIND,          /* path, source on the host (or, with AEGIX_INSIDE, in the new root), flags */
    AEGIX_ATTACH,        /* path, source is unused: `handed` is an index into the trees that the supervisor sends */
    AEGIX_PROC,          /* path */
    AEGIX_DEVPTS,        /* path */
    AEGIX_TMPFS,         /* path, source is the options, mode */
    AEGIX_OVERLAY,       /* path, source is the options */
    AEGIX_DETACH,        /* path */
};

enum aegix_mount_flag {
    AEGIX_READONLY = 1,
    AEGIX_NOEXEC = 2,
    AEGIX_DEVICES = 4, /* device nodes work: /dev's own binds only */
    AEGIX_INSIDE = 8,  /* the source is in the new root */
};

struct aegix_step {
    uint32_t operation;
    uint32_t flags;
    const char *path;
    const char *_Nullable source;
    size_t length;
    /* What the plan saw at `source`; another inode there now is a race and stops the run. 0: not checked. */
    uint64_t device, inode;
    uint32_t mode;
    int32_t handed;
};

struct aegix_landlock_rule {
    const char *path;
    uint64_t access;
};

struct aegix_limit {
    int32_t resource;
    uint64_t soft, hard;
};

#define AEGIX_TREES 64 /* detached trees that a privileged supervisor may hand in */

struct aegix_launch {
    struct aegix_page *page;
    int control; /* the child's end of a socket pair */
    int peer;    /* the supervisor's end, of which the child must not keep a copy: it would never see it close */
    int cgroup;  /* directory of the cgroup v2 that the child is born in; -1: its parent's */

    /* Identity. With maps the child writes them itself (one line each, its own ids); without, it waits for the
       supervisor to write them, drops the groups and takes the ids. */
    const char *_Nullable uid_map, *_Nullable gid_map;
    uid_t uid;
    gid_t gid;
    uint32_t own_network;   /* 0: the host's network namespace */
    uint32_t relayed;       /* the page's `joined` and `connected` are waited for */
    uint32_t watch_sockets; /* a netlink socket that can say what sockets hold goes to the supervisor */
    uint32_t trees; /* detached trees that arrive with the supervisor's word */

    const char *hostname;
    const char *root_options; /* of the tmpfs that is the root */
    const struct aegix_step *steps;
    size_t step_count;

    uint64_t handled_fs, handled_scope; /* 0, 0: no Landlock on this host */
    const struct aegix_landlock_rule *_Nullable rules;
    size_t rule_count;

    const struct aegix_limit *limits;
    size_t limit_count;
    uint32_t processors, first_processor; /* how many of the caller's, from which one on; 0: all of them */
    uint32_t umask;
    uint32_t plain_addresses; /* no address randomisation, for everything that is exec'd */
    uint32_t held;            /* the supervisor holds the command at its exec, too */
    uint64_t keep; /* capabilities kept, as bits */

    const struct sock_filter *filter;
    uint16_t filter_length;

    /* Descriptors for 0, 1, 2 of the command; -1 is /dev/null, -2 is the terminal. */
    int32_t stdio[3];
    uint16_t rows, columns;
    uint32_t raw_output; /* the terminal leaves newlines alone: the caller's own translates them */

    uint64_t deadline; /* CLOCK_MONOTONIC nanoseconds at which pid 1 ends everything; 0: never */

    /* Tier confined: no namespaces. The child becomes a subreaper outside of the command's Landlock domain, which is how
       it alone reaches every process of the run. Steps, maps and host name mean nothing then; by root, uid and gid are
       taken before anything else. */
    uint32_t confined;
    uint64_t handled_net; /* 0: Landlock leaves TCP alone */

    const char *cwd;
    const char *_Nullable const *_Nonnull candidates; /* absolute paths to try, NULL at the end */
    const char *_Nullable const *_Nonnull argv;
    const char *_Nullable const *_Nonnull environment;
};

/* To the init of tier confined: every process of the run ends, and then init. It is its death signal, too. SIGKILL
   would end init alone. */
enum { AEGIX_END_ALL = 62 };

/* To pid 1, from the supervisor alone: every other process stops, or goes on. */
enum { AEGIX_STOP_ALL = 63, AEGIX_CONTINUE_ALL = 64 };

/* Makes the namespaces and starts pid 1 in them. Returns its pid and stores a pidfd, or -1 with errno. */
pid_t aegix_spawn(const struct aegix_launch *launch, int *pidfd);

/* What pid 1 hands over once everything is in place: the seccomp listener, the sandbox's root and, with a terminal,
   its master side (-1 without). Returns 1, or with more to come, and in `listener`, 2 for a monitor of the sandbox's sockets and 3 for where its lookups come; 0 when the child is gone, -1 with errno. Never blocks longer than
   `timeout_ms`. */
int aegix_receive_handover(int control, int timeout_ms, int *listener, int *root, int *terminal);

/* Releases a child that waits for its id maps, handing it detached trees. 0 or -1 with errno. */
int aegix_send_release(struct aegix_page *page, int control, const int *trees, uint32_t count);

/* One of the page's words that the child waits for. */
void aegix_page_say(uint32_t *word);

/* A shared page, zeroed. NULL with errno. */
struct aegix_page *_Nullable aegix_page_map(void);
/* How much later than planned the deadline is by now. */
void aegix_page_extend(struct aegix_page *page, uint64_t nanoseconds);
void aegix_page_unmap(struct aegix_page *page);


#pragma clang assume_nonnull end
#endif
