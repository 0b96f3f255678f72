// Side effects: none. The error that every wrapper of a system call throws.

import CAegix
import Glibc

/// A failed system call: which, on what, and the errno it left.
public struct SystemError: Error, Equatable {
    public let call: String
    public let subject: Bytes
    public let errno: Int32

    public init(_ call: String, _ subject: Bytes = [], errno code: Int32) {
        self.call = call
        self.subject = subject
        self.errno = code
    }

    /// The current errno, read before anything else can run.
    public static func last(_ call: String, _ subject: Bytes = []) -> SystemError {
        let code = Glibc.errno
        return SystemError(call, subject, errno: code)
    }

    /// `ENOENT` and its like, stable and searchable.
    public var name: String { Errno.name(errno) }

    /// The plain words for the errno.
    public var reason: String { Errno.words(errno) }
}

extension SystemError: CustomStringConvertible {
    public var description: String {
        subject.isEmpty ? "\(call): \(reason)" : "\(call) \(shown): \(reason)"
    }

    /// A path can be as long as a command likes; its two ends tell which it is.
    private var shown: String {
        if subject.count <= 512 { return subject.shown }
        return Bytes(subject.prefix(240)).shown + "…" + Bytes(subject.suffix(240)).shown
    }
}

/// Names and words of errno values.
public enum Errno {
    public static func name(_ code: Int32) -> String {
        guard let pointer = aegix_errno_name(code) else { return "E\(code)" }
        return String(cString: pointer)
    }

    public static func words(_ code: Int32) -> String {
        guard let pointer = aegix_errno_words(code) else { return "error \(code)" }
        return String(cString: pointer).lowercasedFirst
    }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
