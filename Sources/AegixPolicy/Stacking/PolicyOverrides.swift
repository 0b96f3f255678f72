// Pure. The caller's options, as far as they change the policy.

import AegixSystem

/// What the caller said on the command line. It overrides the policy in both directions, but never the machine's ceiling
/// and never a table that the policy locks.
public struct PolicyOverrides: Equatable, Sendable {
    /// A limit that was given, in the unit of its key; `nil` is no limit.
    public struct Limit: Equatable, Sendable {
        public var amount: UInt64?
        public init(_ amount: UInt64?) { self.amount = amount }
    }

    public var require: Tier?
    public var timeout: Limit?
    public var memory: Limit?
    public var cpus: Limit?
    public var pids: Limit?
    public var setEnvironment: [(name: String, value: Bytes)] = []
    public var passEnvironment: [String] = []
    public var secrets: [NamedSecret] = []
    /// `--raw-stdout`
    public var rawOutput = false
    /// Absolute paths, taken as they are: a `*` in them is a character.
    public var read: [Bytes] = []
    public var write: [Bytes] = []
    /// Patterns of the workspace, beside the policy's.
    public var artifacts: [String] = []
    public var allowHosts: [HostPattern] = []

    public init() {}

    public static func == (a: PolicyOverrides, b: PolicyOverrides) -> Bool {
        a.require == b.require && a.timeout == b.timeout && a.memory == b.memory && a.cpus == b.cpus && a.pids == b.pids
            && a.passEnvironment == b.passEnvironment
            && a.read == b.read && a.write == b.write && a.artifacts == b.artifacts && a.allowHosts == b.allowHosts
            && a.rawOutput == b.rawOutput && a.secrets == b.secrets
            && a.setEnvironment.elementsEqual(b.setEnvironment) { $0.name == $1.name && $0.value == $1.value }
    }

    /// `--timeout 30s`
    public static func timeout(_ text: String) throws(Failure) -> Limit {
        try limit("timeout", text, "a duration", TimeSpan.allowed, TimeSpan.parse)
    }

    /// `--memory 512MiB`
    public static func memory(_ text: String) throws(Failure) -> Limit {
        try limit("memory", text, "a size", ByteSize.allowed, ByteSize.parse)
    }

    /// `--cpus 1.5`
    public static func cpus(_ text: String) throws(Failure) -> Limit {
        try limit("cpus", text, "a number of processors", Processors.allowed, Processors.parse)
    }

    /// `--pids 100`
    public static func pids(_ text: String) throws(Failure) -> Limit {
        try limit("pids", text, "a count", "a whole number from 1") { text in
            text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt64(text) : nil
        }
    }

    /// `--allow-host pypi.org:443`
    public static func host(_ word: Bytes) throws(Failure) -> HostPattern {
        do throws(HostPattern.Defect) {
            return try HostPattern(word.text ?? "\u{FFFD}")
        } catch {
            throw Failure(
                "usage.value", "--allow-host \(word.shown) \(error.reason). It takes \(HostPattern.allowed)")
        }
    }

    private static func limit(
        _ option: String, _ text: String, _ kind: String, _ allowed: String, _ parse: (String) -> UInt64?
    ) throws(Failure) -> Limit {
        if text == "none" { return Limit(nil) }
        guard let amount = parse(text) else {
            throw Failure(
                "usage.value", "--\(option) \(Bytes(text).shown) isn't \(kind): write \(allowed), or none")
        }
        return Limit(amount == 0 ? nil : amount)
    }

    /// `--env NAME=VALUE`; the value may be a secret, so no error shows it.
    public static func environment(name: Bytes, value: Bytes) throws(Failure) -> (name: String, value: Bytes) {
        guard let text = name.text, EnvironmentName.isValid(text) else {
            throw Failure(
                "usage.value", "--env \(name.shown)=… isn't a name of a variable: letters, digits and _, no digit first"
            )
        }
        return (text, value)
    }

    /// `--pass-env NAME`
    public static func passedName(_ word: Bytes) throws(Failure) -> String {
        guard let name = word.text, EnvironmentName.isPattern(name) else {
            throw Failure(
                "usage.value",
                "--pass-env \(word.shown) isn't a name of a variable, or the beginning of one with a trailing *")
        }
        return name
    }
}

extension PolicyOverrides {
    /// `--artifact GLOB`, in the words that a policy has for it.
    public static func artifact(_ word: Bytes) throws(Failure) -> String {
        do {
            if let text = try InsidePattern.parse(word).text.text { return text }
        } catch {
            throw Failure("usage.value", "--artifact \(word.shown) \(error.reason)")
        }
        throw Failure("usage.value", "--artifact \(word.shown) isn't valid UTF-8: write `?` or `*` for such bytes")
    }
}

extension LayeredPolicy {
    public mutating func apply(_ overrides: PolicyOverrides, ceiling: Ceiling?) throws(Failure) {
        // Most runs give none, and comparing two whole policies isn't free.
        if overrides == PolicyOverrides() { return }
        let before = self
        var changed: [PolicyKey: String] = [:]
        if let tier = overrides.require {
            policy.require = tier
            changed[.require] = "--require"
        }
        if let timeout = overrides.timeout {
            policy.limits.wall = timeout.amount
            changed[.wall] = "--timeout"
        }
        if let memory = overrides.memory {
            policy.limits.memory = memory.amount
            changed[.memory] = "--memory"
        }
        if let cpus = overrides.cpus {
            policy.limits.cpus = cpus.amount
            changed[.cpus] = "--cpus"
        }
        if let pids = overrides.pids {
            policy.limits.pids = pids.amount
            changed[.pids] = "--pids"
        }
        for binding in overrides.setEnvironment {
            policy.env.set[binding.name] = binding.value
            changed[.envSet] = "--env"
        }
        for name in overrides.passEnvironment {
            if !policy.env.pass.contains(name) { policy.env.pass.append(name) }
            // What is set wins over what is passed, and the option is the caller's later word.
            if overrides.setEnvironment.allSatisfy({ $0.name != name }), policy.env.set.removeValue(forKey: name) != nil
            {
                changed[.envSet] = "--pass-env"
            }
            changed[.envPass] = "--pass-env"
        }
        for secret in overrides.secrets {
            policy.secrets[secret.name] = secret.source
            changed[.secrets] = secret.source.isFile ? "--secret-file" : "--secret"
        }
        for path in overrides.read where add(path, "--read", to: \.read, unless: \.write) {
            changed[.filesRead] = "--read"
        }
        for path in overrides.write where add(path, "--write", to: \.write, unless: \.write) {
            changed[.filesWrite] = "--write"
        }
        for pattern in overrides.artifacts where !policy.artifacts.collect.contains(pattern) {
            policy.artifacts.collect.append(pattern)
            changed[.artifactsCollect] = "--artifact"
        }
        for host in overrides.allowHosts {
            if !policy.network.allow.contains(where: { $0.pattern == host }) {
                policy.network.allow.append(.init(host, origin: "--allow-host"))
                changed[.networkAllow] = "--allow-host"
            }
            if policy.network.mode == .none {
                policy.network.mode = .allow
                changed[.networkMode] = "--allow-host"
            }
        }
        // An entry that is written now isn't only read any more.
        let written = FileRules(policy, anchors).write.map(\.pattern)
        if changed[.filesWrite] != nil {
            policy.files.read = FileRules(policy, anchors).read.filter { !written.contains($0.pattern) }.map(\.rule)
        }
        if overrides.rawOutput, before.policy.lock.contains(.secrets) {
            throw Failure(
                "policy.invalid", "--raw-stdout loosens [secrets], which is locked (\(before.origin(of: .lock)))")
        }
        try check(before, changed, ceiling)
        if let ceiling { bindToCeiling(ceiling) }
        policy.network.settle()
        for (key, option) in changed { origins[key] = option }
    }

    private mutating func add(
        _ path: Bytes, _ option: String, to list: WritableKeyPath<Policy.Files, [Policy.PathRule]>,
        unless other: KeyPath<Policy.Files, [Policy.PathRule]>
    ) -> Bool {
        let pattern = PathPattern(literal: Path.isAbsolute(path) ? Path.normalized(path) : path)
        let known = (policy.files[keyPath: list] + policy.files[keyPath: other]).contains { $0.pattern == pattern.text }
        if !known { policy.files[keyPath: list].append(Policy.PathRule(pattern: pattern.text, origin: option)) }
        return !known
    }

    /// Everything that a lock or the ceiling refuses, at once.
    private func check(_ before: LayeredPolicy, _ changed: [PolicyKey: String], _ ceiling: Ceiling?) throws(Failure) {
        var messages: [String] = []
        for loosening in Narrowing.loosenings(of: policy, beyond: before.policy, anchors: anchors) {
            guard let table = loosening.key.table, before.policy.lock.contains(table) else { continue }
            let option = Self.option(for: loosening.key, changed)
            messages.append(
                "\(option) loosens [\(table.rawValue)], which is locked (\(before.origin(of: .lock))): \(loosening.key.rawValue) "
                    + loosening.reason)
        }
        for loosening in ceiling?.loosenings(of: policy, anchors: anchors) ?? [] {
            messages.append("\(Self.option(for: loosening.key, changed)): \(ceiling?.explain(loosening) ?? "")")
        }
        guard let first = messages.first else { return }
        throw Failure("policy.invalid", first, details: messages.map { Failure.Detail(message: $0) })
    }

    private static func option(for key: PolicyKey, _ changed: [PolicyKey: String]) -> String {
        if let option = changed[key] { return option }
        let related: [PolicyKey] = key.table == .files ? [.filesWrite, .filesRead] : [.envSet, .envPass]
        return related.compactMap { changed[$0] }.first ?? "an option"
    }
}
