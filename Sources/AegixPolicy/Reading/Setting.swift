// Pure data. What a source wrote, key by key, before it is laid over anything.

import AegixSystem

/// A checked value and where it was written.
struct Setting: Equatable {
    enum Value: Equatable {
        case word(String)
        case words([String])
        case flag(Bool)
        /// nil is no limit.
        case amount(UInt64?)
        case paths([Policy.PathRule])
        case bindings([String: Bytes])
        case hosts([Policy.HostRule])
        case secrets([String: Policy.SecretSource])
        case rules([CommandRule])
    }

    var value: Value
    var position: Position
}

/// One source of policy: only what it wrote, so that a later layer can be told from its parent.
public struct PolicyDraft: Sendable {
    /// As it stands in errors: a path, or a preset's name.
    public var source: String
    public var name: String?
    public var extends: String?
    public var extendsPosition: Position?
    var settings: [PolicyKey: Setting] = [:]

    init(source: String) { self.source = source }

    /// `policy.toml:3:8`
    func place(of key: PolicyKey) -> String? {
        settings[key].map { "\(source):\($0.position.line):\($0.position.column)" }
    }
}

extension Setting: Sendable {}
extension Setting.Value: Sendable {}

/// One thing that is wrong with a policy.
public struct PolicyError: Error, Equatable, Sendable {
    public var file: String
    public var position: Position?
    public var message: String

    public init(file: String, position: Position?, message: String) {
        self.file = file
        self.position = position
        self.message = message
    }

    /// `policy.toml:3:1: unknown key …`
    public var description: String {
        guard let position else { return "\(file): \(message)" }
        return "\(file):\(position.line):\(position.column): \(message)"
    }

    var detail: Failure.Detail {
        Failure.Detail(message: message, file: file, line: position?.line, column: position?.column)
    }
}

/// All that is wrong, at once and in the order of the text.
public struct PolicyErrors: Error, Equatable, Sendable {
    public var list: [PolicyError]

    public init(_ list: [PolicyError]) { self.list = list }

    public init(_ file: String, _ position: Position? = nil, _ message: String) {
        list = [PolicyError(file: file, position: position, message: message)]
    }

    /// The first as the message, all as details.
    public var failure: Failure {
        let first = list.first?.description ?? "the policy is invalid"
        return Failure("policy.invalid", first, details: list.map(\.detail))
    }
}
