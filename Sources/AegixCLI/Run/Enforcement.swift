// Pure. From the plan to the record's words: what was asked, and which mechanism holds it.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem

enum Enforcement {
    static func controls(_ plan: Plan, facts: HostFacts, held: Bool) -> RunEnd.Enforcement {
        var controls: [Control] = []
        func add(_ name: String, _ asked: String, _ mechanism: String) {
            controls.append(Control(name, asked: asked, mechanism: mechanism, held: held))
        }
        if let confined = plan.confined {
            ConfinedControls.list(plan, confined, add) { name, asked, why in
                controls.append(Control(name, asked: asked, mechanism: "not held: " + why, held: false))
            }
        } else {
            let own =
                plan.network.mode == .host
                ? "user, mount, pid, ipc, uts, cgroup" : "user, mount, pid, net, ipc, uts, cgroup"
            add("namespaces", own, "clone3")
            add("root", "system read-only, nothing else of the host", "tmpfs and pivot_root, recursive read-only binds")
            add("workspace", plan.workspaceMode.rawValue, workspace(plan, shifted: facts.uid == 0))
            add("identity", plan.identity.insideUID == 65534 ? "nobody" : "keep", identity(plan))
            add(
                "capabilities", plan.capabilities.isEmpty ? "none" : plan.capabilities.joined(separator: ", "),
                "capset, bounding set, no_new_privs")
            add("system calls", "allowlist", "seccomp, refusals answered by the supervisor")
            add("landlock", "read the system, write what is writable", "landlock ABI \(plan.landlock.abi)")
            controls.append(
                Control(
                    "network", asked: plan.network.asked, mechanism: plan.network.mechanism,
                    held: held && plan.network.mode != .host))
            add("exec", "every exec recorded", "seccomp notification")
            add("environment", "built from nothing", "execve")
            if plan.syscalls.watchesReads {
                add("reads", "every file opened by name recorded", "seccomp notification")
            }
            if !plan.hidden.isEmpty { add("hidden", "\(plan.hidden.count) paths", "masked by read-only mounts") }
        }
        if !facts.secrets.isEmpty {
            let names = facts.secrets.map(\.name).joined(separator: ", ")
            add("secrets", "\(names) named, never shown", "redacted in output, logs, events and record")
        }
        if facts.dumpsToSocket {
            controls.append(
                Control(
                    "core dumps", asked: "no handler of the host's",
                    mechanism:
                        "not held: the host's core_pattern names a socket, and the kernel connects to it for a crash inside",
                    held: false))
        }
        if plan.commands.judges {
            add(
                "commands", "\(plan.commands.rules.count) rules, default \(plan.commands.unmatched.rawValue)",
                "seccomp notification; what was loaded is compared under ptrace before it runs")
        }
        if plan.commands.asks || plan.network.asks {
            let via =
                switch plan.approval.via {
                case .deny: "nobody: denied"
                case .tty: "the controlling terminal"
                case .command: "`\(plan.approval.command.map { Bytes($0).shown }.joined(separator: " "))` on the host"
                }
            add("approvals", "asked, unanswered is no", via)
        }
        for limit in plan.limitPlan.controls { add(limit.name, limit.asked, limit.mechanism) }
        return RunEnd.Enforcement(tier: plan.tier.name, controls: controls)
    }

    private static func workspace(_ plan: Plan, shifted: Bool) -> String {
        let view =
            switch plan.workspaceMode {
            case .layer where plan.copy != nil, .apply where plan.copy != nil:
                (plan.copy?.reason.map { "\($0): " } ?? "")
                    + "a copy in the run directory; what changed in it goes to the layer"
            case .layer where shifted, .apply where shifted: "overlay mounted by root, upper in the run directory"
            case .layer, .apply: "overlay, upper in the run directory"
            case .readOnly: "overlay without an upper"
            case .direct: "bind; sockets and FIFOs made during the run are reachable"
            }
        return shifted && plan.copy?.shift == nil ? view + ", id-mapped" : view
    }

    private static func identity(_ plan: Plan) -> String {
        "uid \(plan.identity.insideUID) inside is \(plan.identity.outsideUID) outside"
    }
}
