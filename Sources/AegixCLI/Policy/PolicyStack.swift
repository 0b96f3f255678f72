// Side effects: reads the files of policy. Whose word counts, in which order.

import AegixPolicy
import AegixSandbox
import AegixSystem
import Glibc

/// The policy of one run, with what it came from.
public struct LoadedPolicy: Sendable {
    public var policy: Policy
    /// In the order in which they were laid over one another; the digest is of the file's bytes.
    public var sources: [(name: String, digest: String)]
    /// The policy as TOML, nothing left to a default. Made when asked for: a run asks while its sandbox assembles itself.
    public var effective: Bytes { policy.toml }
    private let layered: LayeredPolicy

    init(
        policy: Policy, sources: [(name: String, digest: String)], layered: LayeredPolicy
    ) {
        self.policy = policy
        self.sources = sources
        self.layered = layered
    }

    /// Of the keys that somebody wrote, by their names, in order. Those of the preset `default` aren't looked up.
    public var origins: [(key: String, place: String)] {
        layered.origins.map { ($0.key.rawValue, $0.value) }.sorted { $0.0 < $1.0 }
    }

    /// The policy itself, and not the caller's options, gives secrets and a network together.
    var namesBoth: Bool {
        [PolicyKey.secrets, .networkMode].allSatisfy { !origin(of: $0).hasPrefix("--") }
            && !policy.secrets.isEmpty && policy.network.mode != .none
    }

    /// Where a key's value came from: `policy.toml:3:8`, or `--timeout`.
    public func origin(of key: PolicyKey) -> String { layered.origin(of: key) }
}

/// Loads the stack of policies. Stages: the machine's ceiling; `--policy`, else the user's configuration, else the preset
/// `default`; `aegix.toml` of the workspace; the caller's options. What isn't done here: no path of the policy is looked
/// up but to see that a narrowed one stays where its parent meant it.
public struct PolicyStack {
    var ceilingPath = Bytes("/etc/aegix/policy.toml")
    var ceilingOwner: uid_t = 0
    let workspace: Bytes
    let anchors: PolicyAnchors
    var configuration: Bytes?
    private var demandsTrust = true
    /// Files that were read, by the name that errors use.
    private var files: [String: PolicyFile] = [:]
    private var sources: [(name: String, digest: String)] = []

    public static func load(
        policyArgument: Bytes?, workspace: Bytes, home: Bytes?, overrides: PolicyOverrides
    ) throws(Failure) -> LoadedPolicy {
        var stack = PolicyStack(workspace: workspace, home: home)
        return try stack.load(policyArgument, overrides)
    }

    init(workspace: Bytes, home: Bytes?) {
        self.workspace = PolicyFile.resolve(workspace) ?? workspace
        anchors = PolicyAnchors(home: home.map { PolicyFile.resolve($0) ?? $0 }, workspace: self.workspace)
        configuration = TrustStore.configuration(home: home)
    }

    mutating func load(_ argument: Bytes?, _ overrides: PolicyOverrides) throws(Failure) -> LoadedPolicy {
        let ceiling = try ceiling()
        var layered = try base(argument, ceiling)
        try layWorkspace(over: &layered, ceiling)
        try layered.apply(overrides, ceiling: ceiling)
        try refuseWritable(layered.policy)
        try refuseEscapes(layered.policy)
        try refuseHiddenArtifacts(layered)
        if layered.policy.commands.asks || layered.policy.network.asks, layered.policy.approval.via == .command {
            layered.setApprovalCommand(try approvalProgram(layered).words(layered.policy.approval.command))
        }
        return LoadedPolicy(policy: layered.policy, sources: sources, layered: layered)
    }

    /// A recorded policy, changed to what a replay may have, under the machine's ceiling as it is now: what the ceiling doesn't
    /// allow any more is cut away, as of a preset.
    ///
    /// - isStranger: it is from elsewhere, and cut to the caller's own configuration as well.
    mutating func loadRecorded(
        _ text: Bytes, named name: String, isStranger: Bool, change: (inout Policy) -> Void
    ) throws(Failure) -> LoadedPolicy {
        var caps: [Ceiling] = []
        if let ceiling = try ceiling() { caps.append(ceiling) }
        if isStranger, let own = try configured() {
            let anchors = anchors
            caps.append(try checked { () throws(PolicyErrors) in try Ceiling(own, anchors: anchors) })
        }
        let chain = try PolicyChain.load(PolicySource(name: name, bytes: text, isPreset: true, quotes: false)) {
            name, _, _ throws(Failure) in throw PolicyStack.noPreset(name)
        }
        note(chain)
        let layered = try checked { () throws(PolicyErrors) in
            var layered = try LayeredPolicy(chain, anchors: anchors)
            layered.change(change)
            for cap in caps { try layered.cut(to: cap, chain) }
            return layered
        }
        return LoadedPolicy(policy: layered.policy, sources: sources, layered: layered)
    }

    /// A policy with all that it extends, for a person who looks at it: no ceiling, no workspace, and no trust is needed,
    /// because nothing runs by it.
    static func alone(_ argument: Bytes) throws(Failure) -> Policy {
        var stack = PolicyStack(workspace: Bytes("."), home: home)
        stack.demandsTrust = false
        let chain = try stack.named(argument)
        return try stack.checked { () throws(PolicyErrors) in try LayeredPolicy(chain, anchors: stack.anchors).policy }
    }

    /// The caller's home, as the environment has it.
    static var home: Bytes? { getenv("HOME").map { Bytes(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } }

    // MARK: - The layers

    private mutating func ceiling() throws(Failure) -> Ceiling? {
        let name = ceilingPath.shown
        guard let file = try PolicyFile.read(ceilingPath, named: name) else { return nil }
        try file.check(owners: [ceilingOwner])
        try PolicyFile.checkDirectory(Path.parent(ceilingPath), owners: [ceilingOwner])
        let chain = try chain(file, owners: [ceilingOwner])
        return try checked { () throws(PolicyErrors) in try Ceiling(chain, anchors: anchors) }
    }

    /// What the caller named, else the user's own, else the preset `default`; cut to the ceiling.
    private mutating func base(_ argument: Bytes?, _ ceiling: Ceiling?) throws(Failure) -> LayeredPolicy {
        let configured = argument == nil ? try configured() : nil
        if configured == nil, ceiling == nil, argument == nil || argument == Bytes("default"),
            let preset = Preset.named("default"), let layered = LayeredPolicy(presetDefault: anchors)
        {
            sources.append((preset.name, SHA256.hex(Bytes(preset.text))))
            return layered
        }
        let chain: PolicyChain
        if let configured { chain = configured } else { chain = try named(argument ?? Bytes("default")) }
        return try checked { () throws(PolicyErrors) in
            var layered = try LayeredPolicy(chain, anchors: anchors)
            if let ceiling { try layered.cut(to: ceiling, chain) }
            return layered
        }
    }

    private mutating func configured() throws(Failure) -> PolicyChain? {
        guard let configuration else { return nil }
        let path = Path.join(configuration, Bytes("policy.toml"))
        guard let file = try PolicyFile.read(path, named: path.shown) else { return nil }
        try file.check(owners: [geteuid(), 0])
        try PolicyFile.checkDirectory(configuration, owners: [geteuid(), 0])
        return try chain(file, owners: [geteuid(), 0])
    }

    /// A bare word is a preset whatever lies in the current directory; a file has a slash or ends in `.toml` (H14).
    private mutating func named(_ argument: Bytes) throws(Failure) -> PolicyChain {
        if !PolicyStack.isFile(argument) {
            return try preset(String(decoding: argument, as: UTF8.self))
        }
        guard let file = try PolicyFile.read(argument, named: argument.shown) else {
            throw Failure("policy.missing", "there is no policy \(argument.shown)")
        }
        return try chain(file, owners: nil)
    }

    static func isFile(_ argument: Bytes) -> Bool {
        argument.contains(Path.slash) || argument.suffix(5) == Bytes(".toml")[...]
    }

    private mutating func preset(_ name: String) throws(Failure) -> PolicyChain {
        guard let preset = Preset.named(name) else { throw PolicyStack.noPreset(name) }
        let chain = try PolicyChain.load(.preset(preset)) { name, _, _ throws(Failure) in
            throw PolicyStack.noPreset(name)
        }
        note(chain)
        return chain
    }

    static func noPreset(_ name: String) -> Failure {
        let names = Preset.names
        let near = Spelling.nearest(to: name, in: names).map { ". Did you mean \($0)?" }
        let rest = near ?? "; the presets are \(names.joined(separator: ", ")). A file is written with a slash or .toml"
        return Failure("policy.missing", "there is no preset \(Bytes(name).shown)\(rest)")
    }

    /// A file with all that it extends. `owners` is nil for a file that the caller named, who may name any; unless it lies
    /// in the workspace, where the previous run may have written it (rule 15).
    private mutating func chain(_ file: PolicyFile, owners: Set<uid_t>?, quotes: Bool = true) throws(Failure)
        -> PolicyChain
    {
        var read: [String: PolicyFile] = [file.name: file]
        try admit(file, owners)
        let source = PolicySource(name: file.name, bytes: file.bytes, quotes: quotes)
        let chain = try PolicyChain.load(source) { name, child, position throws(Failure) in
            let text = Bytes(name)
            let place = position.map { "\(child.name):\($0.line):\($0.column)" } ?? child.name
            if !PolicyStack.isFile(text) {
                guard let preset = Preset.named(name) else {
                    throw Failure("policy.invalid", "\(place): \(PolicyStack.noPreset(name).message)")
                }
                return .preset(preset)
            }
            let directory = Path.parent(read[child.name]?.canonical ?? [])
            let path = Path.normalized(Path.join(directory, text))
            guard let parent = try PolicyFile.read(path, named: path.shown) else {
                throw Failure("policy.invalid", "\(place): extends \(path.shown), which isn't there")
            }
            try admit(parent, owners)
            read[parent.name] = parent
            return PolicySource(name: parent.name, bytes: parent.bytes, quotes: quotes)
        }
        files.merge(read) { $1 }
        note(chain)
        return chain
    }

    private func admit(_ file: PolicyFile, _ owners: Set<uid_t>?) throws(Failure) {
        if let owners {
            try file.check(owners: owners)
        } else {
            try file.check(owners: [file.owner], writableByGroup: true)
        }
        if demandsTrust, Path.contains(workspace, file.canonical), !isConfiguration(file.canonical),
            try !isTrusted(file)
        {
            throw PolicyStack.untrusted(file, "it lies in the workspace")
        }
    }

    private mutating func layWorkspace(over layered: inout LayeredPolicy, _ ceiling: Ceiling?) throws(Failure) {
        let path = Path.join(workspace, Bytes("aegix.toml"))
        guard let file = try PolicyFile.read(path, named: path.shown, flags: O_NOFOLLOW) else { return }
        let remedy = ", until you have looked at it and say `aegix policy trust \(path.shown)`"
        if try isTrusted(file) {
            let chain = try chain(file, owners: nil, quotes: true)
            try checked { () throws(PolicyErrors) in try layered.layWorkspace(chain, trusted: true, remedy: "") }
            if let ceiling {
                try checked { () throws(PolicyErrors) in try layered.cut(to: ceiling, chain) }
            }
            return
        }
        // Only a preset can be its parent: a file of the host isn't opened on the word of the workspace.
        let source = PolicySource(name: file.name, bytes: file.bytes, quotes: false)
        let chain = try PolicyChain.load(source) { name, child, position throws(Failure) in
            if !PolicyStack.isFile(Bytes(name)), let preset = Preset.named(name) { return .preset(preset) }
            let place = position.map { "\(child.name):\($0.line):\($0.column)" } ?? child.name
            throw Failure("policy.invalid", "\(place): it may extend a preset only\(remedy)")
        }
        files[file.name] = file
        note(chain)
        try checked { () throws(PolicyErrors) in try layered.layWorkspace(chain, trusted: false, remedy: remedy) }
    }

    // MARK: - What no text can show

    /// A policy that its own run may rewrite would choose the next run's rights.
    private func refuseWritable(_ policy: Policy) throws(Failure) {
        let writable = policy.files.write.compactMap { path(of: $0) }.compactMap { PolicyFile.resolve($0) }
        for file in files.values where writable.contains(where: { Path.contains($0, file.canonical) }) {
            if !Path.contains(workspace, file.canonical), try !isTrusted(file) {
                throw PolicyStack.untrusted(file, "it lies where the run may write (files.write)")
            }
        }
    }

    private func approvalProgram(_ layered: LayeredPolicy) -> ApprovalProgram {
        let origin = layered.origin(of: layered.policy.approval.command.isEmpty ? .approvalVia : .approvalCommand)
        let file = files.values.first { origin.hasPrefix($0.name + ":") }
        var written = layered.policy.files.write.compactMap { path(of: $0) }.map { PolicyFile.resolve($0) ?? $0 }
        if layered.policy.workspace.mode == .direct { written.append(workspace) }
        return ApprovalProgram(
            workspace: workspace, written: written, trust: configuration.map { TrustStore(directory: $0) },
            directory: file.map { Path.parent($0.canonical) } ?? [Path.slash], origin: origin)
    }

    /// A path that a later layer narrowed has to be, on this host too, within what its parent meant.
    private func refuseEscapes(_ policy: Policy) throws(Failure) {
        for rule in policy.files.read + policy.files.write where !rule.beneath.isEmpty {
            guard let path = path(of: rule), let real = PolicyFile.resolve(path) else { continue }
            for directory in rule.beneath where !Path.contains(PolicyFile.resolve(directory) ?? directory, real) {
                throw Failure(
                    "policy.invalid",
                    "\(rule.origin): \(rule.pattern.shown) leads out of \(directory.shown) by a symbolic link, and may only narrow it"
                )
            }
        }
    }

    /// A pattern all of whose matches are hidden would never collect anything.
    private func refuseHiddenArtifacts(_ layered: LayeredPolicy) throws(Failure) {
        let policy = layered.policy
        if policy.artifacts.collect.isEmpty || policy.files.deny.isEmpty { return }
        var denied: [PathPattern] = []
        for rule in policy.files.deny {
            denied += try PatternSearch.denied(rule, home: anchors.home, workspace: workspace)
        }
        for text in policy.artifacts.collect {
            let pattern: PathPattern
            do { pattern = try InsidePattern.parse(Bytes(text)) } catch { continue }
            guard let deny = InsidePattern.hiding(pattern, denied, in: workspace) else { continue }
            throw Failure(
                "policy.invalid",
                "\(layered.origin(of: .artifactsCollect)): artifacts.collect: \(Bytes(text).shown) can match nothing: "
                    + "files.deny hides \(deny.text.shown)")
        }
    }

    /// The literal beginning of a rule on this host.
    private func path(of rule: Policy.PathRule) -> Bytes? {
        let pattern: PathPattern
        do { pattern = try PathPattern(rule.pattern) } catch { return nil }
        guard let whole = pattern.absolute(home: anchors.home, workspace: anchors.workspace) else { return nil }
        return [Path.slash] + whole.literalPrefix.joined(separator: [Path.slash])
    }

    /// The configuration is masked from every run, so it isn't where one may write, whatever the workspace holds.
    private func isConfiguration(_ canonical: Bytes) -> Bool {
        configuration.map { Path.contains(PolicyFile.resolve($0) ?? $0, canonical) } ?? false
    }

    private func isTrusted(_ file: PolicyFile) throws(Failure) -> Bool {
        guard let configuration else { return false }
        return try TrustStore(directory: configuration).holds(file)
    }

    private static func untrusted(_ file: PolicyFile, _ why: String) -> Failure {
        Failure(
            "policy.untrusted",
            "\(file.name) isn't trusted: \(why), so a previous run may have written it. Look at it, then say "
                + "`aegix policy trust \(file.canonical.shown)`")
    }

    private mutating func note(_ chain: PolicyChain) {
        for link in chain.links { sources.append((link.source.name, SHA256.hex(link.source.bytes))) }
    }

    private func checked<T>(_ body: () throws(PolicyErrors) -> T) throws(Failure) -> T {
        do { return try body() } catch { throw error.failure }
    }
}
