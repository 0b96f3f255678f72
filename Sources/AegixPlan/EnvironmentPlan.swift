// Pure. The command's environment, built from nothing.

import AegixPolicy
import AegixSystem

/// A variable inside, and whose word it is: the record shows values only where they aren't the caller's own.
public struct PlannedVariable: Equatable, Sendable {
    public var name: Bytes
    public var value: Bytes
    public var source: Source

    public enum Source: String, Sendable {
        /// aegix's: PATH, HOME, USER, …
        case base
        /// Passed on from the caller.
        case passed
        /// The policy's `env.set` or `--env`.
        case set
        /// The policy's `[secrets]` or `--secret`.
        case secret

        /// Whether the plan shows the value.
        var isShown: Bool { self == .base || self == .set }
    }
}

enum EnvironmentPlan {
    static let standardPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    static func make(
        policy: Policy.Environment, facts: HostFacts, home: Bytes, user: Bytes, path: [Bytes],
        pinned: [PlannedVariable] = [], variation: Variation = Variation()
    ) -> [PlannedVariable] {
        var variables: [PlannedVariable] = [
            .init(name: Bytes("PATH"), value: joined(path), source: .base),
            .init(name: Bytes("HOME"), value: home, source: .base),
            .init(name: Bytes("USER"), value: user, source: .base),
            .init(name: Bytes("LOGNAME"), value: user, source: .base),
            .init(name: Bytes("TMPDIR"), value: Bytes("/tmp"), source: .base),
        ]
        variables += pinned
        func put(_ variable: PlannedVariable) {
            if let index = variables.firstIndex(where: { $0.name == variable.name }) {
                variables[index] = variable
            } else {
                variables.append(variable)
            }
        }
        // aegix's own aren't passed: the caller's PATH and HOME mean places that aren't in view.
        let own = variables.count
        let patterns = policy.pass.map { Bytes($0) }
        for variable in facts.environment
        where passes(variable.name, patterns) && (pinned.isEmpty || !DeterminismPlan.covers(variable.name))
            && !variables[..<own].contains(where: { $0.name == variable.name })
        {
            put(.init(name: variable.name, value: variable.value, source: .passed))
        }
        if !policy.set.isEmpty {
            for (name, value) in policy.set.sorted(by: { $0.key < $1.key }) {
                put(.init(name: Bytes(name), value: value, source: .set))
            }
        }
        for secret in facts.secrets {
            let value = secret.isFile ? SecretPlan.path(secret) : secret.value
            put(.init(name: Bytes(secret.name), value: value, source: .secret))
        }
        if let timezone = variation.timezone {
            put(.init(name: Bytes("TZ"), value: Bytes(timezone), source: .base))
        }
        if let variable = variation.variable {
            put(.init(name: variable.name, value: variable.value, source: .base))
        }
        if variation.home != nil { put(.init(name: Bytes("HOME"), value: home, source: .base)) }
        return variables
    }

    /// Where a program is sought: along the PATH that the command itself will have.
    static func searched(_ environment: [PlannedVariable]) -> [Bytes] {
        let name = Bytes("PATH")
        let value = environment.first { $0.name == name }?.value ?? []
        return value.split(separator: UInt8(ascii: ":")).map { Bytes($0) }.filter { $0.first == Path.slash }
    }

    private static func joined(_ entries: [Bytes]) -> Bytes {
        var out = Bytes()
        for entry in entries {
            if !out.isEmpty { out.append(UInt8(ascii: ":")) }
            out += entry
        }
        return out
    }

    private static func passes(_ name: Bytes, _ patterns: [Bytes]) -> Bool {
        patterns.contains { pattern in
            pattern.last == UInt8(ascii: "*") ? name.starts(with: pattern.dropLast()) : name == pattern
        }
    }

    /// The caller's entries that are in view, else the usual ones. Relative entries would mean another place inside.
    static func path(facts: HostFacts, views: [Bytes]) -> [Bytes] {
        let name = Bytes("PATH")
        let given = facts.environment.first { $0.name == name }?.value ?? []
        var kept: [Bytes] = []
        var start = 0
        for end in 0...given.count where end == given.count || given[end] == UInt8(ascii: ":") {
            let path = Path.normalized(Bytes(given[start..<end]))
            let isAbsolute = start < end && given[start] == Path.slash
            if isAbsolute, views.contains(where: { Path.contains($0, path) }) { kept.append(path) }
            start = end + 1
        }
        return kept.isEmpty ? standardPath.map { Bytes($0) } : kept
    }
}
