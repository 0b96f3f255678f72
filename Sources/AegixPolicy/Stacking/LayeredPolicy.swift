// Pure. Policies laid over one another, each later one narrowing, and the caller's word on top.

import AegixSystem

/// A policy with the place that each of its keys came from.
public struct LayeredPolicy: Sendable {
    public internal(set) var policy = Policy()
    /// `policy.toml:3:8`, or an option of the caller's; a key that isn't here has its built-in default.
    public internal(set) var origins: [PolicyKey: String] = [:]
    var anchors: PolicyAnchors
    private var preset: Preset?

    /// Where a key's value came from, for a person.
    public func origin(of key: PolicyKey) -> String {
        if let place = origins[key] { return place }
        guard let preset, let draft = preset.draft else { return "the built-in default" }
        return draft.place(of: key) ?? "the built-in default"
    }

    /// The preset `default` without reading its text, which would cost most runs half a millisecond of cold code. A test
    /// holds both together; the places of its keys are looked up when somebody asks.
    public init?(presetDefault anchors: PolicyAnchors) {
        guard let preset = Preset.named("default") else { return nil }
        self.anchors = anchors
        self.preset = preset
        policy.limits.wall = nil
        policy.limits.grace = 2_000_000_000
        policy.limits.pids = 4096
        policy.env.pass = ["LANG", "LC_*", "TERM", "COLORTERM", "NO_COLOR", "TZ"]
    }

    /// A chain on its own: the first source over the defaults, each child narrowing.
    public init(_ chain: PolicyChain, anchors: PolicyAnchors) throws(PolicyErrors) {
        self.anchors = anchors
        var isFirst = true
        for link in chain.links {
            try lay(link.draft, mayLoosen: isFirst)
            if isFirst { try checkOpening(link.draft) }
            isFirst = false
            policy.name = link.draft.name ?? Self.stem(link.source.name)
        }
    }

    /// What lies in the workspace, over the rest.
    public mutating func layWorkspace(_ chain: PolicyChain, trusted: Bool, remedy: String) throws(PolicyErrors) {
        for (index, link) in chain.links.enumerated() {
            try lay(link.draft, mayLoosen: trusted && index == 0, remedy: remedy)
            if let name = link.draft.name { policy.name = name }
        }
    }

    /// A list of hosts without a mode opens nothing, and whoever wrote it believes otherwise.
    private func checkOpening(_ draft: PolicyDraft) throws(PolicyErrors) {
        guard policy.network.mode == .none, draft.settings[.networkMode] == nil,
            case .hosts(let rules)? = draft.settings[.networkAllow]?.value, !rules.isEmpty
        else { return }
        throw PolicyErrors(
            draft.source, draft.settings[.networkAllow]?.position,
            "network.allow lists hosts, and without network.mode nothing is let through. Write mode = \"allow\"")
    }

    private mutating func lay(_ draft: PolicyDraft, mayLoosen: Bool, remedy: String = "") throws(PolicyErrors) {
        let parent = self
        for (key, setting) in draft.settings {
            if key == .commandsRule, case .rules(let rules) = setting.value {
                policy.commands.add(rules)
            } else {
                policy.set(key, setting.value)
            }
            origins[key] = draft.place(of: key)
        }
        if mayLoosen { return policy.network.settle() }
        let looser = Narrowing.loosenings(of: policy, beyond: parent.policy, anchors: anchors)
        if !looser.isEmpty {
            let errors = looser.map { loosening in
                let place = parent.origin(of: loosening.key)
                let message =
                    "\(loosening.key.rawValue) loosens its parent (\(place)): \(loosening.reason). "
                    + "A later policy may only narrow\(remedy)"
                return PolicyError(
                    file: draft.source, position: Self.position(of: loosening.key, in: draft), message: message)
            }
            throw PolicyErrors(errors)
        }
        bind(to: parent.policy)
        policy.network.settle()
    }

    /// For whoever knows what it may be changed to: nothing is compared with what it was.
    public mutating func change(_ body: (inout Policy) -> Void) {
        body(&policy)
        policy.network.settle()
    }

    /// The same command, with the paths that its words stand for.
    public mutating func setApprovalCommand(_ words: [String]) { policy.approval.command = words }

    /// A narrowed path was proven by its text only; a symlink in it could lead out of what the parent meant, so the
    /// rule remembers the directory that it has to stay in.
    mutating func bind(to parent: Policy) {
        let (own, theirs) = (FileRules(policy, anchors), FileRules(parent, anchors))
        func bound(_ entry: FileRules.Entry, _ holder: FileRules.Entry?) -> Policy.PathRule {
            var rule = entry.rule
            guard let holder else { return rule }
            let narrowed = holder.pattern == entry.pattern ? nil : holder.pattern.literalPath
            for directory in holder.rule.beneath + (narrowed.map { [$0] } ?? []) where !rule.beneath.contains(directory)
            {
                rule.beneath.append(directory)
            }
            return rule
        }
        policy.files.read = own.read.map { bound($0, theirs.readable($0)) }
        policy.files.write = own.write.map { bound($0, theirs.writable($0)) }
    }

    /// The key at fault may be another of the same table: a new write entry can free a read entry.
    private static func position(of key: PolicyKey, in draft: PolicyDraft) -> Position? {
        let related: [PolicyKey] =
            switch key.table {
            case .files: [key, .filesWrite, .filesRead, .workspaceMode]
            case .commands: [key, .commandsRule, .commandsDefault]
            default: [key, .envPass, .envSet]
            }
        return related.compactMap { draft.settings[$0]?.position }.first
    }

    private static func stem(_ name: String) -> String {
        let last = Path.name(Bytes(name))
        let text = String(decoding: last, as: UTF8.self)
        let stem = text.hasSuffix(".toml") ? String(text.dropLast(5)) : text
        let visible = stem.unicodeScalars.allSatisfy { $0.value > 0x20 && Bytes(String($0)).shown == String($0) }
        return visible && (1...64).contains(stem.utf8.count) ? stem : "policy"
    }
}
