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
    }
}

enum EnvironmentPlan {
    static let standardPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    static func make(
        policy: Policy.Environment, facts: HostFacts, home: Bytes, user: Bytes, path: [Bytes]
    ) -> [PlannedVariable] {
        var variables: [PlannedVariable] = [
            .init(name: Bytes("PATH"), value: joined(path), source: .base),
            .init(name: Bytes("HOME"), value: home, source: .base),
            .init(name: Bytes("USER"), value: user, source: .base),
            .init(name: Bytes("LOGNAME"), value: user, source: .base),
            .init(name: Bytes("TMPDIR"), value: Bytes("/tmp"), source: .base),
        ]
        func put(_ variable: PlannedVariable) {
            if let index = variables.firstIndex(where: { $0.name == variable.name }) {
                variables[index] = variable
            } else {
                variables.append(variable)
            }
        }
        for variable in facts.environment where passes(variable.name, policy.pass) {
            put(.init(name: variable.name, value: variable.value, source: .passed))
        }
        for (name, value) in policy.set.sorted(by: { $0.key < $1.key }) {
            put(.init(name: Bytes(name), value: value, source: .set))
        }
        return variables
    }

    private static func joined(_ entries: [Bytes]) -> Bytes {
        var out = Bytes()
        for entry in entries {
            if !out.isEmpty { out.append(UInt8(ascii: ":")) }
            out += entry
        }
        return out
    }

    private static func passes(_ name: Bytes, _ patterns: [String]) -> Bool {
        patterns.contains { pattern in
            let bytes = Bytes(pattern)
            return bytes.last == UInt8(ascii: "*") ? name.starts(with: bytes.dropLast()) : name == bytes
        }
    }

    /// The caller's entries that are in view, else the usual ones. Relative entries would mean another place inside.
    static func path(facts: HostFacts, views: [Bytes]) -> [Bytes] {
        let given = facts.environment.first { $0.name == Bytes("PATH") }?.value ?? []
        var kept: [Bytes] = []
        for entry in given.split(separator: UInt8(ascii: ":")) where entry.first == Path.slash {
            let path = Path.normalized(Bytes(entry))
            if views.contains(where: { Path.contains($0, path) }) { kept.append(path) }
        }
        return kept.isEmpty ? standardPath.map { Bytes($0) } : kept
    }
}
