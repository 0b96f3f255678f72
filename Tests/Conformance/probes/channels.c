// K8: socket families beyond Unix and IP, keyrings, and what could carry a message from run to run.
//   channels families                the families and kinds of socket that must be closed
//   channels leave KEY | find KEY    SysV, POSIX and /dev/shm objects named by KEY: made, or looked for
#include "probe.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>

static const struct { const char *name; int family, type, protocol; } sockets[] = {
    {"control: unix", AF_UNIX, SOCK_STREAM, 0},  {"control: inet", AF_INET, SOCK_STREAM, 0},
    {"control: inet6", AF_INET6, SOCK_DGRAM, 0}, {"vsock", AF_VSOCK, SOCK_STREAM, 0},
    {"alg", AF_ALG, SOCK_SEQPACKET, 0},          {"packet", AF_PACKET, SOCK_RAW, 0},
    {"packet dgram", AF_PACKET, SOCK_DGRAM, 0},  {"raw", AF_INET, SOCK_RAW, 1},
    {"raw6", AF_INET6, SOCK_RAW, 58},            {"bluetooth", 31, SOCK_RAW, 1},
    {"can", 29, SOCK_RAW, 1},                    {"xdp", 44, SOCK_RAW, 0},
    {"key", 15, SOCK_RAW, 2},                    {"tipc", 30, SOCK_SEQPACKET, 0},
    {"rds", 21, SOCK_SEQPACKET, 0},              {"appletalk", 5, SOCK_DGRAM, 0},
    {"x25", 9, SOCK_SEQPACKET, 0},               {"nfc", 39, SOCK_RAW, 0},
    {"kcm", 41, SOCK_DGRAM, 0},                  {"qipcrtr", 42, SOCK_DGRAM, 0},
    {"smc", 43, SOCK_STREAM, 0},                 {"sctp", AF_INET, SOCK_STREAM, 132},
    {"mptcp", AF_INET, SOCK_STREAM, 262},        {"netlink: netfilter", AF_NETLINK, SOCK_RAW, 12},
};

static void families(void) {
    char name[64];
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        int control = !strncmp(sockets[i].name, "control", 7);
        snprintf(name, sizeof name, control ? "%s" : "socket(%s)", sockets[i].name);
        ATTEMPT(name, opened(socket(sockets[i].family, sockets[i].type, sockets[i].protocol)));
        int pair[2];
        snprintf(name, sizeof name, "socketpair(%s)", sockets[i].name);
        if (!control) ATTEMPT(name, socketpair(sockets[i].family, sockets[i].type, sockets[i].protocol, pair));
    }
    ATTEMPT("add_key", syscall(SYS_add_key, "user", "aegix:probe", "x", 1, -1 /* thread keyring */));
    ATTEMPT("keyctl", syscall(SYS_keyctl, 0 /* get id */, -3 /* session */, 1, 0, 0));
    ATTEMPT("request_key", syscall(SYS_request_key, "user", "aegix:none", 0, 0));
}

int main(int argc, char **argv) {
    if (argc == 2) { families(); return 0; }
    key_t key = (key_t)strtol(argv[2], NULL, 0);
    int make = !strcmp(argv[1], "leave");
    char name[64], path[80];
    snprintf(name, sizeof name, "/aegix-%s", argv[2]);
    snprintf(path, sizeof path, "/dev/shm/aegix-%s", argv[2]);
    outcome("shm", shmget(key, 4096, make ? IPC_CREAT | 0666 : 0));
    outcome("sem", semget(key, 1, make ? IPC_CREAT | 0666 : 0));
    outcome("msg", msgget(key, make ? IPC_CREAT | 0666 : 0));
    mqd_t queue = make ? mq_open(name, O_CREAT | O_RDWR, 0666, NULL) : mq_open(name, O_RDONLY);
    outcome("mq", queue);
    outcome("shm_open", opened(open(path, make ? O_CREAT | O_RDWR : O_RDONLY, 0666)));
    return 0;
}
