/* pid 1 of the sandbox, and its stand-in where there is no pid namespace. Cloned from aegix, it would carry the caller's environment and memory: so it copies a small
   loop to a mapping of its own, unmaps everything else and runs there, on raw system calls alone. What is left of it
   in the sandbox's view is a process without memory of ours, descriptors or powers, and not dumpable. */
#include "child.h"
#include "raw_call.h"
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define IN_LOOP __attribute__((section("aegix_pid1"), noinline, used, no_stack_protector))
#define SIGNALS_SIZE 8

struct init_state {
    struct aegix_page *page;
    long command;
    uint64_t deadline;
    uint64_t confined;
    unsigned long region, region_end; /* where this loop and its stack live */
};

/* Everything from `from` up to `to` goes. */
#define UNMAP(from, to) \
    if ((to) > (from)) aegix_raw(SYS_munmap, (long)(from), (long)((to) - (from)), 0, 0, 0, 0)

#define EXIT(code)                                         \
    for (;;) aegix_raw(SYS_exit_group, (code), 0, 0, 0, 0, 0)

/* The kernel's siginfo_t as far as it is read. */
struct signal_info {
    int signo, error, code, pad, pid, uid;
    char rest[104];
};

/* Tier confined, where no namespace ends with us. To our Landlock domain every signal is scoped, so -1 means the run's
   processes and nobody else; the kernel walks them under the lock that fork takes, so none slips through between. Each
   that ends gives its children to us, the nearest subreaper: when there is none left to wait for, there is none left. */
AEGIX_ALWAYS void end_tree(void) {
    for (unsigned round = 0;; round++) {
        if (round % 64 == 0) aegix_raw(SYS_kill, -1, SIGKILL, 0, 0, 0, 0);
        if (aegix_raw(SYS_wait4, -1, 0, __WALL, 0, 0, 0) < 0) return;
    }
}

/* Self-contained: no call out of the section, no constant in memory. */
IN_LOOP static void init_loop(struct init_state *given) {
    struct aegix_page *page = given->page;
    long command = given->command;
    uint64_t deadline = given->deadline, confined = given->confined;
    unsigned long first = given->region, first_end = given->region_end;
    unsigned long second = (unsigned long)page, second_end = second + 4096;
    if (second < first) {
        unsigned long swap = first;
        first = second;
        second = swap;
        swap = first_end;
        first_end = second_end;
        second_end = swap;
    }
    UNMAP(0ul, first);
    UNMAP(first_end, second);
    UNMAP(second_end, AEGIX_ADDRESS_END);
    __atomic_store_n(&page->sealed, 1, __ATOMIC_RELEASE);
    aegix_raw(SYS_futex, (long)&page->sealed, FUTEX_WAKE, 2, 0, 0, 0);

    for (;;) {
        int status;
        long pid = aegix_raw(SYS_wait4, -1, (long)&status, WNOHANG | __WALL, 0, 0, 0);
        if (pid == command) {
            page->status = status;
            __atomic_store_n(&page->finished, 1, __ATOMIC_RELEASE);
            if (confined) end_tree();
            EXIT(0); /* the kernel ends every other process of the namespace and reaps it */
        }
        if (pid > 0) continue; /* an orphan */
        struct timespec wait;
        struct timespec *limit = 0;
        if (deadline) {
            aegix_raw(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&wait, 0, 0, 0, 0);
            uint64_t now = (uint64_t)wait.tv_sec * 1000000000u + (uint64_t)wait.tv_nsec;
            uint64_t end = deadline + __atomic_load_n(&page->extension, __ATOMIC_ACQUIRE);
            if (now >= end) {
                __atomic_store_n(&page->deadline, 1, __ATOMIC_RELEASE);
                if (confined) end_tree();
                EXIT(1);
            }
            wait.tv_sec = (long)((end - now) / 1000000000u);
            wait.tv_nsec = (long)((end - now) % 1000000000u);
            limit = &wait;
        }
        uint64_t every = ~0ull;
        struct signal_info info;
        long number = aegix_raw(SYS_rt_sigtimedwait, (long)&every, (long)&info, (long)limit, SIGNALS_SIZE, 0, 0);
        if (confined && number == AEGIX_END_ALL) {
            end_tree();
            EXIT(1);
        }
        /* Only the supervisor's word counts: from outside the namespace the sender has no number. In tier confined,
           Landlock lets no process of the run send us any. */
        if (number > 0 && number != SIGCHLD && info.code == 0 && (confined || info.pid == 0)) {
            if (number == AEGIX_STOP_ALL) number = SIGSTOP;
            if (number == AEGIX_CONTINUE_ALL) number = SIGCONT;
            aegix_raw(SYS_kill, -1, number, 0, 0, 0, 0);
            if (number != SIGSTOP) aegix_raw(SYS_kill, -1, SIGCONT, 0, 0, 0, 0); /* a stopped process gets it too */
        }
    }
}

extern const char __start_aegix_pid1[], __stop_aegix_pid1[];

void aegix_init(struct aegix_page *page, pid_t command, uint64_t deadline, uint32_t confined) {
    size_t code = (size_t)(__stop_aegix_pid1 - __start_aegix_pid1);
    size_t code_pages = (code + 4095) & ~4095ul, stack = 8192;
    char *region = mmap(NULL, code_pages + stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) _exit(125);
    for (size_t i = 0; i < code; i++) region[i] = __start_aegix_pid1[i];
    if (mprotect(region, code_pages, PROT_READ | PROT_EXEC) < 0) _exit(125);
    aegix_sync_code(region, code_pages);
    char *top = region + code_pages + stack;
    struct init_state *state = (struct init_state *)(top - 64);
    state->page = page;
    state->command = command;
    state->deadline = deadline;
    state->confined = confined;
    state->region = (unsigned long)region;
    state->region_end = (unsigned long)top;
    /* glibc registered a restartable-sequence area that the kernel writes to: it is about to go. */
    aegix_unregister_rseq();
    char *entry = region + ((const char *)(void *)init_loop - __start_aegix_pid1);
    aegix_jump(entry, (char *)state - 64, state);
}
