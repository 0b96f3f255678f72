/* The one file that must know the processor: a raw system call, a jump onto a new stack, the end of user addresses. */
#ifndef AEGIX_RAW_CALL_H
#define AEGIX_RAW_CALL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AEGIX_ALWAYS static inline __attribute__((always_inline))

#if defined(__x86_64__)

#define AEGIX_ADDRESS_END 0x7ffffffff000ul
#define AEGIX_THREAD_POINTER() ((char *)__builtin_thread_pointer())

AEGIX_ALWAYS long aegix_raw(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

_Noreturn AEGIX_ALWAYS void aegix_jump(void *entry, void *stack, void *argument) {
    __asm__ volatile("mov %1, %%rsp\n\txor %%ebp, %%ebp\n\tpush $0\n\tjmp *%0" ::"r"(entry), "r"(stack), "D"(argument)
                     : "memory");
    __builtin_unreachable();
}

AEGIX_ALWAYS void aegix_sync_code(char *code, size_t length) {
    (void)code;
    (void)length;
}

#elif defined(__aarch64__)

/* 48-bit addresses; on a kernel with fewer the call fails and the loop is refused by its own check. */
#define AEGIX_ADDRESS_END 0x1000000000000ul
#define AEGIX_THREAD_POINTER() ((char *)__builtin_thread_pointer())

AEGIX_ALWAYS long aegix_raw(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

_Noreturn AEGIX_ALWAYS void aegix_jump(void *entry, void *stack, void *argument) {
    register void *x0 __asm__("x0") = argument;
    __asm__ volatile("mov sp, %1\n\tmov x29, xzr\n\tmov x30, xzr\n\tbr %0" ::"r"(entry), "r"(stack), "r"(x0)
                     : "memory");
    __builtin_unreachable();
}

AEGIX_ALWAYS void aegix_sync_code(char *code, size_t length) { __builtin___clear_cache(code, code + length); }

#else
#error "aegix knows x86-64 and arm64"
#endif

/* 0x53053053 is the signature that glibc registers with on x86; the kernel refuses another one, harmlessly, and then
   the first preemption would kill pid 1: so the same constant as glibc's is used. */
AEGIX_ALWAYS void aegix_unregister_rseq(void) {
    if (__rseq_size == 0) return;
    char *area = AEGIX_THREAD_POINTER() + __rseq_offset;
    /* glibc registers at least 32 bytes, whatever size it reports as in use. */
    if (aegix_raw(SYS_rseq, (long)area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG, 0, 0) < 0)
        aegix_raw(SYS_rseq, (long)area, (long)__rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG, 0, 0);
}

#endif
