/* What asking a person or a program takes: fork and termios, which Swift can't use safely or at all. */
#ifndef AEGIX_ASK_H
#define AEGIX_ASK_H

#include <stddef.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/* A program in a session of its own, with these as its 0 and 1, in `/`. Its pidfd, or -1 with errno. */
int aegix_helper_start(const char *_Nullable const *_Nonnull argv, const char *_Nullable const *_Nonnull environment, int input, int output,
                       pid_t *pid);
/* Ends it with all that it started and reaps it: its status as wait4 gives it; -1: it isn't there. */
int aegix_helper_end(pid_t pid);

/* The controlling terminal, when it is in front, for a line that is typed. */
struct aegix_prompt;
struct aegix_prompt *_Nullable aegix_prompt_open(void);
int aegix_prompt_descriptor(const struct aegix_prompt *prompt);
/* Nothing that was typed before counts. */
void aegix_prompt_flush(const struct aegix_prompt *prompt);
int aegix_prompt_write(const struct aegix_prompt *prompt, const void *text, size_t length);
/* As it was before. */
void aegix_prompt_close(struct aegix_prompt *prompt);

#pragma clang assume_nonnull end
#endif
