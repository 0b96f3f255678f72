// Side effects: pipes and the caller's terminal.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// The three streams of a run, and the caller's terminal where it is on one.
///
/// A stream that is a terminal outside is the sandbox's own terminal inside. What comes from it goes through one relay:
/// stdout's, or stderr's where only that is a terminal, or, where only stdin is, one that shows the keys' echo. Keys are
/// typed into it when stdin is a terminal.
final class RunStreams {
    let input: InputFeed
    let output: OutputRelay
    let errors: OutputRelay
    /// What the terminal shows when neither output is one: not the command's output, so not captured.
    let echo: OutputRelay
    /// What the child gets.
    let theirs: (StandardStream, StandardStream, StandardStream)
    let size: (rows: UInt16, columns: UInt16)
    /// The caller's terminal still translates newlines: the sandbox's must not.
    var rawOutput: Bool { !typed || screen != 1 }
    private let typed: Bool
    /// Which of the caller's descriptors shows the terminal.
    private let screen: Int32
    private var outputPipe: Descriptor
    private var errorPipe: Descriptor
    private var caller: OpaquePointer?
    /// The master side, for keys and window size.
    private var terminal = Descriptor.none
    private var keys: ArraySlice<UInt8> = []
    private var keysEnded = false

    init(io: RunIO, limits: Policy.Limits) throws(Failure) {
        let output = !io.captureOnly && isatty(1) == 1
        let errors = !io.captureOnly && isatty(2) == 1
        screen = output ? 1 : errors ? 2 : 0
        // In the background nothing is typed, and touching the terminal would stop us.
        typed = isatty(0) == 1 && aegix_terminal_foreground(0) != 0
        input = isatty(0) == 1 ? InputFeed(terminal: typed) : try InputFeed(0)
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        let isShown = typed || output || errors
        if isShown, aegix_terminal_size(screen, &rows, &columns) < 0 { (rows, columns) = (24, 80) }
        size = (rows, columns)

        let first = try PipeEnds(unless: output)
        let second = try PipeEnds(unless: errors)
        theirs = (typed ? .terminal : input.stream, first.stream, second.stream)
        self.output = OutputRelay(
            source: first.takeReading(), sink: io.captureOnly ? CallerStream() : CallerStream(1), limit: limits.output,
            headLimit: io.headLimit, redactor: io.redactor, raw: io.rawOutput)
        self.errors = OutputRelay(
            source: second.takeReading(), sink: io.captureOnly ? CallerStream() : CallerStream(2), limit: limits.output,
            headLimit: io.headLimit, redactor: io.redactor)
        echo = OutputRelay(
            source: .none, sink: typed && screen == 0 ? CallerStream(0) : CallerStream(), limit: 0, headLimit: 0,
            redactor: io.redactor)
        outputPipe = first.takeWriting()
        errorPipe = second.takeWriting()
        caller = nil
        if typed {
            caller = aegix_terminal_raw(0, screen == 1 ? 0 : 1)
            if caller == nil {
                throw Failure("launch.terminal", "can't set the terminal", SystemError.last("tcsetattr"))
            }
        }
    }

    deinit { if let caller { aegix_terminal_restore(caller) } }

    /// Ours would keep the command's reader or writer alive.
    func closeTheirs() {
        outputPipe = .none
        errorPipe = .none
        input.closeTheirs()
    }

    /// The sandbox's terminal arrived.
    func take(terminal master: consuming Descriptor) throws(Failure) {
        let again = aegix_duplicate(master.raw)
        if again < 0 || aegix_set_nonblocking(master.raw) < 0 {
            throw Failure("launch.terminal", "can't take the terminal", SystemError.last("fcntl"))
        }
        terminal = Descriptor(owning: again)
        switch screen {
        case 1: output.take(terminal: master)
        case 2: errors.take(terminal: master)
        default: echo.take(terminal: master)
        }
    }

    /// When what may be the beginning of a secret has been held long enough.
    var releaseAt: UInt64? {
        if output.releaseAt == nil, errors.releaseAt == nil, echo.releaseAt == nil { return nil }
        return [output.releaseAt, errors.releaseAt, echo.releaseAt].compactMap { $0 }.min()
    }

    func release(now: UInt64) {
        for relay in [output, errors, echo] where relay.releaseAt.map({ $0 <= now }) == true { relay.release() }
    }

    // MARK: - Keys and size

    /// To be polled for POLLIN.
    var keyboard: Int32 { typed && !keysEnded && terminal.isOpen && keys.isEmpty ? 0 : -1 }
    /// To be polled for POLLOUT, while keys wait.
    var typing: Int32 { keys.isEmpty ? -1 : terminal.raw }

    func type() {
        guard terminal.isOpen else { return }
        if keys.isEmpty {
            var buffer = Bytes(repeating: 0, count: 4096)
            let count = aegix_read_ready(0, &buffer, buffer.count)
            if count > 0 { keys = buffer[..<count] }
            if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { keysEnded = true }
        }
        if keys.isEmpty { return }
        let count = keys.withUnsafeBytes { write(terminal.raw, $0.baseAddress, $0.count) }
        if count > 0 { keys = keys.dropFirst(count) }
        if count < 0 && errno != EAGAIN && errno != EINTR { keys = [] }
    }

    func resize() {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        guard terminal.isOpen, aegix_terminal_size(screen, &rows, &columns) == 0 else { return }
        aegix_terminal_resize(terminal.raw, rows, columns)
    }

    /// After the last byte: the caller's terminal as it was.
    func restore() {
        if let caller { aegix_terminal_restore(caller) }
        caller = nil
        terminal = .none
    }
}

/// A pipe for one of the command's outputs, or none where the terminal takes its place.
private final class PipeEnds {
    private var reading = Descriptor.none
    private var writing = Descriptor.none

    init(unless terminal: Bool) throws(Failure) {
        if terminal { return }
        var ends: [Int32] = [-1, -1]
        if aegix_pipe(&ends) < 0 { throw Failure("launch.pipe", "can't make a pipe", SystemError.last("pipe2")) }
        reading = Descriptor(owning: ends[0])
        writing = Descriptor(owning: ends[1])
        if aegix_set_nonblocking(ends[0]) < 0 {
            throw Failure("launch.pipe", "can't prepare a pipe", SystemError.last("fcntl"))
        }
    }

    var stream: StandardStream {
        writing.isOpen ? .descriptor(writing.raw) : .terminal
    }

    func takeReading() -> Descriptor { take(&reading) }
    func takeWriting() -> Descriptor { take(&writing) }

    private func take(_ end: inout Descriptor) -> Descriptor {
        let taken = end
        end = .none
        return taken
    }
}
