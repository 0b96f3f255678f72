// Side effects: reads the caller's stdin and feeds the command, without taking what the command doesn't read.

import AegixSystem
import CAegix
import Glibc

/// The command's stdin. Nothing of the caller's is inherited, and nothing is taken that the command doesn't read: a file is
/// relayed and its offset set back to what was consumed; of a pipe, what waits in it is shown by tee(2) and taken out only
/// when the command has read it. A socket is relayed; the rest is /dev/null.
///
/// The caller's pipe itself would let the command open it for writing, by its own uid, and put words into the caller's
/// mouth.
final class InputFeed {
    /// What the command gets as its descriptor 0; closed in the supervisor once the child has it.
    private var theirs = Descriptor.none
    /// The write end of the relay, and a read end of our own to count what was left unread.
    private var ours = Descriptor.none
    private var reader = Descriptor.none
    /// The caller's: for a pipe a description of our own, so that its flags stay the caller's.
    private let source: Int32
    private let reopened: Descriptor
    private let kind: Kind
    private var start: off_t = 0
    private var sent: off_t = 0
    /// Bytes of the caller's pipe that the command was shown and that are still in it.
    private var shown = 0
    private var buffer = Bytes()
    private var waiting: ArraySlice<UInt8> = []
    private var ended = false
    /// For the record: what stdin was.
    let mechanism: String
    /// What the command took of it is kept there; nil: it isn't.
    var log: InputLog?
    /// It is a terminal, of which nothing is kept.
    private let isTerminal: Bool

    private enum Kind { case none, pipe, file, stream }

    init(_ descriptor: Int32) throws(Failure) {
        isTerminal = false
        var facts = stat()
        let mode = fstat(descriptor, &facts) < 0 ? 0 : facts.st_mode & S_IFMT
        switch mode {
        case S_IFIFO:
            // Without O_NONBLOCK an open would wait for a writer that may be gone.
            let again = aegix_reopen(descriptor, O_RDONLY | O_NONBLOCK)
            reopened = Descriptor(owning: again)
            source = again >= 0 ? again : descriptor
            kind = .pipe
            mechanism = "pipe, relayed as it is read"
        case S_IFREG where facts.st_blocks == 0 && facts.st_size == 0 && aegix_is_pseudo(descriptor) != 0:
            // A file of the kernel's, such as /proc/kmsg, whose reads may never return.
            source = -1
            reopened = .none
            kind = .none
            mechanism = "file of the kernel's, replaced by /dev/null"
        case S_IFREG:
            start = lseek(descriptor, 0, SEEK_CUR)
            source = descriptor
            reopened = .none
            kind = .file
            mechanism = "file, relayed"
        case S_IFSOCK:
            source = descriptor
            reopened = .none
            kind = .stream
            mechanism = "socket, relayed"
        default:
            let isNull = mode == S_IFCHR && facts.st_rdev == aegix_device(1, 3)
            let what = mode == 0 ? "closed" : "directory or device"
            source = -1
            reopened = .none
            kind = .none
            mechanism = isNull ? "/dev/null" : what + ", replaced by /dev/null"
        }
        if kind != .none { try connect() }
    }

    /// The caller's terminal never enters: keys go to the sandbox's own, or nothing does.
    init(terminal typed: Bool) {
        source = -1
        reopened = .none
        kind = .none
        isTerminal = true
        mechanism = typed ? "terminal of the sandbox's own" : "terminal that isn't typed on, replaced by /dev/null"
    }

    private func connect() throws(Failure) {
        var ends: [Int32] = [-1, -1]
        if aegix_pipe(&ends) < 0 { throw Failure("stdin.pipe", "can't make a pipe", SystemError.last("pipe2")) }
        theirs = Descriptor(owning: ends[0])
        ours = Descriptor(owning: ends[1])
        reader = Descriptor(owning: aegix_reopen(ends[0], O_RDONLY | O_NONBLOCK))
        // One slot: it is writable again exactly when the command has read everything.
        let isReady = kind != .pipe || aegix_shrink_pipe(ends[1]) >= 0
        if !isReady || !reader.isOpen || aegix_set_nonblocking(ends[1]) < 0 {
            throw Failure("stdin.pipe", "can't prepare a pipe", SystemError.last("fcntl"))
        }
    }

    var stream: StandardStream {
        theirs.isOpen ? .descriptor(theirs.raw) : .null
    }

    /// The child has its copy.
    func closeTheirs() { theirs = .none }

    /// To be polled for POLLOUT: the pipe to the command.
    var writable: Int32 { (kind == .file && !ended) || !waiting.isEmpty || shown > 0 ? ours.raw : -1 }
    /// To be polled for POLLIN: the caller's stream.
    var readable: Int32 { (kind == .stream || kind == .pipe) && !ended && waiting.isEmpty && shown == 0 ? source : -1 }

    /// Moves what can be moved now.
    func pump() {
        guard ours.isOpen else { return }
        if kind == .pipe { show() } else { relay() }
        if ended && waiting.isEmpty && shown == 0 { ours = .none }
    }

    private func show() {
        if shown > 0 {
            var left: Int32 = 0
            if aegix_unread_bytes(ours.raw, &left) < 0 || left > 0 { return }
            take(shown)
            shown = 0
        }
        let count = aegix_tee(source, ours.raw)
        if count > 0 { shown = count }
        if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { ended = true }
    }

    /// Out of the caller's pipe: the command has it.
    private func take(_ count: Int) {
        if buffer.count < count { buffer = Bytes(repeating: 0, count: max(count, 65536)) }
        var left = count
        while left > 0 {
            let taken = aegix_read_ready(source, &buffer, left)
            if taken < 0 && errno == EINTR { continue }
            if taken <= 0 { return }  // another reader of the caller's took it
            log?.add(buffer[..<taken])
            left -= taken
        }
    }

    private func relay() {
        if waiting.isEmpty && !ended { fill() }
        while !waiting.isEmpty {
            let count = waiting.withUnsafeBytes { Glibc.write(ours.raw, $0.baseAddress, $0.count) }
            if count < 0 {
                let code = errno
                if code == EINTR { continue }
                if code == EAGAIN { return }
                ended = true  // nobody reads any more
                waiting = []
                return
            }
            sent += off_t(count)
            log?.add(waiting.prefix(count))
            waiting = waiting.dropFirst(count)
        }
    }

    private func fill() {
        if buffer.isEmpty { buffer = Bytes(repeating: 0, count: 65536) }
        let count =
            kind == .file
            ? pread(source, &buffer, buffer.count, start + sent)
            : aegix_read_ready(source, &buffer, buffer.count)
        if count > 0 {
            waiting = buffer[..<count]
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            ended = true
        }
    }

    /// Leaves the caller's stdin where the command stopped reading: bytes still in the relay weren't read.
    func finish() {
        var left: Int32 = 0
        if !reader.isOpen || aegix_unread_bytes(reader.raw, &left) < 0 { return }
        switch kind {
        case .pipe: if shown > Int(left) { take(shown - Int(left)) }
        case .file:
            log?.giveBack(UInt64(left))
            if start >= 0 { lseek(source, start + max(0, sent - off_t(left)), SEEK_SET) }
        case .stream: log?.giveBack(UInt64(left))
        case .none: return
        }
    }

    /// After `finish`. nil: nothing was to be kept.
    func summary() -> InputSummary? {
        if isTerminal { return log == nil ? nil : InputSummary(reason: .terminal) }
        return log?.finish()
    }
}
