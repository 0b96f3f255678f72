// Pure. A path or glob of the policy, taken apart once.

import AegixSystem

/// A path of `[files]`: absolute, under `~/`, or relative to the workspace; a component may hold wildcards, and `**` as
/// a component stands for any number of directories. A literal path stands for everything beneath it too.
public struct PathPattern: Equatable, Hashable, Sendable {
    public enum Anchor: Sendable {
        case root, home, workspace
    }

    public enum Component: Equatable, Hashable, Sendable {
        case literal(Bytes)
        case wildcard(Bytes)
        case anyDepth

        /// Whether the component stands for this one name. `**` stands for no single name.
        public func matches(_ name: Bytes) -> Bool {
            switch self {
            case .literal(let literal): literal == name
            case .wildcard(let pattern): Wildcard.matches(pattern, name)
            case .anyDepth: false
            }
        }
    }

    public var anchor: Anchor
    public var components: [Component]

    /// Why a text isn't a pattern.
    public struct Defect: Error, Equatable, Sendable {
        public let reason: String
    }

    public init(_ text: Bytes) throws(Defect) {
        var parts = text.split(separator: Path.slash).map(Array.init)
        if text.isEmpty { throw Defect(reason: "is empty") }
        if text.count > 4095 { throw Defect(reason: "is longer than any path can be (4095 bytes)") }
        if text.contains(0) { throw Defect(reason: "holds a NUL, which no path can") }
        if Path.isAbsolute(text) {
            anchor = .root
        } else if parts.first == [UInt8(ascii: "~")] {
            anchor = .home
            parts.removeFirst()
        } else if parts.first?.first == UInt8(ascii: "~") {
            throw Defect(reason: "names another user's home; write the path out, or `\\~` for the character")
        } else {
            anchor = .workspace
        }
        components = []
        for part in parts where part != [UInt8(ascii: ".")] {
            if part == Bytes("..") {
                throw Defect(reason: "has `..` in it, which a symlink can lead anywhere; write the path out")
            }
            if let reason = Wildcard.defect(part) { throw Defect(reason: reason) }
            if part == Bytes("**") {
                if components.last != .anyDepth { components.append(.anyDepth) }
            } else if Wildcard.escapesAll(part) {
                components.append(.literal(Wildcard.unescaped(part)))
            } else if Self.hasDoubleStar(part) {
                throw Defect(
                    reason:
                        "has `**` as a part of a name, where it means no more than `*`; it stands alone between slashes"
                )
            } else {
                components.append(.wildcard(part))
            }
        }
    }

    /// A path taken as it is, whatever characters it holds: what the caller's `--read` names.
    public init(literal path: Bytes) {
        anchor = Path.isAbsolute(path) ? .root : .workspace
        components = Path.components(path).filter { $0 != [UInt8(ascii: ".")] }.map { .literal($0) }
    }

    /// As it is written in a policy; equal patterns have equal texts.
    public var text: Bytes {
        let names = components.map { component -> Bytes in
            switch component {
            case .literal(let name):
                let escaped = Wildcard.escaped(name)
                return escaped.first == UInt8(ascii: "~") ? [UInt8(ascii: "\\")] + escaped : escaped
            case .wildcard(let pattern): return pattern
            case .anyDepth: return Bytes("**")
            }
        }
        let body = Array(names.joined(separator: [Path.slash]))
        switch anchor {
        case .root: return [Path.slash] + body
        case .home: return body.isEmpty ? Bytes("~") : Bytes("~/") + body
        case .workspace: return body.isEmpty ? Bytes(".") : body
        }
    }

    public var isLiteral: Bool { literalPrefix.count == components.count }

    /// The names before the first wildcard.
    public var literalPrefix: [Bytes] {
        var names: [Bytes] = []
        for component in components {
            guard case .literal(let name) = component else { break }
            names.append(name)
        }
        return names
    }

    /// The path of a literal pattern, once it is absolute.
    public var literalPath: Bytes? {
        isLiteral && anchor == .root ? [Path.slash] + literalPrefix.joined(separator: [Path.slash]) : nil
    }

    /// The same pattern from the root; nil when what it is anchored to isn't known.
    public func absolute(home: Bytes?, workspace: Bytes?) -> PathPattern? {
        let base: Bytes?
        switch anchor {
        case .root: return self
        case .home: base = home
        case .workspace: base = workspace
        }
        guard let base, Path.isAbsolute(base) else { return nil }
        var whole = PathPattern(literal: Path.normalized(base))
        whole.components += components
        return whole
    }

    /// Whether an absolute, normalized path is what the pattern names itself (not what lies beneath).
    public func matches(_ path: Bytes) -> Bool {
        matches(names: Path.components(path))
    }

    /// The same of a path that has been taken apart.
    public func matches(names: [Bytes]) -> Bool { Self.matches(components[...], names[...]) }

    /// Whether it can name something that lies beneath a path, as far as the path tells.
    public func reaches(beneath names: [Bytes]) -> Bool {
        for (index, name) in names.enumerated() {
            if index >= components.count { return false }
            if components[index] == .anyDepth { return true }
            if !components[index].matches(name) { return false }
        }
        return components.count > names.count
    }

    private static func matches(_ pattern: ArraySlice<Component>, _ names: ArraySlice<Bytes>) -> Bool {
        // As in Wildcard: only the last `**` has to be gone back to.
        var at = pattern.startIndex
        var place = names.startIndex
        var star: (pattern: Int, name: Int)?
        while place < names.endIndex {
            if at < pattern.endIndex, pattern[at] == .anyDepth {
                star = (at, place)
                at += 1
            } else if at < pattern.endIndex, pattern[at].matches(names[place]) {
                at += 1
                place += 1
            } else if let back = star {
                star = (back.pattern, back.name + 1)
                at = back.pattern + 1
                place = back.name + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == .anyDepth }
    }

    private static func hasDoubleStar(_ part: Bytes) -> Bool {
        zip(part, part.dropFirst()).contains { $0 == UInt8(ascii: "*") && $1 == UInt8(ascii: "*") }
    }
}
