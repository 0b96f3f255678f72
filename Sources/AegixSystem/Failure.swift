// Pure. What every layer throws towards the user: one sentence that says what failed, on what, and the remedy.

/// A failure that reaches the user. Code is decided on, the message is read.
public struct Failure: Error, Equatable, Sendable {
    /// Stable and public, `policy.invalid`, `workspace.missing`: documented in docs/exit-codes.md.
    public var code: String
    /// "can't mount /data read-only: no such directory (policy.toml:14:9). Create it, or …"
    public var message: String
    /// Further sentences of the same weight, such as all the errors of a policy; the message is the first.
    public var details: [Detail]
    public var errno: Int32?
    /// What aegix exits with.
    public var exitCode: Int32

    public init(
        _ code: String, _ message: String, details: [Detail] = [], errno: Int32? = nil, exitCode: Int32 = 125
    ) {
        self.code = code
        self.message = message
        self.details = details
        self.errno = errno
        self.exitCode = exitCode
    }

    public struct Detail: Equatable, Sendable {
        public var message: String
        public var file: String?
        public var line: Int?
        public var column: Int?

        public init(message: String, file: String? = nil, line: Int? = nil, column: Int? = nil) {
            self.message = message
            self.file = file
            self.line = line
            self.column = column
        }
    }
}

extension Failure {
    /// A failed call, in words: `can't create /x: no space left on device`.
    public init(_ code: String, _ what: String, _ cause: SystemError, exitCode: Int32 = 125) {
        self.init(code, "\(what): \(cause.reason)", errno: cause.errno, exitCode: exitCode)
    }
}
