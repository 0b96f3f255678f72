// Side effects: writes what the command read to a file of the run's, and reads it back.

import AegixSystem
import CAegix
import Glibc

/// What a command took of its stdin.
public struct InputSummary: Equatable, Sendable {
    /// All that it took.
    public var bytes: UInt64 = 0
    /// What of it is in the log.
    public var captured: UInt64 = 0
    /// SHA-256 of the log; nil: there is none.
    public var digest: String?
    /// Why there is none.
    public var reason: Reason?
    public var truncated: Bool { reason == nil && captured < bytes }

    public enum Reason: String, CaseIterable, Sendable {
        /// A secret of the run was in it: without it a replay would be another run, so nothing is kept.
        case secret
        /// What is typed into a terminal isn't kept.
        case terminal
    }

    public init(reason: Reason? = nil) { self.reason = reason }
}

/// The bytes of a stdin, as they were: a replay needs them all, so nothing is redacted. One in which a secret occurs is dropped at once.
final class InputLog {
    private let file: Int32
    private let limit: UInt64
    private var search: SecretSearch?
    private var bytes: UInt64 = 0
    private var written: UInt64 = 0
    private(set) var error: SystemError?

    /// - file: new and empty; stays the caller's.
    init(_ file: Int32, limit: UInt64?, secrets: Redactor?) {
        self.file = file
        self.limit = limit ?? .max
        search = secrets.map { SecretSearch($0) }
    }

    private var isDropped: Bool { search?.found == true }

    func add(_ piece: ArraySlice<UInt8>) {
        bytes += UInt64(piece.count)
        if isDropped || error != nil { return }
        let kept = piece.prefix(Int(clamping: limit - written))
        kept.withUnsafeBytes { search?.feed($0) }
        if isDropped { return cut(to: 0) }
        var done = 0
        while done < kept.count {
            let count = kept.withUnsafeBytes {
                pwrite(file, $0.baseAddress?.advanced(by: done), kept.count - done, off_t(clamping: written))
            }
            if count < 0 {
                if errno == EINTR { continue }
                error = SystemError.last("write")
                return
            }
            done += count
            written += UInt64(count)
        }
    }

    /// The last bytes weren't read after all.
    func giveBack(_ count: UInt64) {
        bytes -= min(count, bytes)
        if written > bytes { cut(to: bytes) }
    }

    private func cut(to size: UInt64) {
        written = size
        if ftruncate(file, off_t(clamping: size)) < 0 { error = SystemError.last("ftruncate") }
    }

    func finish() -> InputSummary {
        var summary = InputSummary(reason: isDropped ? .secret : nil)
        summary.bytes = bytes
        if isDropped { return summary }
        do throws(SystemError) {
            let again = aegix_duplicate(file)
            if again < 0 { throw SystemError.last("fcntl") }
            let content = try Descriptor(owning: again).digest()
            (summary.captured, summary.digest) = (content.bytes, content.digest)
        } catch {
            self.error = error
        }
        return summary
    }
}
