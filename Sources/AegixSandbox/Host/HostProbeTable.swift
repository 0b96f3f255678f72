// Pure data. The probes: what each is for, what it costs not to have it, and what helps.

import CAegix
import Glibc

extension HostProbe {
    struct Probe {
        let kind: Int
        let id: String
        let name: String
        let need: Need
        /// Tried inside a user namespace.
        let needsUser: Bool
        let cost: String
        /// The kernel since which it is there, and its configuration, for an answer that says "no such thing".
        let kernel: String
        var detail: (Result) -> String = { _ in "" }
        var special: (Result) -> String? = { _ in nil }

        /// How it failed; for user namespaces, why.
        func failure(_ result: Result) -> String {
            switch kind {
            case Int(AEGIX_PROBE_USER_NAMESPACE), Int(AEGIX_PROBE_MOUNT_NAMESPACE):
                return UserNamespaceFacts(result).diagnosis.reason
            default: return result.words
            }
        }

        /// What helps, from where and how the probe stopped.
        func remedy(_ result: Result) -> String {
            if let special = special(result) { return special }
            if result.stage == Int(AEGIX_PROBE_AT_USER) || result.stage == Int(AEGIX_PROBE_AT_MAP) {
                return UserNamespaceFacts(result).diagnosis.remedy
            }
            // A container's filter answers for the kernel, with ENOSYS as well as with EPERM.
            let facts = UserNamespaceFacts(result)
            if facts.seccompMode == 2 { return UserNamespaceFacts.unfiltered + "; or use \(kernel)" }
            switch result.errno {
            case EPERM, EACCES: return facts.diagnosis.remedy
            default: return "use \(kernel)"
            }
        }
    }

    static var table: [Probe] { namespaces + calls + places }

    private static let noRun =
        "The tier isolated is out of reach: without it a run needs a policy that accepts confined."

    private static func namespace(
        _ kind: Int, _ id: String, _ name: String, _ kernel: String, limit: String, cost: String = noRun
    ) -> Probe {
        Probe(
            kind: kind, id: id, name: name, need: .isolated, needsUser: true, cost: cost,
            kernel: "a kernel with \(kernel)",
            special: { result in
                result.errno == ENOSPC ? "sudo sysctl -w user.\(limit)=15000" : nil
            })
    }

    private static var namespaces: [Probe] {
        [
            Probe(
                kind: Int(AEGIX_PROBE_USER_NAMESPACE), id: "user_namespace", name: "user namespaces", need: .isolated,
                needsUser: false, cost: noRun, kernel: "a kernel with CONFIG_USER_NS=y",
                special: { UserNamespaceFacts($0).diagnosis.remedy }),
            Probe(
                kind: Int(AEGIX_PROBE_MOUNT_NAMESPACE), id: "mount_namespace", name: "mount namespaces",
                need: .isolated,
                needsUser: true, cost: noRun, kernel: "a kernel with CONFIG_NAMESPACES=y",
                special: { UserNamespaceFacts($0).diagnosis.remedy }),
            namespace(
                Int(AEGIX_PROBE_PID_NAMESPACE), "pid_namespace", "pid namespaces", "CONFIG_PID_NS=y",
                limit: "max_pid_namespaces"),
            namespace(
                Int(AEGIX_PROBE_NETWORK_NAMESPACE), "network_namespace", "network namespaces", "CONFIG_NET_NS=y",
                limit: "max_net_namespaces"),
            namespace(
                Int(AEGIX_PROBE_IPC_NAMESPACE), "ipc_namespace", "ipc namespaces", "CONFIG_IPC_NS=y",
                limit: "max_ipc_namespaces"),
            namespace(
                Int(AEGIX_PROBE_UTS_NAMESPACE), "uts_namespace", "uts namespaces", "CONFIG_UTS_NS=y",
                limit: "max_uts_namespaces"),
            namespace(
                Int(AEGIX_PROBE_CGROUP_NAMESPACE), "cgroup_namespace", "cgroup namespaces", "CONFIG_CGROUPS=y",
                limit: "max_cgroup_namespaces"),
            Probe(
                kind: Int(AEGIX_PROBE_RELAY), id: "relay", name: "a relay's interfaces", need: .network,
                needsUser: true,
                cost: "No network by name: a policy with network.mode allow or guarded is refused.",
                kernel: "a kernel with CONFIG_VETH",
                special: { result in
                    result.stage == Int(AEGIX_PROBE_AT_CALL) && [ENODEV, EOPNOTSUPP].contains(result.errno)
                        ? "sudo modprobe veth" : nil
                }),
            Probe(
                kind: Int(AEGIX_PROBE_SIGHT), id: "process_memory", name: "looking into a sandbox", need: .isolated,
                needsUser: true, cost: "No run is started: what it executes could be neither recorded nor judged.",
                kernel: "Linux 3.2 or later with CONFIG_CROSS_MEMORY_ATTACH=y",
                special: { result in
                    guard result.stage == Int(AEGIX_PROBE_AT_CALL), result.errno == EPERM,
                        ProbeFiles.number("/proc/sys/kernel/yama/ptrace_scope") ?? 0 > 2
                    else { return nil }
                    return "set kernel.yama.ptrace_scope=2 in /etc/sysctl.d and boot again: from 3 it can't be lowered"
                }),
            Probe(
                kind: Int(AEGIX_PROBE_PROC), id: "proc", name: "procfs of its own", need: .isolated, needsUser: true,
                cost: noRun, kernel: "a kernel with CONFIG_PROC_FS=y",
                special: { result in
                    guard result.stage == Int(AEGIX_PROBE_AT_CALL), result.errno == EPERM else { return nil }
                    return "this container covers parts of /proc: docker run --security-opt systempaths=unconfined …, "
                        + "podman run --security-opt unmask=ALL …, in Kubernetes procMount: Unmasked"
                }),
            Probe(
                kind: Int(AEGIX_PROBE_TMPFS), id: "tmpfs", name: "tmpfs in a user namespace", need: .isolated,
                needsUser: true, cost: noRun, kernel: "a kernel with CONFIG_TMPFS=y"),
            Probe(
                kind: Int(AEGIX_PROBE_MOUNT_SETATTR), id: "mount_setattr", name: "recursive read-only mounts",
                need: .isolated, needsUser: true, cost: noRun, kernel: "Linux 5.12 or later"),
        ]
    }

    private static var calls: [Probe] {
        [
            Probe(
                kind: Int(AEGIX_PROBE_LANDLOCK), id: "landlock", name: "Landlock", need: .isolated, needsUser: false,
                cost: noRun, kernel: "Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK=y",
                detail: { "ABI \($0.value)" },
                special: { result in
                    result.errno == EOPNOTSUPP ? "boot with landlock first in the list: lsm=landlock,…" : nil
                }),
            Probe(
                kind: Int(AEGIX_PROBE_SECCOMP), id: "seccomp", name: "seccomp filters", need: .isolated,
                needsUser: false,
                cost: noRun, kernel: "a kernel with CONFIG_SECCOMP_FILTER=y"),
            Probe(
                kind: Int(AEGIX_PROBE_NOTIFICATION), id: "seccomp_notification", name: "seccomp notification",
                need: .isolated, needsUser: false,
                cost: "No run is started: execs could be neither recorded nor judged.", kernel: "Linux 5.5 or later",
                special: { result in
                    result.errno == EBUSY
                        ? "another supervisor already listens to this process: run aegix outside of it" : nil
                }),
            Probe(
                kind: Int(AEGIX_PROBE_PIDFD), id: "pidfd", name: "pidfd", need: .isolated, needsUser: false,
                cost: noRun,
                kernel: "Linux 5.3 or later"),
            Probe(
                kind: Int(AEGIX_PROBE_OPENAT2), id: "openat2", name: "openat2", need: .isolated, needsUser: false,
                cost: noRun, kernel: "Linux 5.6 or later"),
            Probe(
                kind: Int(AEGIX_PROBE_CLONE3), id: "clone3", name: "clone3", need: .isolated, needsUser: false,
                cost: noRun, kernel: "Linux 5.3 or later"),
            Probe(
                kind: Int(AEGIX_PROBE_CLOSE_RANGE), id: "close_range", name: "close_range", need: .isolated,
                needsUser: false, cost: noRun, kernel: "Linux 5.9 or later"),
        ]
    }

    private static var places: [Probe] {
        [
            Probe(
                kind: Int(AEGIX_PROBE_OVERLAY), id: "overlay", name: "overlay in a user namespace",
                need: .defaultPolicy,
                needsUser: true,
                cost: "A workspace can't have a layer: only the modes read-only and direct are left, which the preset "
                    + "default doesn't use.",
                kernel: "Linux 5.11 or later with CONFIG_OVERLAY_FS",
                special: { result in
                    guard result.stage == Int(AEGIX_PROBE_AT_CALL) || result.stage == Int(AEGIX_PROBE_AT_EFFECT) else {
                        return nil
                    }
                    switch result.errno {
                    case ENODEV: return "sudo modprobe overlay"
                    case EINVAL, EOPNOTSUPP, EIO, EXDEV:
                        return "export AEGIX_STATE=DIR, with a DIR on ext4, XFS, btrfs or tmpfs"
                    default: return nil
                    }
                }),
            Probe(
                kind: Int(AEGIX_PROBE_IDMAPPED), id: "idmapped_mounts", name: "idmapped mounts", need: .root,
                needsUser: false,
                cost:
                    "Root can't run anything here: the command would hold root's own uid.",
                kernel: "Linux 5.12 or later",
                special: { result in
                    if result.stage == Int(AEGIX_PROBE_AT_CALL), result.errno == EINVAL || result.errno == EOPNOTSUPP {
                        return "export AEGIX_STATE=DIR, with a DIR on ext4, XFS or btrfs"
                    }
                    return result.errno == EPERM ? "run aegix as an ordinary user, or as the root of the host" : nil
                }),
        ]
    }
}
