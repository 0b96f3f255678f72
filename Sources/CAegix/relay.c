/* The relay's network namespace. A process forked from the supervisor joins the sandbox's user and network namespaces, makes
   one more network namespace, and joins both by a pair of virtual interfaces. All of the relay's sockets on the sandbox's
   side are made here, so the command can bind whatever it likes, and nothing of the host's network comes near.
   It runs on system calls alone: it is a copy of the supervisor. */
#include "aegix_network.h"
#include "message.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK 0xae61u
#define OWN_END "eth0"  /* the sandbox's */
#define FAR_END "relay" /* the relay's */
static const uint8_t sandbox_address[] = {198, 19, 255, 254}, names_address[] = {198, 18, 0, 1};
static const uint8_t sandbox_address6[] = {0xfd, 0xae, 0x67, 0x69, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
/* One address for both ends: without ARP each takes what the other sends for its own. */
static const uint8_t hardware[] = {2, 0, 0, 0xae, 0x61, 1};

struct message {
    struct nlmsghdr header;
    char room[1024 - sizeof(struct nlmsghdr)];
};

static void *begin(struct message *message, uint16_t type, uint16_t flags, size_t fixed) {
    memset(message, 0, sizeof *message);
    message->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(fixed);
    message->header.nlmsg_type = type;
    message->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    return NLMSG_DATA(&message->header);
}

static struct rtattr *put(struct message *message, uint16_t type, const void *data, size_t length) {
    struct rtattr *attribute = (void *)((char *)message + NLMSG_ALIGN(message->header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(length);
    if (length) memcpy(RTA_DATA(attribute), data, length);
    message->header.nlmsg_len = NLMSG_ALIGN(message->header.nlmsg_len) + (uint32_t)RTA_ALIGN(attribute->rta_len);
    return attribute;
}

static struct rtattr *nest(struct message *message, uint16_t type) { return put(message, type, NULL, 0); }
static void end(struct message *message, struct rtattr *attribute) {
    attribute->rta_len = (uint16_t)((char *)message + message->header.nlmsg_len - (char *)attribute);
}

static int ask(int netlink, struct message *message) {
    if (send(netlink, message, message->header.nlmsg_len, 0) < 0) return -1;
    struct {
        struct nlmsghdr header;
        struct nlmsgerr told;
        char rest[1024];
    } answer;
    ssize_t count = recv(netlink, &answer, sizeof answer, 0);
    if (count < 0) return -1;
    if (answer.header.nlmsg_type != NLMSG_ERROR) return errno = EPROTO, -1;
    if (answer.told.error == 0) return 0;
    return errno = -answer.told.error, -1;
}

static int make_link(int netlink, int sandbox) {
    struct message message;
    const uint32_t mtu = 65535;
    struct ifinfomsg *link = begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof *link);
    link->ifi_flags = link->ifi_change = IFF_NOARP;
    put(&message, IFLA_IFNAME, FAR_END, sizeof FAR_END);
    put(&message, IFLA_ADDRESS, hardware, sizeof hardware);
    put(&message, IFLA_MTU, &mtu, sizeof mtu);
    struct rtattr *about = nest(&message, IFLA_LINKINFO);
    put(&message, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = nest(&message, IFLA_INFO_DATA), *peer = nest(&message, VETH_INFO_PEER);
    struct ifinfomsg own = {.ifi_flags = IFF_NOARP, .ifi_change = IFF_NOARP};
    memcpy(RTA_DATA(peer), &own, sizeof own);
    message.header.nlmsg_len += NLMSG_ALIGN(sizeof own);
    put(&message, IFLA_IFNAME, OWN_END, sizeof OWN_END);
    put(&message, IFLA_ADDRESS, hardware, sizeof hardware);
    put(&message, IFLA_MTU, &mtu, sizeof mtu);
    put(&message, IFLA_NET_NS_FD, &sandbox, sizeof sandbox);
    end(&message, peer);
    end(&message, data);
    end(&message, about);
    return ask(netlink, &message);
}

static int link_index(int netlink, const char *name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    return ioctl(netlink, SIOCGIFINDEX, &request) < 0 ? -1 : request.ifr_ifindex;
}

/* Up, and without an IPv6 address that nobody gave it. */
static int raise_link(int netlink, int index) {
    struct message message;
    struct ifinfomsg *link = begin(&message, RTM_SETLINK, 0, sizeof *link);
    link->ifi_index = index;
    const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
    struct rtattr *families = nest(&message, IFLA_AF_SPEC), *family = nest(&message, AF_INET6);
    put(&message, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
    end(&message, family);
    end(&message, families);
    (void)ask(netlink, &message); /* a host without IPv6 has nothing to switch off */
    link = begin(&message, RTM_SETLINK, 0, sizeof *link);
    link->ifi_index = index;
    link->ifi_flags = link->ifi_change = IFF_UP;
    return ask(netlink, &message);
}

/* The end that is up first has no carrier yet, and drops what is sent until the kernel's own worker has looked at it, a moment later: a
   lookup that fell into it was asked again after 10 s only. To ask for the carrier makes the kernel look at once. */
static void settle(int netlink, const char *name) {
    struct ethtool_value carrier = {.cmd = ETHTOOL_GLINK};
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    request.ifr_data = (char *)&carrier;
    (void)ioctl(netlink, SIOCETHTOOL, &request);
}

static int add_address(int netlink, int index, uint8_t family, const uint8_t *address) {
    struct message message;
    size_t length = family == AF_INET ? 4 : 16;
    struct ifaddrmsg *one = begin(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof *one);
    one->ifa_family = family;
    one->ifa_prefixlen = (uint8_t)(length * 8);
    one->ifa_index = (uint32_t)index;
    one->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
    put(&message, IFA_LOCAL, address, length);
    put(&message, IFA_ADDRESS, address, length);
    return ask(netlink, &message);
}

static int add_route(int netlink, int index, uint8_t type, uint8_t table, const struct aegix_route *to) {
    struct message message;
    const uint32_t device = (uint32_t)index;
    struct rtmsg *route = begin(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof *route);
    route->rtm_family = to->family;
    route->rtm_dst_len = to->bits;
    route->rtm_table = table;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK;
    route->rtm_type = type;
    if (to->bits) put(&message, RTA_DST, to->address, to->family == AF_INET ? 4 : 16);
    put(&message, RTA_OIF, &device, sizeof device);
    return ask(netlink, &message);
}

/* Without a mark no first packet of a connect gets through to a listener. Everything else does. */
static const struct sock_filter admitted[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 2),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, UINT_MAX),
    BPF_STMT(BPF_RET | BPF_K, 0),
};

/* First packets that aren't our own repetition; nothing else is copied. */
static const struct sock_filter first[] = {
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, 13),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, UINT_MAX),
    BPF_STMT(BPF_RET | BPF_K, 0),
};

static int attach(int descriptor, const struct sock_filter *filter, size_t count) {
    struct sock_fprog program = {(unsigned short)count, (struct sock_filter *)filter};
    return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int listen_on(uint16_t port) {
    int family = AF_INET6, off = 0, on = 1;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) fd = socket(family = AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    int bad = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0;
    if (family == AF_INET6)
        bad = bad || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
              bind(fd, (struct sockaddr *)&any6, sizeof any6) < 0;
    else bad = bad || bind(fd, (struct sockaddr *)&any, sizeof any) < 0;
    bad = bad || attach(fd, admitted, sizeof admitted / sizeof *admitted) < 0 || listen(fd, 4096) < 0;
    if (!bad) return fd;
    int error = errno;
    close(fd);
    return errno = error, -1;
}

static int names_socket(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(53)};
    memcpy(&here.sin_addr, names_address, 4);
    return fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0 ? -1 : fd;
}

static int seeing_socket(int family) {
    int on = 1, room = 4 << 20;
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    /* An IPv6 socket is given the segment without the header before it. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0) return -1;
    if (family == AF_INET) return attach(fd, first, sizeof first / sizeof *first) < 0 ? -1 : fd;
    struct sock_filter plain[sizeof first / sizeof *first - 1];
    memcpy(plain, first + 1, sizeof plain);
    plain[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13);
    return attach(fd, plain, sizeof plain / sizeof *plain) < 0 ? -1 : fd;
}

static int sending_socket(int family) {
    const uint32_t mark = MARK;
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    return fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ? -1 : fd;
}

struct word {
    uint32_t stage;
    int32_t error;
};

static int tell(int channel, uint32_t stage, const int *descriptors, size_t count) {
    struct word word = {stage, stage ? errno : 0};
    return aegix_message_send(channel, &word, sizeof word, descriptors, count);
}

static _Noreturn void stop(int channel, uint32_t stage) {
    tell(channel, stage, NULL, 0);
    _exit(1);
}

static int lay_routes(int sandbox, int own, int relay, int far, int lo, const struct aegix_route *routes, size_t count) {
    const struct aegix_route back = {AF_INET, 32, {198, 19, 255, 254}};
    struct aegix_route back6 = {AF_INET6, 128, {0}};
    int has6 = 0;
    if (add_address(sandbox, own, AF_INET, sandbox_address) < 0) return -1;
    /* In the table of local addresses, because there it is looked for first. */
    if (add_route(relay, far, RTN_UNICAST, RT_TABLE_LOCAL, &back) < 0) return -1;
    for (size_t i = 0; i < count; i++) {
        if (routes[i].family == AF_INET6 && has6 == 0) {
            memcpy(back6.address, sandbox_address6, 16);
            has6 = add_address(sandbox, own, AF_INET6, sandbox_address6) < 0 ? -1 : 1;
            if (has6 > 0 && add_route(relay, far, RTN_UNICAST, RT_TABLE_LOCAL, &back6) < 0) return -1;
        }
        /* A host without IPv6: nothing leads there, which is what programs see on it, too. */
        if (routes[i].family == AF_INET6 && has6 < 0) continue;
        if (add_route(sandbox, own, RTN_UNICAST, RT_TABLE_MAIN, &routes[i]) < 0) return -1;
        if (add_route(relay, lo, RTN_LOCAL, RT_TABLE_LOCAL, &routes[i]) < 0) return -1;
    }
    return 0;
}

/* From the sandbox's network namespace into a new one, with a pair of interfaces between both. The stage where it failed, or 0. */
static uint32_t make_pair(int *sandbox, int *relay) {
    *sandbox = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int namespace = *sandbox < 0 ? -1 : ioctl(*sandbox, SIOCGSKNS);
    if (namespace < 0 || unshare(CLONE_NEWNET) < 0) return AEGIX_RELAY_NAMESPACE;
    *relay = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (*relay < 0 || make_link(*relay, namespace) < 0) return AEGIX_RELAY_LINK;
    close(namespace);
    return 0;
}

uint32_t aegix_relay_try(void) {
    int sandbox, relay;
    uint32_t stage = make_pair(&sandbox, &relay);
    if (stage) return stage;
    return seeing_socket(AF_INET) < 0 || sending_socket(AF_INET) < 0 ? AEGIX_RELAY_SOCKET : 0;
}

static _Noreturn void run(int channel, int pidfd, const struct aegix_route *routes, size_t count) {
    if (setns(pidfd, CLONE_NEWUSER | CLONE_NEWNET) < 0) stop(channel, AEGIX_RELAY_JOIN);
    close(pidfd);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) stop(channel, AEGIX_RELAY_JOIN);
    if (tell(channel, 0, NULL, 0) < 0) _exit(1);
    int sandbox, relay;
    uint32_t stage = make_pair(&sandbox, &relay);
    if (stage) stop(channel, stage);
    int own = link_index(sandbox, OWN_END), far = link_index(relay, FAR_END), lo = link_index(relay, "lo");
    if (own < 0 || far < 0 || lo < 0 || raise_link(relay, lo) < 0 || raise_link(sandbox, own) < 0 ||
        raise_link(relay, far) < 0)
        stop(channel, AEGIX_RELAY_ADDRESS);
    settle(sandbox, OWN_END);
    settle(relay, FAR_END);
    if (lay_routes(sandbox, own, relay, far, lo, routes, count) < 0) stop(channel, AEGIX_RELAY_ROUTE);
    int made[5] = {names_socket(), seeing_socket(AF_INET), sending_socket(AF_INET), seeing_socket(AF_INET6),
                   sending_socket(AF_INET6)};
    if (made[0] < 0 || made[1] < 0 || made[2] < 0) stop(channel, AEGIX_RELAY_SOCKET);
    if (tell(channel, 0, made, made[3] < 0 || made[4] < 0 ? 3 : 5) < 0) _exit(1);
    for (int i = 0; i < 5; i++)
        if (made[i] >= 0) close(made[i]);
    close(sandbox);
    close(relay);
    for (;;) {
        uint16_t port;
        ssize_t got = recv(channel, &port, sizeof port, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got != sizeof port) _exit(0);
        int listener = listen_on(port);
        if (tell(channel, listener < 0 ? AEGIX_RELAY_SOCKET : 0, &listener, listener < 0 ? 0 : 1) < 0) _exit(1);
        if (listener >= 0) close(listener);
    }
}

int aegix_relay_start(struct aegix_relay *relay, pid_t pid, const struct aegix_route *routes, size_t count) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -1;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) goto failed;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    long made = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (made == 0) {
        /* Nothing of the caller's stays open here: a pipe would never come to its end. */
        int channel = fcntl(ends[1], F_DUPFD_CLOEXEC, 1000), process = fcntl(pidfd, F_DUPFD_CLOEXEC, 1000);
        if (channel < 0) { /* a small limit on descriptors */
            channel = ends[1];
            process = pidfd;
        }
        unsigned low = (unsigned)(channel < process ? channel : process), high = (unsigned)(channel < process ? process : channel);
        if (low > 0) syscall(SYS_close_range, 0u, low - 1, 0);
        if (high > low + 1) syscall(SYS_close_range, low + 1, high - 1, 0);
        syscall(SYS_close_range, high + 1, UINT_MAX, 0);
        run(channel, process, routes, count);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(pidfd);
    errno = error;
    if (made < 0) goto failed;
    close(ends[1]);
    relay->pid = (pid_t)made;
    relay->channel = ends[0];
    return 0;
failed:;
    int why = errno;
    close(ends[0]);
    close(ends[1]);
    return errno = why, -1;
}

/* One word, and the descriptors with it. 0, or -1 with errno. Bounded: whatever happens there takes no time. */
static int hear(int channel, uint32_t *stage, int *descriptors, size_t room, size_t *count) {
    struct pollfd ready = {channel, POLLIN, 0};
    int rc;
    *count = 0;
    *stage = 0;
    do rc = poll(&ready, 1, 10000);
    while (rc < 0 && errno == EINTR);
    if (rc == 0) return errno = ETIMEDOUT, -1;
    struct word word = {0, 0};
    long got = aegix_message_receive(channel, 0, &word, sizeof word, descriptors, room, count);
    if (got < 0) return -1;
    if (got != sizeof word) return errno = EPIPE, -1;
    *stage = word.stage;
    if (word.stage) return errno = word.error, -1;
    return 0;
}

int aegix_relay_joined(const struct aegix_relay *relay) {
    uint32_t stage;
    size_t count;
    return hear(relay->channel, &stage, NULL, 0, &count);
}

int aegix_relay_receive(const struct aegix_relay *relay, struct aegix_relay_sockets *sockets, uint32_t *stage) {
    int made[5] = {-1, -1, -1, -1, -1};
    size_t count;
    if (hear(relay->channel, stage, made, 5, &count) < 0) return -1;
    *sockets = (struct aegix_relay_sockets){made[0], made[1], made[3], made[2], made[4]};
    return count < 3 ? (errno = EPROTO, -1) : 0;
}

int aegix_relay_listener(const struct aegix_relay *relay, uint16_t port) {
    uint32_t stage;
    int made = -1;
    size_t count;
    if (send(relay->channel, &port, sizeof port, MSG_NOSIGNAL) < 0) return -1;
    return hear(relay->channel, &stage, &made, 1, &count) < 0 ? -1 : made;
}

void aegix_relay_end(struct aegix_relay *relay) {
    close(relay->channel);
    kill(relay->pid, SIGKILL);
    while (waitpid(relay->pid, NULL, __WALL) < 0 && errno == EINTR) {}
    relay->pid = 0;
}
