// Pure. What a plan refuses, before anything is made.

import AegixPolicy
import AegixSystem

extension Plan {
    static func check(policy: Policy, facts: HostFacts) throws(Failure) {
        if policy.require > .isolated, facts.cgroup == nil {
            let why = facts.cgroupLack.map { ": \($0.reason). Get them with `\($0.remedy)`, or accept" } ?? ". Accept"
            throw Failure(
                "tier.unavailable",
                "the policy requires tier sealed, whose limits on memory, processes and CPU need cgroup v2\(why) the "
                    + "next tier with `--require isolated`")
        }
        if facts.landlockABI < 1 {
            throw Failure(
                "tier.landlock",
                "this host has no Landlock, which tier isolated needs: use Linux 5.13 or later with landlock in "
                    + "the `lsm=` list (`aegix doctor` shows more)")
        }
        let workspace = facts.workspace
        let places = [
            "/", "/usr", "/etc", "/proc", "/sys", "/dev", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/run",
        ]
        if places.contains(where: { Bytes($0) == workspace.path }) || under(workspace.path, ["/proc", "/sys", "/dev"]) {
            throw Failure(
                "workspace.system",
                "the workspace can't be \(workspace.path.shown): it is the system itself. Name a directory of your "
                    + "own with `--workspace DIR`")
        }
        for fact in facts.reads + facts.writes
        where under(fact.path, ["/proc", "/sys", "/dev"]) || fact.path == [Path.slash] {
            throw Failure(
                "files.system", "\(fact.path.shown) can't be taken into view (\(fact.origin)): it is the system itself")
        }
        try checkGuarded(policy: policy, facts: facts)
    }

    private static func under(_ path: Bytes, _ places: [String]) -> Bool {
        places.contains { Path.contains(Bytes($0), path) }
    }

    /// aegix's own state and configuration are never writable: not through `files.write`, not in a direct workspace,
    /// not by being the workspace.
    private static func checkGuarded(policy: Policy, facts: HostFacts) throws(Failure) {
        var writable = facts.writes.map { ($0.path, $0.origin) }
        if policy.workspace.mode == .direct { writable.append((facts.workspace.path, "workspace.mode = \"direct\"")) }
        for guarded in facts.guarded {
            for (path, origin) in writable where Path.contains(path, guarded.path) || Path.contains(guarded.path, path)
            {
                throw Failure(
                    "view.guarded",
                    "\(path.shown) can't be writable (\(origin)): \(guarded.what) \(guarded.path.shown) would be in it")
            }
            let inside = [facts.workspace] + facts.reads
            for fact in inside where guarded.kind == .directory && Path.contains(guarded.path, fact.path) {
                throw Failure(
                    "view.guarded",
                    "\(fact.path.shown) can't be in view (\(fact.origin)): it lies in \(guarded.what) "
                        + "\(guarded.path.shown). Keep aegix's own files elsewhere, with `--state-dir` or $AEGIX_STATE")
            }
        }
    }

    struct HiddenPath {
        var path: Bytes
        var isDirectory: Bool
        var reason: String
    }

    /// Denied and guarded paths that a view would show. A path beneath a hidden directory is hidden with it.
    static func hidden(facts: HostFacts, views: [Bytes]) -> [HiddenPath] {
        var all: [HiddenPath] = facts.denied.map {
            HiddenPath(path: $0.path, isDirectory: $0.isDirectory, reason: "files.deny (\($0.origin))")
        }
        for guarded in facts.guarded where views.contains(where: { Path.contains($0, guarded.path) }) {
            guard let kind = guarded.kind else { continue }
            all.append(HiddenPath(path: guarded.path, isDirectory: kind == .directory, reason: guarded.what))
        }
        all.sort { $0.path.count < $1.path.count }
        var kept: [HiddenPath] = []
        for item in all where !kept.contains(where: { Path.contains($0.path, item.path) }) { kept.append(item) }
        return kept
    }
}
