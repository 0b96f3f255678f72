// Pure. What holds a run of tier confined, and what doesn't: the record says both.

import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem

enum ConfinedControls {
    /// - add: name, what was asked, the mechanism.
    /// - lack: name, what a better tier holds, why it isn't held here.
    static func list(
        _ plan: Plan, _ confined: ConfinedPlan, _ add: (String, String, String) -> Void,
        _ lack: (String, String, String) -> Void
    ) {
        lack("namespaces", "user, mount, pid, net, ipc, uts, cgroup", confined.reason)
        add("files", "read the system, write what is writable", files(plan))
        add("workspace", plan.workspaceMode.rawValue, workspace(plan, confined))
        add("identity", "keep", identity(plan, confined))
        add("capabilities", "none", "capset, no_new_privs")
        add(
            "system calls", "allowlist without socket(), System V IPC and message queues",
            "seccomp, refusals answered by the supervisor")
        add(
            "modes, owners, times, attributes", "of what is writable only",
            "made by the supervisor on a descriptor it has checked: Landlock doesn't restrict them")
        add("landlock", "files, TCP, signals, abstract sockets", "landlock ABI \(plan.landlock.abi)")
        add("signals", "to the run's own processes only", "Landlock scope")
        add(
            "processes", "all end with the run", "subreaper, which signals its Landlock domain until no child is left")
        add("network", "none", "seccomp: no socket can be made. The host's network namespace is shared")
        add("/proc", "the machine's figures, no process's files", "Landlock")
        lack("process numbers", "the run's own", "which numbers are taken, and by which users, can be told")
        lack(
            "names", "nothing outside the view",
            "whether a path is there, its size, owner and times can be asked of any that the user may reach")
        add("/dev/shm, /sys, terminals of others", "none", "Landlock")
        add("exec", "every exec recorded", "seccomp notification")
        if confined.lacksReads {
            lack("reads", "every file opened by name recorded", "what a command opens isn't watched in this tier")
        }
        add("environment", "built from nothing", "execve; TMPDIR and HOME are private, /tmp isn't there")
    }

    private static func files(_ plan: Plan) -> String {
        "Landlock rules on the host's own tree, no private mount view: /etc/passwd and its like are the host's"
    }

    private static func workspace(_ plan: Plan, _ confined: ConfinedPlan) -> String {
        switch plan.workspaceMode {
        case .layer, .apply:
            "a copy at another path, \(confined.copy?.destination.shown ?? ""); what changed in it goes to the layer"
        case .readOnly: "Landlock, read only; no FIFO in it at the start"
        case .direct: "Landlock, writable in place; FIFOs made during the run are reachable"
        }
    }

    private static func identity(_ plan: Plan, _ confined: ConfinedPlan) -> String {
        let uid = plan.identity.outsideUID
        return confined.owner == nil
            ? "uid \(uid), the caller's own" : "uid \(uid), the workspace's owner: setresuid, groups dropped"
    }
}
