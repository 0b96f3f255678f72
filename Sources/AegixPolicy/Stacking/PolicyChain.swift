// Pure but for the loader that is handed in. A policy and what it extends, the first parent first.

import AegixSystem

/// A text of policy and where it came from.
public struct PolicySource: Sendable {
    /// As errors and the record name it.
    public var name: String
    public var bytes: Bytes
    /// Ours: what it says gives way to the machine's ceiling instead of being wrong.
    public var isPreset: Bool
    /// Whether errors may quote its values.
    public var quotes: Bool

    public init(name: String, bytes: Bytes, isPreset: Bool = false, quotes: Bool = true) {
        self.name = name
        self.bytes = bytes
        self.isPreset = isPreset
        self.quotes = quotes
    }

    public static func preset(_ preset: Preset) -> PolicySource {
        PolicySource(name: preset.name, bytes: Bytes(preset.text), isPreset: true)
    }
}

/// A policy that ships in the binary.
public struct Preset: Sendable {
    /// Where a preset writes a key; nil: it doesn't.
    public static func place(of key: PolicyKey, in name: String) -> String? {
        named(name)?.draft?.place(of: key)
    }

    public let name: String
    public let text: String

    /// What it says; nil can't be, for each is read by a test.
    var draft: PolicyDraft? {
        do { return try PolicyReader.read(Bytes(text), source: name) } catch { return nil }
    }

    public static var names: [String] { Presets.all.map(\.name) }

    public static func named(_ name: String) -> Preset? { Presets.all.first { $0.name == name } }
}

/// One source with what it extends.
public struct PolicyChain: Sendable {
    public var links: [(source: PolicySource, draft: PolicyDraft)]

    static let longest = 8

    /// Reads a source and its parents. `parent` finds what an `extends` names, from the source that names it.
    public static func load(
        _ first: PolicySource, parent: (String, PolicySource, Position?) throws(Failure) -> PolicySource
    ) throws(Failure) -> PolicyChain {
        var links: [(source: PolicySource, draft: PolicyDraft)] = []
        var source = first
        while true {
            let draft: PolicyDraft
            do { draft = try PolicyReader.read(source.bytes, source: source.name, quotes: source.quotes) } catch {
                throw error.failure
            }
            links.insert((source, draft), at: 0)
            guard let extends = draft.extends else { return PolicyChain(links: links) }
            func refuse(_ message: String) -> Failure {
                PolicyErrors(source.name, draft.extendsPosition, message).failure
            }
            if links.count == longest { throw refuse("more than \(longest) policies extend one another") }
            let next = try parent(extends, source, draft.extendsPosition)
            if links.contains(where: { $0.source.name == next.name && $0.source.isPreset == next.isPreset }) {
                throw refuse("extends = \(PolicyText.quote(extends)) comes back to a policy that extends this one")
            }
            source = next
        }
    }

    /// Keys that a source other than a preset wrote: those the user can be told to change.
    var written: Set<PolicyKey> {
        links.filter { !$0.source.isPreset }.reduce(into: []) { $0.formUnion($1.draft.settings.keys) }
    }

    var allKeys: Set<PolicyKey> { links.reduce(into: []) { $0.formUnion($1.draft.settings.keys) } }
}
