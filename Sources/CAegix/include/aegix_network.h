/* The relay's own network namespace, and the packets by which a connect is held until the host has answered. */
#ifndef AEGIX_NETWORK_H
#define AEGIX_NETWORK_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/* An IPv4 address is the first four bytes. */
struct aegix_route {
    uint8_t family, bits; /* AF_INET or AF_INET6 */
    uint8_t address[16];
};

/* A process that holds the relay's namespace and makes sockets there. No process of the sandbox can name it. */
struct aegix_relay {
    pid_t pid;
    int channel;
};

/* What it makes at the start. -1 where the host has no IPv6. */
struct aegix_relay_sockets {
    int names;      /* UDP, where the sandbox asks for names */
    int seen, seen6; /* each first packet of a connect */
    int send, send6; /* raw, marked */
};

/* Forks it into the namespaces of `pid`, whose first steps wait for that. 0 or -1 with errno. */
int aegix_relay_start(struct aegix_relay *relay, pid_t pid, const struct aegix_route *routes, size_t count);
/* Waits until it has joined them. */
int aegix_relay_joined(const struct aegix_relay *relay);
/* Waits until everything is in place; *stage says at what it stopped. */
int aegix_relay_receive(const struct aegix_relay *relay, struct aegix_relay_sockets *sockets, uint32_t *stage);
enum aegix_relay_stage {
    AEGIX_RELAY_JOIN = 1, /* the sandbox's namespaces */
    AEGIX_RELAY_NAMESPACE,
    AEGIX_RELAY_LINK, /* a pair of virtual interfaces */
    AEGIX_RELAY_ADDRESS,
    AEGIX_RELAY_ROUTE,
    AEGIX_RELAY_SOCKET,
};
/* For the doctor, in a network namespace that plays the sandbox's: the first steps alone. 0, or the stage with errno. The process
 * isn't of use for anything else after it. */
uint32_t aegix_relay_try(void);
/* A listener on every address of the relay, that lets in no connection which wasn't admitted. -1 with errno. */
int aegix_relay_listener(const struct aegix_relay *relay, uint16_t port);
void aegix_relay_end(struct aegix_relay *relay);

/* A connect's first packet. */
struct aegix_syn {
    uint8_t family; /* AF_INET or AF_INET6 */
    uint8_t client[16], server[16];
    uint16_t client_port, server_port;
    uint32_t sequence;
    uint16_t length; /* of the packet: IPv4 with its header, IPv6 without */
    uint8_t packet[120];
};
/* 1: one was read; 0: none is waiting, or it was none; -1 with errno. */
int aegix_syn_receive(int seen, uint8_t family, struct aegix_syn *syn);
/* The connect succeeds: its first packet once more, with the mark that a listener asks for. */
int aegix_syn_admit(int send, const struct aegix_syn *syn);
/* The connect fails with ECONNREFUSED. */
int aegix_syn_refuse(int send, const struct aegix_syn *syn);
/* The connect fails with EHOSTUNREACH, over IPv4. */
int aegix_syn_unreachable(int send, const struct aegix_syn *syn);

/* epoll, without the union and the enumeration that Swift doesn't show. */
static const uint32_t AEGIX_READABLE = 0x1, AEGIX_WRITABLE = 0x4, AEGIX_BROKEN = 0x8, AEGIX_HUNG_UP = 0x10;
static const uint32_t AEGIX_HALF_CLOSED = 0x2000, AEGIX_EDGE = 1u << 31;
int aegix_epoll_create(void);
int aegix_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t tag);
int aegix_epoll_change(int epoll, int descriptor, uint32_t events, uint64_t tag);
void aegix_epoll_remove(int epoll, int descriptor);
struct aegix_ready {
    uint64_t tag;
    uint32_t events;
};
/* What is ready now; never waits. */
int aegix_epoll_ready(int epoll, struct aegix_ready *ready, int room);

/* A TCP socket of the host that connects without waiting: EINPROGRESS is no error. -1 with errno. */
int aegix_connect_host(const struct sockaddr *address, socklen_t length);
/* Whether the address is one of this host's own interfaces; no packet is sent. */
int aegix_is_own_address(const struct sockaddr *address, socklen_t length);
int aegix_socket_error(int descriptor);
int aegix_accept(int listener, struct sockaddr_in6 *peer, struct sockaddr_in6 *local);
/* As a relayed connection: small pieces go at once; no filter of the listener's is left. */
void aegix_socket_prepare(int descriptor);
/* To be closed with a reset. */
void aegix_socket_abort(int descriptor);
ssize_t aegix_socket_peek(int descriptor, void *buffer, size_t length);
/* What was peeked at, out of the socket. */
ssize_t aegix_socket_take(int descriptor, void *buffer, size_t length);
/* As splice, never waiting. */
ssize_t aegix_move_bytes(int from, int to, size_t most);
int aegix_relay_pipe(int ends[_Nonnull 2], int bytes);
/* The soft limit on open descriptors becomes the hard one. */
void aegix_raise_open_files(void);

#pragma clang assume_nonnull end
#endif
