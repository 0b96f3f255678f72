/* What the relay does with sockets on both of its sides. */
#include "aegix_network.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(EPOLLIN == 0x1 && EPOLLOUT == 0x4 && EPOLLERR == 0x8 && EPOLLHUP == 0x10 && EPOLLRDHUP == 0x2000, "epoll");

int aegix_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int aegix_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t tag) {
    struct epoll_event event = {events, {.u64 = tag}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

int aegix_epoll_change(int epoll, int descriptor, uint32_t events, uint64_t tag) {
    struct epoll_event event = {events, {.u64 = tag}};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event);
}

void aegix_epoll_remove(int epoll, int descriptor) { epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL); }

int aegix_epoll_ready(int epoll, struct aegix_ready *ready, int room) {
    struct epoll_event events[64];
    int count = epoll_wait(epoll, events, room < 64 ? room : 64, 0);
    for (int i = 0; i < count; i++) ready[i] = (struct aegix_ready){events[i].data.u64, events[i].events};
    return count < 0 ? 0 : count;
}

int aegix_connect_host(const struct sockaddr *address, socklen_t length) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0) return -1;
    if (connect(fd, address, length) == 0 || errno == EINPROGRESS) return fd;
    int error = errno;
    close(fd);
    return errno = error, -1;
}

int aegix_is_own_address(const struct sockaddr *address, socklen_t length) {
    struct sockaddr_storage target = {0}, source = {0};
    socklen_t size = sizeof source;
    memcpy(&target, address, length);
    if (address->sa_family == AF_INET) ((struct sockaddr_in *)&target)->sin_port = 9;
    else ((struct sockaddr_in6 *)&target)->sin6_port = 9;
    int fd = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return 0;
    int own = 0;
    /* The kernel takes an address of its own for the source, too. */
    if (connect(fd, (struct sockaddr *)&target, length) == 0 && getsockname(fd, (struct sockaddr *)&source, &size) == 0) {
        if (address->sa_family == AF_INET)
            own = !memcmp(&((struct sockaddr_in *)&target)->sin_addr, &((struct sockaddr_in *)&source)->sin_addr, 4);
        else own = !memcmp(&((struct sockaddr_in6 *)&target)->sin6_addr, &((struct sockaddr_in6 *)&source)->sin6_addr, 16);
    }
    close(fd);
    return own;
}

int aegix_socket_error(int descriptor) {
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

int aegix_accept(int listener, struct sockaddr_in6 *peer, struct sockaddr_in6 *local) {
    socklen_t size = sizeof *peer, other = sizeof *local;
    memset(peer, 0, sizeof *peer);
    memset(local, 0, sizeof *local);
    int fd = accept4(listener, (struct sockaddr *)peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return -1;
    if (getsockname(fd, (struct sockaddr *)local, &other) == 0) return fd;
    int error = errno;
    close(fd);
    return errno = error, -1;
}

void aegix_socket_prepare(int descriptor) {
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(descriptor, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on);
}

void aegix_socket_abort(int descriptor) {
    struct linger now = {1, 0};
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

ssize_t aegix_socket_peek(int descriptor, void *buffer, size_t length) {
    return recv(descriptor, buffer, length, MSG_PEEK | MSG_DONTWAIT);
}

ssize_t aegix_socket_take(int descriptor, void *buffer, size_t length) {
    return recv(descriptor, buffer, length, MSG_DONTWAIT);
}

ssize_t aegix_move_bytes(int from, int to, size_t most) {
    return splice(from, NULL, to, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

int aegix_relay_pipe(int ends[2], int bytes) {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return -1;
    (void)fcntl(ends[1], F_SETPIPE_SZ, bytes);
    return 0;
}

void aegix_raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}
