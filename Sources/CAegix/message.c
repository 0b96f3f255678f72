#include "message.h"

#include "aegix_launch.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * AEGIX_TREES)];
};

int aegix_message_send(int socket, const void *bytes, size_t size, const int *descriptors, size_t count) {
    if (count > AEGIX_TREES) return errno = EINVAL, -1;
    struct iovec data = {(void *)bytes, size};
    union space space;
    memset(&space, 0, sizeof space);
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = space.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

long aegix_message_receive(
    int socket, int flags, void *bytes, size_t size, int *descriptors, size_t room, size_t *count) {
    *count = 0;
    struct iovec data = {bytes, size};
    union space space;
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    ssize_t got;
    do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return got;
    size_t came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < came; i++) {
        int one;
        memcpy(&one, CMSG_DATA(header) + i * sizeof one, sizeof one);
        if (i < room) descriptors[(*count)++] = one;
        else close(one);
    }
    return got;
}
