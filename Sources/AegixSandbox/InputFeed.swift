// Side effects: reads the caller's stdin and feeds the command, without taking what the command doesn't read.

import AegixSystem
import CAegix
import Glibc

/// The command's stdin. Nothing of the caller's is inherited: a pipe is opened again (a description of its own, and
/// nothing is read ahead of the command); a file and a socket are relayed, and a file's offset is set back to what was
/// consumed; the rest is /dev/null.
final class InputFeed {
    /// What the command gets as its descriptor 0; closed in the supervisor once the child has it.
    private var theirs = Descriptor.none
    /// The write end of a relay, and a read end of our own to count what was left unread.
    private var ours = Descriptor.none
    private var reader = Descriptor.none
    private let source: Int32
    private let kind: Kind
    private var start: off_t = 0
    private var sent: off_t = 0
    private var buffer = Bytes()
    private var waiting: ArraySlice<UInt8> = []
    private var ended = false
    /// For the record: what stdin was.
    let mechanism: String

    private enum Kind { case none, pipe, file, stream }

    init(_ descriptor: Int32) throws(Failure) {
        source = descriptor
        var facts = stat()
        let mode = fstat(descriptor, &facts) < 0 ? 0 : facts.st_mode & S_IFMT
        switch mode {
        case S_IFIFO:
            // Without O_NONBLOCK an open would wait for a writer that may be gone.
            let again = aegix_reopen(descriptor, O_RDONLY | O_NONBLOCK)
            if again >= 0 {
                let flags = aegix_clear_nonblocking(again)
                theirs = Descriptor(owning: again)
                if flags < 0 { throw Failure("stdin.reopen", "can't reopen stdin", SystemError.last("fcntl")) }
                kind = .pipe
                mechanism = "pipe, reopened"
            } else {
                kind = .stream
                mechanism = "pipe of another user's, relayed"
            }
        case S_IFREG:
            start = lseek(descriptor, 0, SEEK_CUR)
            kind = .file
            mechanism = "file, relayed"
        case S_IFSOCK:
            kind = .stream
            mechanism = "socket, relayed"
        case S_IFDIR, S_IFCHR, S_IFBLK:
            kind = .none
            mechanism = mode == S_IFCHR && isNull(facts) ? "/dev/null" : "directory or device, replaced by /dev/null"
        default:
            kind = .none
            mechanism = "closed, replaced by /dev/null"
        }
        if kind == .file || kind == .stream {
            var ends: [Int32] = [-1, -1]
            if aegix_pipe(&ends) < 0 { throw Failure("stdin.pipe", "can't make a pipe", SystemError.last("pipe2")) }
            theirs = Descriptor(owning: ends[0])
            ours = Descriptor(owning: ends[1])
            let again = aegix_reopen(ends[0], O_RDONLY | O_NONBLOCK)
            reader = Descriptor(owning: again)
            if aegix_set_nonblocking(ends[1]) < 0 {
                throw Failure("stdin.pipe", "can't prepare a pipe", SystemError.last("fcntl"))
            }
        }
    }

    /// The caller's terminal never enters: keys go to the sandbox's own, or nothing does.
    init(terminal typed: Bool) {
        source = -1
        kind = .none
        mechanism = typed ? "terminal of the sandbox's own" : "terminal that isn't typed on, replaced by /dev/null"
    }

    var stream: StandardStream {
        theirs.isOpen ? .descriptor(theirs.raw) : .null
    }

    /// The child has its copy.
    func closeTheirs() { theirs = .none }

    /// To be polled for POLLOUT: the pipe to the command.
    var writable: Int32 { (kind == .file && !ended) || !waiting.isEmpty ? ours.raw : -1 }
    /// To be polled for POLLIN: the caller's stream.
    var readable: Int32 { kind == .stream && !ended && waiting.isEmpty ? source : -1 }

    /// Moves what can be moved now.
    func pump() {
        guard ours.isOpen else { return }
        if waiting.isEmpty && !ended { fill() }
        while !waiting.isEmpty {
            let count = waiting.withUnsafeBytes { Glibc.write(ours.raw, $0.baseAddress, $0.count) }
            if count < 0 {
                let code = errno
                if code == EINTR { continue }
                if code == EAGAIN { return }
                ended = true  // nobody reads any more
                waiting = []
                break
            }
            sent += off_t(count)
            waiting = waiting.dropFirst(count)
        }
        if ended { ours = .none }
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

    /// Sets the caller's offset to what the command really read: bytes still in the pipe weren't.
    func finish() {
        guard kind == .file, start >= 0 else { return }
        var left: Int32 = 0
        if reader.isOpen, aegix_unread_bytes(reader.raw, &left) < 0 { left = 0 }
        if lseek(source, start + sent - off_t(left), SEEK_SET) < 0 { return }
    }
}

private func isNull(_ facts: stat) -> Bool { facts.st_rdev == aegix_device(1, 3) }
