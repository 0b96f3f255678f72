// Pure but for `init`, which reads /proc. Why a user namespace can't be had: many causes, one errno.

import AegixSystem
import CAegix
import Glibc

/// What the host says about user namespaces, next to how a try ended.
struct UserNamespaceFacts: Equatable {
    var result: HostProbe.Result
    var isRoot = false
    /// kernel.unprivileged_userns_clone, where the kernel has it (Debian).
    var cloneAllowed: Int?
    /// user.max_user_namespaces.
    var most: Int?
    /// kernel.apparmor_restrict_unprivileged_userns, where the kernel has it (Ubuntu).
    var appArmorRestricts: Int?
    /// The AppArmor profile that this process runs under; empty where there is none.
    var appArmorProfile = ""
    /// 2: a filter is on us.
    var seccompMode = 0
    var inChroot = false

    init(result: HostProbe.Result) { self.result = result }

    /// With the host's own files.
    init(_ result: HostProbe.Result) {
        self.result = result
        isRoot = geteuid() == 0
        cloneAllowed = ProbeFiles.number("/proc/sys/kernel/unprivileged_userns_clone")
        most = ProbeFiles.number("/proc/sys/user/max_user_namespaces")
        appArmorRestricts = ProbeFiles.number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        let profile = ProbeFiles.text("/proc/self/attr/current")
        appArmorProfile = profile.hasPrefix("unconfined") ? "" : profile
        seccompMode = Int(ProbeFiles.field("Seccomp:", of: "/proc/self/status")) ?? 0
        inChroot = !ProbeFiles.rootIsMountPoint()
    }

    static let unfiltered =
        "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …, in Kubernetes "
        + "securityContext.seccompProfile.type: Unconfined"

    /// One sentence without a period, and the command. The order is from the certain to the likely.
    var diagnosis: (reason: String, remedy: String) {
        if result.stage == Int(AEGIX_PROBE_AT_TIME) || result.stage == Int(AEGIX_PROBE_AT_DEATH) {
            if result.stage == Int(AEGIX_PROBE_AT_DEATH), seccompMode == 2 {
                return ("a seccomp filter on this process kills what makes a user namespace", Self.unfiltered)
            }
            return (result.words, "try again, and look into the kernel's log: sudo dmesg")
        }
        if cloneAllowed == 0, !isRoot {
            return (
                "this kernel keeps user namespaces for root (kernel.unprivileged_userns_clone is 0)",
                "sudo sysctl -w kernel.unprivileged_userns_clone=1"
            )
        }
        if most == 0 {
            return (
                "user namespaces are switched off (user.max_user_namespaces is 0)",
                "sudo sysctl -w user.max_user_namespaces=15000"
            )
        }
        // Ubuntu 24.04: the namespace is made, and every power in it is withheld.
        if appArmorRestricts == 1, !isRoot, seccompMode != 2 || result.stage != Int(AEGIX_PROBE_AT_USER) {
            return (
                "AppArmor withholds the powers of user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
                "sudo make install, which brings aegix's AppArmor profile; or "
                    + "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
            )
        }
        switch result.errno {
        case ENOSYS, EINVAL:
            return ("this kernel has no user namespaces", "use a kernel with CONFIG_USER_NS=y")
        case ENOSPC, EUSERS:
            return (
                "the limit on user namespaces is reached: 32 levels deep, or user.max_user_namespaces here or in a "
                    + "namespace around this one",
                "sudo sysctl -w user.max_user_namespaces=15000, on the host"
            )
        case EPERM, EACCES: return refusal
        default: return (result.words, "aegix doctor")
        }
    }

    /// EPERM while every switch of the host is on.
    private var refusal: (reason: String, remedy: String) {
        if inChroot, result.stage == Int(AEGIX_PROBE_AT_USER) {
            return ("the kernel gives no user namespace to a process in a chroot", "run aegix outside the chroot")
        }
        if seccompMode == 2 {
            return ("a seccomp filter on this process, such as a container's, refuses namespaces", Self.unfiltered)
        }
        if !appArmorProfile.isEmpty {
            return (
                "the AppArmor profile \(Bytes(appArmorProfile).shown) refuses namespaces or mounts", Self.unfiltered
            )
        }
        return (
            result.words, "look into the kernel's log for the security module that refused: sudo dmesg"
        )
    }
}
