// Pure data. A question and its answer, as the record has it.

import AegixSystem

/// What somebody was asked, about an exec or a name, and what became of it.
public struct Approval: Equatable, Sendable {
    /// `tty`, `command`, `deny`
    public var via: String
    /// Who answered, as far as is known.
    public var by: String?
    public var answer: Answer
    /// Why it is no yes, or what the answer said.
    public var message: String?
    /// Wall-clock nanoseconds since 1970.
    public var askedAt: UInt64
    public var duration: UInt64
    /// Of an exec.
    public var cwd: Bytes?

    public enum Answer: String, Sendable {
        case once, run, deny
        /// For this run, as answered before.
        case remembered
    }

    public init(
        via: String, by: String?, answer: Answer, message: String?, askedAt: UInt64, duration: UInt64, cwd: Bytes?
    ) {
        self.via = via
        self.by = by
        self.answer = answer
        self.message = message
        self.askedAt = askedAt
        self.duration = duration
        self.cwd = cwd
    }
}
