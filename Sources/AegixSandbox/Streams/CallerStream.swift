// Side effects: writes to the caller's descriptors without ever changing their flags.

import AegixSystem
import CAegix
import Glibc

/// The caller's stdout or stderr. Writes never block the loop where the kernel lets one avoid it: a pipe or terminal is
/// written through a description of our own, a socket with MSG_DONTWAIT; a file doesn't block.
final class CallerStream {
    private let raw: Int32
    private var own: Descriptor
    private let kind: Kind
    /// The reader went away: EPIPE, EIO, EBADF. What the command writes from now on is refused.
    private(set) var isClosed: Bool

    private enum Kind { case none, plain, own, shared, socket }

    /// Shared pipes are written in pieces that a writable pipe always takes.
    private static let atomic = 4096

    init(_ descriptor: Int32) {
        raw = descriptor
        var facts = stat()
        if fstat(descriptor, &facts) < 0 {
            own = .none
            kind = .none
            isClosed = true
            return
        }
        isClosed = false
        switch facts.st_mode & S_IFMT {
        case S_IFSOCK:
            own = .none
            kind = .socket
        case S_IFIFO, S_IFCHR:
            if isatty(descriptor) == 0, facts.st_mode & S_IFMT == S_IFCHR {
                own = .none
                kind = .plain
                return
            }
            let again = aegix_reopen(descriptor, O_WRONLY | O_NONBLOCK)
            own = Descriptor(owning: again)
            kind = again >= 0 ? .own : .shared
        default:
            own = .none
            kind = .plain
        }
    }

    /// A stream that nobody reads: what comes is captured only.
    init() {
        raw = -1
        own = .none
        kind = .none
        isClosed = false
    }

    /// To be polled for POLLOUT while something waits.
    var pollable: Int32 { own.isOpen ? own.raw : raw }

    /// How many bytes went; 0 when it would block or is closed.
    func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress, !isClosed else { return 0 }
        let count: Int
        switch kind {
        case .none: return bytes.count
        case .plain: count = Glibc.write(raw, base, bytes.count)
        case .own: count = Glibc.write(own.raw, base, bytes.count)
        case .socket: count = aegix_send_now(raw, base, bytes.count)
        case .shared:
            var ready = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
            if poll(&ready, 1, 0) != 1 { return 0 }
            count = Glibc.write(raw, base, min(bytes.count, CallerStream.atomic))
        }
        if count >= 0 { return count }
        let code = errno
        if code != EAGAIN && code != EINTR { isClosed = true }
        return 0
    }

    /// What became of bytes that the kernel was to move by itself.
    enum Passage {
        case moved(Int)
        case full
        /// Not to this kind of stream: they have to be read and written.
        case impossible
    }

    /// Moves what waits in `pipe` without a copy in our memory. Only called while something waits there.
    func pass(from pipe: Int32, most: Int) -> Passage {
        let target: Int32
        switch kind {
        case .socket: return .impossible  // splice has no way not to block on one
        case .plain, .shared: target = raw
        case .own: target = own.raw
        case .none:
            if isClosed { return .moved(0) }
            if !own.isOpen { own = Descriptor(owning: open("/dev/null", O_WRONLY | O_CLOEXEC)) }
            target = own.raw
        }
        let count = aegix_splice(pipe, target, most)
        if count >= 0 { return .moved(count) }
        switch errno {
        case EAGAIN, EINTR: return .full
        case EINVAL: return .impossible  // a terminal, or a file opened for appending
        default:
            isClosed = true
            return .moved(0)
        }
    }
}
