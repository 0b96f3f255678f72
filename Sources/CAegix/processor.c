/* The processor's name, from itself: /proc/cpuinfo asks every processor for its frequency first, and takes longer than a
   sandbox does. */
#include "aegix_supervise.h"
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

void aegix_processor_name(char name[AEGIX_PROCESSOR_NAME]) {
    memset(name, 0, AEGIX_PROCESSOR_NAME);
#if defined(__x86_64__)
    unsigned words[12];
    for (unsigned i = 0; i < 3; i++) {
        unsigned *four = words + 4 * i;
        if (!__get_cpuid(0x80000002u + i, &four[0], &four[1], &four[2], &four[3])) return;
    }
    memcpy(name, words, sizeof words);
#endif
}
