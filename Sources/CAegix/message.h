/* A few bytes over a Unix socket, and descriptors with them. None of it allocates, locks or prints. */
#ifndef AEGIX_MESSAGE_H
#define AEGIX_MESSAGE_H

#include <stddef.h>

/* 0, or -1 with errno. */
int aegix_message_send(int socket, const void *bytes, size_t size, const int *descriptors, size_t count);

/* How many bytes came, or -1 with errno. What comes beyond `room` descriptors is closed; those that came are close-on-exec. */
long aegix_message_receive(int socket, int flags, void *bytes, size_t size, int *descriptors, size_t room, size_t *count);

#endif
