// Connections: `sockets unix PATH abstract NAME tcp HOST:PORT tcp6 ADDR:PORT udp HOST:PORT …`, each an attempt with its errno.
//   selftest          the positive control: Unix (by path and abstract), TCP and UDP over loopback to itself
//   serve-abstract NAME    listens until killed, after the line "listening"
//   fifo PATH         opens a FIFO for writing without waiting, and writes
#include "probe.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t unix_address(struct sockaddr_un *address, const char *name, int abstract) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path + abstract, name, sizeof address->sun_path - 2);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)abstract + strlen(name) + !abstract);
}

static long connect_unix(const char *name, int abstract, int type) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, name, abstract);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (strlen(name) >= sizeof address.sun_path - 1) { errno = ENAMETOOLONG; return -1; }
    if (connect(fd, (struct sockaddr *)&address, length) < 0) return -1;
    send(fd, "attack", 6, MSG_NOSIGNAL);  // reached is reached, also if the other end hung up at once
    return 0;
}

/// Waits at most a second: an address that nobody answers for must not hold the test up.
static long connect_in_time(int fd, struct sockaddr *address, socklen_t length) {
    if (connect(fd, address, length) == 0) return 0;
    if (errno != EINPROGRESS) return -1;
    struct pollfd wait = {fd, POLLOUT, 0};
    int error = ETIMEDOUT;
    socklen_t size = sizeof error;
    if (poll(&wait, 1, 1000) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    return error ? -1 : 0;
}

static long connect_ip(const char *text, int family, int type) {
    char host[128];
    struct sockaddr_storage storage = {0};
    const char *colon = strrchr(text, ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    in_port_t port = htons((uint16_t)atoi(colon + 1));
    socklen_t length;
    if (family == AF_INET) {
        struct sockaddr_in *to = (void *)&storage;
        *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        inet_pton(AF_INET, host, &to->sin_addr);
        length = sizeof *to;
    } else {
        struct sockaddr_in6 *to = (void *)&storage;
        *to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        inet_pton(AF_INET6, host, &to->sin6_addr);
        length = sizeof *to;
    }
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect_in_time(fd, (struct sockaddr *)&storage, length) < 0) return -1;
    return send(fd, "attack", 6, MSG_NOSIGNAL);
}

static long exchange(int family, int type, const char *name, int abstract) {
    struct sockaddr_storage storage = {0};
    socklen_t length = sizeof storage;
    int server = socket(family, type, 0);
    if (server < 0) return -1;
    if (family == AF_UNIX) length = unix_address((void *)&storage, name, abstract);
    else if (family == AF_INET) {
        *(struct sockaddr_in *)&storage = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        length = sizeof(struct sockaddr_in);
    } else {
        *(struct sockaddr_in6 *)&storage = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
        length = sizeof(struct sockaddr_in6);
    }
    if (bind(server, (struct sockaddr *)&storage, length) < 0) return -1;
    if (type == SOCK_STREAM && listen(server, 1) < 0) return -1;
    if (family != AF_UNIX) { length = sizeof storage; getsockname(server, (struct sockaddr *)&storage, &length); }
    int client = socket(family, type, 0);
    if (connect(client, (struct sockaddr *)&storage, length) < 0) return -1;
    if (send(client, "hello", 5, 0) != 5) return -1;
    int end = type == SOCK_STREAM ? accept(server, NULL, NULL) : server;
    char text[8] = {0};
    if (end < 0 || recv(end, text, sizeof text, 0) != 5) return -1;
    return strcmp(text, "hello") ? -1 : 0;
}

static long fifo(const char *path) {
    int fd = open(path, O_WRONLY | O_NONBLOCK);
    return fd < 0 ? fd : write(fd, "attack\n", 7);
}

static int serve_abstract(const char *name) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, name, 1);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, length) < 0 || listen(server, 8) < 0) return 1;
    puts("listening");
    fflush(stdout);
    for (;;) accept(server, NULL, NULL);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "serve-abstract")) return serve_abstract(argv[2]);
    for (int i = 1; i < argc; i++) {
        char name[512];
        const char *verb = argv[i], *to = i + 1 < argc ? argv[i + 1] : "";
        snprintf(name, sizeof name, "%s %s", verb, to);
        if (!strcmp(verb, "selftest")) {
            char path[64];
            snprintf(path, sizeof path, "/tmp/self-%d", getpid());
            ATTEMPT("self: unix", exchange(AF_UNIX, SOCK_STREAM, path, 0));
            unlink(path);
            ATTEMPT("self: abstract", exchange(AF_UNIX, SOCK_STREAM, path, 1));
            ATTEMPT("self: tcp", exchange(AF_INET, SOCK_STREAM, NULL, 0));
            ATTEMPT("self: tcp6", exchange(AF_INET6, SOCK_STREAM, NULL, 0));
            ATTEMPT("self: udp", exchange(AF_INET, SOCK_DGRAM, NULL, 0));
            continue;
        }
        if (!strcmp(verb, "interfaces")) {
            struct if_nameindex *all = if_nameindex();
            char text[512] = "";
            for (int n = 0; all && all[n].if_name; n++) {
                strncat(text, n ? "," : "", sizeof text - strlen(text) - 1);
                strncat(text, all[n].if_name, sizeof text - strlen(text) - 1);
            }
            fact("interfaces", all ? text : "unknown");
            continue;
        }
        i++;
        if (!strcmp(verb, "unix")) ATTEMPT(name, connect_unix(to, 0, SOCK_STREAM));
        else if (!strcmp(verb, "dgram")) ATTEMPT(name, connect_unix(to, 0, SOCK_DGRAM));
        else if (!strcmp(verb, "abstract")) ATTEMPT(name, connect_unix(to, 1, SOCK_STREAM));
        else if (!strcmp(verb, "tcp")) ATTEMPT(name, connect_ip(to, AF_INET, SOCK_STREAM));
        else if (!strcmp(verb, "tcp6")) ATTEMPT(name, connect_ip(to, AF_INET6, SOCK_STREAM));
        else if (!strcmp(verb, "udp")) ATTEMPT(name, connect_ip(to, AF_INET, SOCK_DGRAM));
        else if (!strcmp(verb, "fifo")) ATTEMPT(name, fifo(to));
        else { fprintf(stderr, "sockets: no such verb: %s\n", verb); return 2; }
    }
    return 0;
}
