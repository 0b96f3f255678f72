/* Memory in socket buffers, asked of the kernel through a socket of the sandbox's own network namespace. */
#include "aegix_watch.h"
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

struct sums {
    uint64_t held, queued;
};

static void add(struct sums *sums, const struct nlmsghdr *header, size_t fixed, int memory, int queue) {
    int left = (int)header->nlmsg_len - (int)NLMSG_LENGTH(fixed);
    const struct rtattr *one = (const struct rtattr *)(const void *)((const char *)NLMSG_DATA(header) + NLMSG_ALIGN(fixed));
    for (; RTA_OK(one, left); one = RTA_NEXT(one, left)) {
        const uint32_t *values = RTA_DATA(one);
        if (one->rta_type == memory && RTA_PAYLOAD(one) >= 4 * (SK_MEMINFO_WMEM_ALLOC + 1))
            sums->held += (uint64_t)values[SK_MEMINFO_RMEM_ALLOC] + values[SK_MEMINFO_WMEM_ALLOC];
        if (one->rta_type == queue && RTA_PAYLOAD(one) >= 4) sums->queued += values[0];
    }
}

/* One dump. 0; ENOENT, where the kernel has no such family's diagnosis, counts nothing. */
static int dump(int monitor, void *request, size_t length, size_t fixed, int memory, int queue, struct sums *sums) {
    char room[16384] __attribute__((aligned(8)));
    if (send(monitor, request, length, 0) < 0) return -1;
    for (;;) {
        ssize_t count = recv(monitor, room, sizeof room, 0);
        if (count < 0) return -1;
        const struct nlmsghdr *header = (const struct nlmsghdr *)(void *)room;
        for (; NLMSG_OK(header, (size_t)count); header = NLMSG_NEXT(header, count)) {
            if (header->nlmsg_type == NLMSG_DONE) return 0;
            if (header->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *told = NLMSG_DATA(header);
                if (told->error == 0 || told->error == -ENOENT) return 0;
                return errno = -told->error, -1;
            }
            add(sums, header, fixed, memory, queue);
        }
    }
}

int aegix_watch_sockets(int monitor, uint64_t *bytes) {
    struct sums sums = {0, 0};
    struct {
        struct nlmsghdr header;
        struct unix_diag_req ask;
    } local = {{sizeof local, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
               {.sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_show = UDIAG_SHOW_MEMINFO | UDIAG_SHOW_RQLEN}};
    if (dump(monitor, &local, sizeof local, sizeof(struct unix_diag_msg), UNIX_DIAG_MEMINFO, UNIX_DIAG_RQLEN, &sums) < 0)
        return -1;
    /* A message is charged to its sender, which may be closed: then the queue that it waits in tells of it. */
    *bytes = sums.held > sums.queued ? sums.held : sums.queued;
    const uint8_t families[] = {AF_INET, AF_INET6}, protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
    for (int i = 0; i < 4; i++) {
        struct {
            struct nlmsghdr header;
            struct inet_diag_req_v2 ask;
        } net = {{sizeof net, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
                 {.sdiag_family = families[i / 2], .sdiag_protocol = protocols[i % 2],
                  .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1), .idiag_states = ~0u}};
        struct sums own = {0, 0};
        if (dump(monitor, &net, sizeof net, sizeof(struct inet_diag_msg), INET_DIAG_SKMEMINFO, -1, &own) < 0) return -1;
        *bytes += own.held;
    }
    return 0;
}
