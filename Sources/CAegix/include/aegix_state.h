/* Calls on the state directory: relative to descriptors, hidden behind feature macros, or ambiguous in Swift (flock is
   also a struct there). */
#ifndef AEGIX_STATE_H
#define AEGIX_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/* What the state directory's checks ask of a file; statx isn't needed for it. */
struct aegix_file_facts {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    uint64_t links;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
};

int aegix_mkdirat(int directory, const char *name, mode_t mode);
int aegix_unlinkat(int directory, const char *name, int flags);
/* A process that goes on without its caller: no terminal, session or stream of it. As fork. */
int aegix_fork_aside(void);
int aegix_renameat(int directory, const char *from, const char *to);
/* From one directory to another, over what is there. */
int aegix_rename_to(int directory, const char *from, int other_directory, const char *to);
/* Never follows a link at `from`. */
int aegix_linkat(int from_directory, const char *from, int to_directory, const char *to);
int aegix_fchmodat(int directory, const char *name, mode_t mode);
int aegix_fstat(int descriptor, struct aegix_file_facts *facts);
/* Never follows a link. */
int aegix_fstatat(int directory, const char *name, struct aegix_file_facts *facts);
int aegix_flock(int descriptor, int operation);
ssize_t aegix_pread(int descriptor, void *buffer, size_t length, uint64_t offset);

/* Names of a directory from its start, each ended by NUL, without "." and ".."; whole names only, as many as fit.
   Returns the bytes used, or -1. readdir would allocate 32 KiB for what is most often an empty directory. */
ssize_t aegix_list_names(int directory, char *names, size_t length);

/* Where the bytes first are, or -1. */
ssize_t aegix_find(const void *bytes, size_t length, const void *needle, size_t needle_length);
/* Where the byte last is, or -1. */
ssize_t aegix_find_last(const void *bytes, size_t length, int byte);

#pragma clang assume_nonnull end
#endif
