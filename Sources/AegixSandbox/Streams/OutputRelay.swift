// Side effects: reads what the command writes, once, and hands that copy to the log, the digest and the caller.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// One captured stream. What the caller sees, what the log holds and what is digested come from the same copy in our
/// memory, so nothing can show two readers two texts. Secrets are taken out of that copy first. Where there are none, once the log holds all that it may, the caller is the only reader
/// left, and the kernel moves the rest to it by itself.
final class OutputRelay {
    private var source: Descriptor
    private let sink: CallerStream
    /// Set before the command may run.
    var log: Int32 = -1
    private let limit: UInt64
    private let headLimit: Int
    private var buffer: UnsafeMutableRawBufferPointer
    private var waiting = 0..<0
    private var isGrown = false
    /// nil: the run has no secrets.
    private let redaction: RedactionStream?
    /// The caller gets what was read; only the log doesn't hold the secrets.
    private let isRaw: Bool
    /// What redaction let through last: then `waiting` lies in it.
    private var cleaned = Bytes()
    private var heldUntil: UInt64?
    /// Nobody but the caller reads what comes, and its stream takes pages.
    private var passes: Bool { summary.captured >= limit && !summary.terminal && !mustCopy && redaction == nil }
    private var mustCopy = false
    /// The caller's stream is full, and what waits for it still lies in the command's pipe.
    private var isHeld = false
    private let digest = LogDigest()
    /// How much there was to capture.
    private var seen: UInt64 = 0
    private(set) var summary = StreamSummary()
    /// The log couldn't be written: the record is incomplete.
    private(set) var logError: SystemError?

    private static let chunk = 1 << 18
    /// More than any pipe holds.
    private static let most = 1 << 20
    private static let usualPipe = 1 << 16
    /// A prompt that ends like a secret begins is shown so late.
    private static let patience: UInt64 = 50_000_000

    /// - headLimit: how many captured bytes the record carries itself.
    /// - raw: the caller gets the secrets, too.
    init(
        source: consuming Descriptor, sink: CallerStream, limit: UInt64?, headLimit: Int, redactor: Redactor? = nil,
        raw: Bool = false
    ) {
        self.source = consume source
        redaction = redactor.map { RedactionStream($0) }
        isRaw = raw
        self.sink = sink
        self.limit = limit ?? .max
        self.headLimit = headLimit
        buffer = .allocate(byteCount: 0, alignment: 16)
    }

    deinit { buffer.deallocate() }

    var isOpen: Bool { source.isOpen }
    /// When what is held back is let out; not before the caller took what came earlier.
    var releaseAt: UInt64? { waiting.isEmpty ? heldUntil : nil }
    var isWaiting: Bool { !waiting.isEmpty || isHeld }
    var isOverLimit: Bool { summary.bytes > limit }
    var sinkIsClosed: Bool { sink.isClosed }
    var sinkDescriptor: Int32 { sink.pollable }

    /// -1 while what was read still waits for the caller: the pipe fills, and the command waits as it would natively.
    var pollable: Int32 { isWaiting ? -1 : source.raw }

    /// From the sandbox's terminal instead of a pipe.
    func take(terminal: consuming Descriptor) {
        source = consume terminal
        summary.terminal = true
    }

    /// One read. False at the end of the stream, which closes it.
    func receive() -> Bool {
        guard source.isOpen else { return false }
        if passes { return pass() }
        if buffer.count == 0 {
            buffer.deallocate()
            buffer = .allocate(byteCount: OutputRelay.chunk, alignment: 4096)
        }
        let count = read(source.raw, buffer.baseAddress, buffer.count)
        if count < 0 {
            let code = errno
            if code == EAGAIN || code == EINTR { return true }
        }
        if count <= 0 {  // the end; EIO is a terminal's
            source = .none
            flush()
            deliver()
            return false
        }
        if count >= OutputRelay.usualPipe, !isGrown {
            // The command writes faster than we read: fewer, larger pieces from here on.
            isGrown = true
            aegix_grow_pipe(source.raw, Int32(OutputRelay.chunk))
        }
        take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        deliver()
        return true
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        summary.bytes += UInt64(bytes.count)
        guard let redaction else {
            capture(bytes)
            waiting = 0..<bytes.count
            return
        }
        cleaned.removeAll(keepingCapacity: true)
        redaction.feed(bytes, into: &cleaned)
        captureCleaned()
        if isRaw { waiting = 0..<bytes.count }
        heldUntil = !isRaw && redaction.canRelease ? Clock.monotonic() + OutputRelay.patience : nil
    }

    private func captureCleaned() {
        cleaned.withUnsafeBytes { capture($0) }
        if !isRaw { waiting = 0..<cleaned.count }
    }

    /// Somebody may be waiting for what is held.
    func release() {
        heldUntil = nil
        cleaned.removeAll(keepingCapacity: true)
        redaction?.release(into: &cleaned)
        captureCleaned()
        deliver()
    }

    /// What is held is no secret: nothing follows.
    private func flush() {
        guard let redaction else { return }
        heldUntil = nil
        cleaned.removeAll(keepingCapacity: true)
        redaction.finish(into: &cleaned)
        captureCleaned()
    }

    /// As `receive`, without a look at the bytes.
    private func pass() -> Bool {
        isHeld = false
        switch sink.pass(from: source.raw, most: OutputRelay.most) {
        case .moved(let count):
            summary.bytes += UInt64(count)
            if count == 0 { source = .none }  // the end, or the caller's: the command's next write gets SIGPIPE
            return count > 0
        case .full:
            var left: Int32 = 0
            isHeld = aegix_unread_bytes(source.raw, &left) == 0 && left > 0
            return true
        case .impossible:
            mustCopy = true
            return receive()
        }
    }

    /// Gives the caller what waits, as much as goes.
    func deliver() {
        if isHeld { _ = pass() }
        while !waiting.isEmpty {
            let count = writeWaiting()
            if sink.isClosed {
                // As in a pipeline: the command's next write gets SIGPIPE.
                waiting = 0..<0
                source = .none
                return
            }
            if count == 0 { return }
            waiting = waiting.lowerBound + count..<waiting.upperBound
        }
    }

    private func writeWaiting() -> Int {
        if redaction == nil || isRaw { return sink.write(UnsafeRawBufferPointer(rebasing: buffer[waiting])) }
        return cleaned.withUnsafeBytes { sink.write(UnsafeRawBufferPointer(rebasing: $0[waiting])) }
    }

    /// Stops waiting for a caller that doesn't read, once the run's time is over.
    func abandon() {
        waiting = 0..<0
        isHeld = false
        source = .none
    }

    private func capture(_ bytes: UnsafeRawBufferPointer) {
        let room = limit > seen ? limit - seen : 0
        seen += UInt64(bytes.count)
        let kept = UnsafeRawBufferPointer(rebasing: bytes[..<Int(min(room, UInt64(bytes.count)))])
        if kept.isEmpty || logError != nil { return }
        var done = 0
        while done < kept.count {
            let count = write(log, kept.baseAddress?.advanced(by: done), kept.count - done)
            if count < 0 {
                if errno == EINTR { continue }
                logError = SystemError.last("write")
                break
            }
            done += count
        }
        // Digest and count are of what the log holds.
        let logged = UnsafeRawBufferPointer(rebasing: kept[..<done])
        digest.add(logged, to: log)
        summary.captured += UInt64(done)
        let head = headLimit - summary.head.count
        if head > 0 { summary.head += logged.prefix(head) }
    }

    func finish() -> StreamSummary {
        // A stream that was given up had no end of its own.
        flush()
        waiting = 0..<0
        if let redaction {
            summary.redacted = redaction.count
            summary.redactedBytes = seen
        }
        do throws(SystemError) {
            summary.digest = try digest.finish()
        } catch {
            logError = logError ?? error
        }
        return summary
    }
}
