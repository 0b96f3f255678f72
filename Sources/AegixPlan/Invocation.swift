// Pure data. What the caller asked to run.

import AegixSystem

public struct Invocation: Equatable, Sendable {
    public var form: Form
    /// `--env`: set over what the policy sets.
    public var label: String { form.name }

    public enum Form: Equatable, Sendable {
        case shell(Bytes)
        case script(Script, arguments: [Bytes])
        case python(Bytes, arguments: [Bytes])
        case program([Bytes])

        public var name: String {
            switch self {
            case .shell: "cmd"
            case .script: "script"
            case .python: "python"
            case .program: "program"
            }
        }
    }

    public struct Script: Equatable, Sendable {
        /// Canonical.
        public var path: Bytes
        public var content: Bytes

        public init(path: Bytes, content: Bytes) {
            self.path = path
            self.content = content
        }
    }

    public init(_ form: Form) { self.form = form }
}
