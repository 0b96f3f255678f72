// Side effects: looks at files of the host. Whether a run would show a path, and let it be written.

import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import Glibc

struct PathForesight {
    let plan: Plan
    let facts: HostFacts
    let view: HostView
    let explainer: Explainer

    func judge(_ asked: Bytes, writes: Bool) -> Judgement {
        let path = Path.join(plan.cwd, asked)
        var judgement = Judgement(
            question: writes ? "write" : "read", asked: asked, decision: .deny, explanation: closed(path, writes))
        switch view.find(path) {
        case .outside(let place):
            // A directory on the way to a view that lies in private scratch space is scratch space, too.
            let scratch = plan.landlock.writable.first { Path.contains($0, Path.parent(place)) }
            guard writes, let scratch, place == Path.normalized(path), case .there = view.find(Path.parent(place))
            else {
                break
            }
            settle(&judgement, place, under: scratch, host: nil, writes, true)
        case .masked(let masked): judgement.explanation = self.masked(masked, path)
        case .missing(let place):
            guard case .there(_, let host, let under, let isWritable) = view.find(Path.parent(place)) else { break }
            settle(
                &judgement, place, under: under, host: host.map { Path.join($0, Path.name(place)) }, writes, isWritable)
            judgement.notes.append("nothing is there now")
        case .there(let inside, let host, let under, let isWritable):
            settle(&judgement, inside, under: under, host: host, writes, isWritable)
        }
        return judgement
    }

    private func settle(
        _ judgement: inout Judgement, _ path: Bytes, under: Bytes, host: Bytes?, _ writes: Bool, _ isWritable: Bool
    ) {
        if writes, !isWritable {
            judgement.explanation = readOnly(path, under)
            return
        }
        let isMade = under == [Path.slash] || host == nil && Path.contains(Bytes("/proc"), path)
        judgement.decision = .allow
        judgement.explanation = Explanation(
            control: "files", rule: rule(under), origin: origin(under), object: path,
            sentence: writes ? "can be written:" : "is in view:", remedy: .none)
        if host == nil, !isMade { judgement.notes.append("it is the sandbox's own, private and empty at the start") }
        if let host, let refusal = refusal(host, under, writes: writes) {
            judgement.decision = .deny
            judgement.explanation.rule = "permissions"
            judgement.explanation.origin = nil
            judgement.explanation.sentence = refusal
            judgement.explanation.remedy = .advice("the policy allows it; change the file's owner or mode")
        }
        if writes, Path.contains(plan.workspace, path) {
            switch plan.workspaceMode {
            case .layer: judgement.notes.append("the change goes to the run's layer, to be reviewed and applied")
            case .apply: judgement.notes.append("the change goes to a layer, applied when the command exits with 0")
            case .direct: judgement.notes.append("the change is real at once")
            case .readOnly: break
            }
            if facts.denials.contains(where: { $0.matches(path) }) {
                judgement.notes.append("files.deny names it: made inside, it is flagged and never applied")
            }
        }
    }

    // MARK: - Why not

    func masked(_ masked: Bytes, _ path: Bytes) -> Explanation {
        if let found = plan.masked.filter({ Path.contains($0.path, masked) }).max(by: { $0.path.count < $1.path.count })
        {
            return explainer.masked(found.rule, path, 1, "is masked:")
        }
        let reason = plan.hidden.first { Path.contains($0.path, masked) }?.reason ?? "aegix's own"
        return Explanation(
            control: "files", rule: "hidden", origin: nil, object: path, sentence: "is never in view, as \(reason):",
            remedy: .never("no policy shows it to a command"))
    }

    private func closed(_ path: Bytes, _ writes: Bool) -> Explanation {
        let isSystem = ["/proc", "/sys", "/dev"].contains { Path.contains(Bytes($0), path) } || path == [Path.slash]
        let key = writes ? "write" : "read"
        return Explanation(
            control: "files", rule: "files.\(key)", origin: explainer.origin(of: "files.\(key)"), object: path,
            sentence: "no rule brings into view:",
            remedy: isSystem
                ? .never("it is the system itself")
                : explainer.unlocked(
                    .change(
                        option: "--\(key) \(PolicyLiteral.shell(path))",
                        edit: "[files]\n\(key) = [\(PolicyLiteral.path(path))]"), "files"))
    }

    private func readOnly(_ path: Bytes, _ under: Bytes) -> Explanation {
        if under == plan.workspace {
            return Explanation(
                control: "files", rule: "workspace.mode = \"read-only\"",
                origin: explainer.origin(of: "workspace.mode"),
                object: path, sentence: "is in view, and can't be written:",
                remedy: .change(option: nil, edit: "[workspace]\nmode = \"layer\""))
        }
        var explanation = closed(path, true)
        explanation.rule = rule(under)
        explanation.origin = origin(under) ?? explanation.origin
        explanation.sentence = "is in view, and can't be written:"
        let system = ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64"]
        if system.contains(where: { Path.contains(Bytes($0), path) }) {
            explanation.remedy = .never("the system is read-only for every command")
        }
        return explanation
    }

    /// By the file's own mode, for the command's user. Where root calls, what may be written goes through the id map, and is
    /// the workspace's owner's.
    private func refusal(_ host: Bytes, _ under: Bytes, writes: Bool) -> String? {
        var (uid, gid) = (plan.identity.outsideUID, plan.identity.outsideGID)
        let isMapped = under == plan.workspace || facts.writes.contains { $0.path == under }
        if facts.uid == 0, isMapped { (uid, gid) = (facts.workspace.uid, facts.workspace.gid) }
        /// nil: nothing is there.
        func permits(_ path: Bytes, _ wanted: mode_t, _ call: Int32) -> Bool? {
            var status = stat()
            if path.withCString({ stat($0, &status) }) < 0 { return errno == EACCES ? false : nil }
            let shift: mode_t = status.st_uid == uid ? 6 : status.st_gid == gid ? 3 : 0
            if status.st_mode >> shift & wanted == wanted { return true }
            // Other groups of the caller's count, too.
            return facts.uid != 0 && path.withCString { access($0, call) } == 0
        }
        for directory in within(host, under) where permits(directory, 1, X_OK) == false {
            return "the mode of \(directory.shown) keeps uid \(uid) from what is in it:"
        }
        if let isOpen = permits(host, writes ? 2 : 4, writes ? W_OK : R_OK) {
            return isOpen ? nil : "its own mode keeps uid \(uid) from \(writes ? "writing" : "reading") it:"
        }
        // The top of a layer is the layer's own directory.
        let parent = Path.parent(host)
        if writes, parent != under || plan.workspaceMode == .direct, permits(parent, 3, W_OK | X_OK) == false {
            return "the mode of its directory keeps uid \(uid) from making it:"
        }
        return nil
    }

    /// The directories from the view's own root to where it lies: those above aren't looked at inside.
    private func within(_ host: Bytes, _ under: Bytes) -> [Bytes] {
        var all: [Bytes] = []
        var at = Path.parent(host)
        while at != [Path.slash], Path.contains(under, at) {
            all.append(at)
            at = Path.parent(at)
        }
        return all.reversed()
    }

    // MARK: - Which rule

    private func rule(_ under: Bytes) -> String {
        if under == plan.workspace { return "workspace.mode = \"\(plan.workspaceMode.rawValue)\"" }
        if facts.writes.contains(where: { $0.path == under }) { return "files.write" }
        if facts.reads.contains(where: { $0.path == under }) { return "files.read" }
        return "the base view"
    }

    private func origin(_ under: Bytes) -> String? {
        if under == plan.workspace { return explainer.origin(of: "workspace.mode") }
        return (facts.writes + facts.reads).first { $0.path == under }?.origin
    }
}
