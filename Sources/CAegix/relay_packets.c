/* First packets of a connect: read, let in again, refused. Checksums are made anew, since between virtual interfaces
   nobody makes them. */
#include "aegix_network.h"
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

static uint32_t add(uint32_t sum, const void *data, size_t length) {
    const uint8_t *byte = data;
    for (size_t i = 0; i + 1 < length; i += 2) sum += (uint32_t)byte[i] << 8 | byte[i + 1];
    if (length & 1) sum += (uint32_t)byte[length - 1] << 8;
    return sum;
}

static uint16_t folded(uint32_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static uint16_t tcp_sum(uint8_t family, const uint8_t *from, const uint8_t *to, const void *segment, size_t length) {
    size_t size = family == AF_INET ? 4 : 16;
    uint32_t sum = add(add(0, from, size), to, size) + IPPROTO_TCP + (uint32_t)length;
    return folded(add(sum, segment, length));
}

int aegix_syn_receive(int seen, uint8_t family, struct aegix_syn *syn) {
    struct sockaddr_storage from;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } space;
    struct iovec data = {syn->packet, sizeof syn->packet};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &data, .msg_iovlen = 1,
                             .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    ssize_t count;
    do count = recvmsg(seen, &message, MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    if (count < 0) return errno == EAGAIN ? 0 : -1;
    syn->family = family;
    syn->length = (uint16_t)count;
    size_t before = 0;
    memset(syn->client, 0, 16);
    memset(syn->server, 0, 16);
    if (family == AF_INET) {
        struct iphdr ip;
        if ((size_t)count < sizeof ip) return syn->family = 0, 1;
        memcpy(&ip, syn->packet, sizeof ip);
        before = ip.ihl * 4u;
        memcpy(syn->client, &ip.saddr, 4);
        memcpy(syn->server, &ip.daddr, 4);
        /* Data with a first packet would be cut off here: it comes again when the connect has succeeded. */
    } else {
        struct sockaddr_in6 name;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (!header || header->cmsg_type != IPV6_PKTINFO) return syn->family = 0, 1;
        memcpy(&name, &from, sizeof name);
        memcpy(syn->client, &name.sin6_addr, 16);
        memcpy(syn->server, CMSG_DATA(header), 16);
    }
    struct tcphdr tcp;
    if ((size_t)count < before + sizeof tcp) return syn->family = 0, 1;
    memcpy(&tcp, syn->packet + before, sizeof tcp);
    size_t whole = before + tcp.doff * 4u;
    if (tcp.doff < 5 || whole > (size_t)count) return syn->family = 0, 1;
    syn->length = (uint16_t)whole;
    syn->client_port = ntohs(tcp.source);
    syn->server_port = ntohs(tcp.dest);
    syn->sequence = ntohl(tcp.seq);
    return 1;
}

static int send_to(int descriptor, uint8_t family, const uint8_t *to, const void *packet, size_t length) {
    struct sockaddr_in target = {.sin_family = AF_INET};
    struct sockaddr_in6 target6 = {.sin6_family = AF_INET6};
    memcpy(&target.sin_addr, to, 4);
    if (family == AF_INET6) memcpy(&target6.sin6_addr, to, 16);
    ssize_t sent = family == AF_INET
                       ? sendto(descriptor, packet, length, MSG_DONTWAIT, (struct sockaddr *)&target, sizeof target)
                       : sendto(descriptor, packet, length, MSG_DONTWAIT, (struct sockaddr *)&target6, sizeof target6);
    return sent < 0 ? -1 : 0;
}

static int send_segment(int descriptor, uint8_t family, const uint8_t *from, const uint8_t *to, void *segment, size_t length) {
    uint8_t packet[sizeof(struct ip6_hdr) + 120];
    size_t before;
    if (family == AF_INET) {
        struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
        before = sizeof ip;
        ip.tot_len = htons((uint16_t)(before + length));
        memcpy(&ip.saddr, from, 4);
        memcpy(&ip.daddr, to, 4);
        memcpy(packet, &ip, before);
    } else {
        struct ip6_hdr ip = {.ip6_flow = htonl(6u << 28), .ip6_plen = htons((uint16_t)length), .ip6_nxt = IPPROTO_TCP,
                             .ip6_hlim = 64};
        before = sizeof ip;
        memcpy(&ip.ip6_src, from, 16);
        memcpy(&ip.ip6_dst, to, 16);
        memcpy(packet, &ip, before);
    }
    if (length > sizeof packet - before) return errno = EMSGSIZE, -1;
    struct tcphdr tcp;
    memcpy(&tcp, segment, sizeof tcp);
    tcp.check = 0;
    memcpy(segment, &tcp, sizeof tcp);
    tcp.check = tcp_sum(family, from, to, segment, length);
    memcpy(segment, &tcp, sizeof tcp);
    memcpy(packet + before, segment, length);
    return send_to(descriptor, family, to, packet, before + length);
}

int aegix_syn_admit(int send, const struct aegix_syn *syn) {
    uint8_t segment[120];
    size_t before = syn->family == AF_INET ? (syn->packet[0] & 15u) * 4u : 0;
    size_t length = syn->length - before;
    memcpy(segment, syn->packet + before, length);
    return send_segment(send, syn->family, syn->client, syn->server, segment, length);
}

int aegix_syn_refuse(int send, const struct aegix_syn *syn) {
    struct tcphdr tcp = {.source = htons(syn->server_port), .dest = htons(syn->client_port), .doff = 5,
                         .ack_seq = htonl(syn->sequence + 1), .rst = 1, .ack = 1};
    return send_segment(send, syn->family, syn->server, syn->client, &tcp, sizeof tcp);
}

int aegix_syn_unreachable(int send, const struct aegix_syn *syn) {
    if (syn->family != AF_INET) return aegix_syn_refuse(send, syn);
    size_t quoted = (syn->packet[0] & 15u) * 4u + 8;
    if (quoted > syn->length) return errno = EINVAL, -1;
    struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_ICMP};
    struct icmphdr icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_HOST_UNREACH};
    uint8_t packet[sizeof ip + sizeof icmp + 68];
    memcpy(&ip.saddr, syn->server, 4);
    memcpy(&ip.daddr, syn->client, 4);
    ip.tot_len = htons((uint16_t)(sizeof ip + sizeof icmp + quoted));
    memcpy(packet, &ip, sizeof ip);
    memcpy(packet + sizeof ip + sizeof icmp, syn->packet, quoted);
    memcpy(packet + sizeof ip, &icmp, sizeof icmp);
    icmp.checksum = folded(add(0, packet + sizeof ip, sizeof icmp + quoted));
    memcpy(packet + sizeof ip, &icmp, sizeof icmp);
    return send_to(send, AF_INET, syn->client, packet, sizeof ip + sizeof icmp + quoted);
}
