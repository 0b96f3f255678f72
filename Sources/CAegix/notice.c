/* seccomp notifications, flattened for Swift. The kernel's structs may grow: buffers have room to spare. */
#include "aegix_supervise.h"
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

_Static_assert(sizeof(struct seccomp_notif) == 80, "struct seccomp_notif");

int aegix_notice_receive(int listener, struct aegix_notice *notice) {
    union {
        struct seccomp_notif notice;
        char room[256];
    } in;
    memset(&in, 0, sizeof in); /* the kernel refuses what isn't zeroed */
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in) < 0) return errno == ENOENT || errno == EINTR ? 0 : -1;
    notice->id = in.notice.id;
    notice->pid = in.notice.pid;
    notice->call = in.notice.data.nr;
    for (int i = 0; i < 6; i++) notice->arguments[i] = in.notice.data.args[i];
    return 1;
}

int aegix_notice_valid(int listener, uint64_t id) { return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

static int answer(int listener, uint64_t id, int64_t value, int error, uint32_t flags) {
    union {
        struct seccomp_notif_resp answer;
        char room[256];
    } out;
    memset(&out, 0, sizeof out);
    out.answer.id = id;
    out.answer.val = value;
    out.answer.error = -error;
    out.answer.flags = flags;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &out) < 0) return errno == ENOENT ? 1 : -1;
    return 0;
}

int aegix_notice_continue(int listener, uint64_t id) {
    return answer(listener, id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

int aegix_notice_refuse(int listener, uint64_t id, int error) { return answer(listener, id, 0, error, 0); }

int aegix_notice_answer(int listener, uint64_t id, int64_t value) { return answer(listener, id, value, 0, 0); }

void aegix_notice_wake_locally(int listener) {
    /* Since Linux 6.6; without it the wake-up is only slower. */
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}
