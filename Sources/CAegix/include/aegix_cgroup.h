/* What the search for a cgroup asks that Swift can't reach through Glibc. */
#ifndef AEGIX_CGROUP_H
#define AEGIX_CGROUP_H

#pragma clang assume_nonnull begin

/* 1 when `path` lies in a cgroup v2 hierarchy, else 0. */
int aegix_is_cgroup2(const char *path);

/* 1 when systemd has marked the cgroup as delegated: its manager leaves what is below it alone. Older ones, and those
   of the system, mark where only root can read it. */
int aegix_is_delegated(int cgroup);

/* 0 when the caller, by its effective ids, may write the file; else -1 with errno. */
int aegix_may_write(int directory, const char *name);

/* A connected stream socket, or -1 with errno. sockaddr_un is a tuple of 108 in Swift. */
int aegix_connect(const char *path);

#pragma clang assume_nonnull end
#endif
