// A child process with exact bytes in its arguments, environment and streams, which Foundation's Process can't give.

import Foundation

typealias Bytes = [UInt8]

/// What a program came to.
struct Ended {
    var code: Int32
    var signal: Int32?
    var out: Bytes
    var err: Bytes
    var seconds: Double

    var text: String { String(decoding: out, as: UTF8.self) }
    var errorText: String { String(decoding: err, as: UTF8.self) }
    /// Lines on stderr; one clear line is what an error is allowed.
    var complaints: [String] { errorText.split(separator: "\n").map(String.init) }
}

struct SpawnFailure: Error {
    var call: String
    var code: Int32
}

/// Where one of the child's first three descriptors comes from.
enum Stream {
    case nothing
    case closed
    case pipe
    case descriptor(Int32)
    /// A terminal by its path, opened in the child so that it becomes the controlling one.
    case terminal(String)
}

struct Child {
    let pid: pid_t
    /// Our end of the pipes, where there is one.
    var input: Int32 = -1
    var output: Int32 = -1
    var errors: Int32 = -1
    let started = ContinuousClock.now

    init(
        _ arguments: [Bytes], environment: [Bytes], directory: Bytes, stdin: Stream = .nothing, stdout: Stream = .pipe,
        stderr: Stream = .pipe
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var theirs: [Int32] = []
        defer { for descriptor in theirs { close(descriptor) } }
        var ours: [Int32] = [-1, -1, -1]
        for (number, stream) in [stdin, stdout, stderr].enumerated() {
            let target = Int32(number)
            switch stream {
            case .nothing: posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_RDWR, 0)
            case .closed: posix_spawn_file_actions_addclose(&actions, target)
            case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, target)
            case .terminal(let path): posix_spawn_file_actions_addopen(&actions, target, path, O_RDWR, 0)
            case .pipe:
                var ends: [Int32] = [0, 0]
                guard Foundation.pipe(&ends) == 0 else { throw SpawnFailure(call: "pipe", code: errno) }
                for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
                let (their, our) = number == 0 ? (ends[0], ends[1]) : (ends[1], ends[0])
                posix_spawn_file_actions_adddup2(&actions, their, target)
                theirs.append(their)
                ours[number] = our
            }
        }
        let path = Child.cString(directory)
        defer { free(path) }
        _ = Child.addWorkingDirectory(&actions, path)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, Int16(Child.setSession | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var argv = arguments.map(Child.cString) + [nil]
        var envp = environment.map(Child.cString) + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var child: pid_t = 0
        let program = Child.cString(arguments.first ?? [])
        defer { free(program) }
        let code = posix_spawn(&child, program, &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw SpawnFailure(call: "posix_spawn", code: code) }
        pid = child
        (input, output, errors) = (ours[0], ours[1], ours[2])
    }

    /// POSIX_SPAWN_SETSID. Like the next, glibc's headers show it to GNU programs only.
    private static let setSession: Int32 = 0x80

    private static let addWorkingDirectory: @convention(c) (UnsafeMutableRawPointer, UnsafePointer<CChar>) -> Int32 =
        unsafeBitCast(
            dlsym(nil, "posix_spawn_file_actions_addchdir_np"),
            to: (@convention(c) (UnsafeMutableRawPointer, UnsafePointer<CChar>) -> Int32).self)

    private static func cString(_ bytes: Bytes) -> UnsafeMutablePointer<CChar> {
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
        copy[bytes.count] = 0
        return copy
    }

    /// Feeds, reads and waits. After the deadline the child is killed, and the result says 137 with no output lost.
    /// `slowly` reads in small pieces with a pause, as a pager or a network would.
    mutating func finish(input bytes: Bytes = [], deadline: Double = 60, slowly: Bool = false) -> Ended {
        var ended = Ended(code: -1, signal: nil, out: [], err: [], seconds: 0)
        signal(SIGPIPE, SIG_IGN)
        for descriptor in [input, output, errors] where descriptor >= 0 {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
        if bytes.isEmpty { Child.shut(&input) }
        var fed = 0
        var buffer = Bytes(repeating: 0, count: slowly ? 4096 : 1 << 16)
        let limit = started.advanced(by: .seconds(deadline))
        while (output >= 0 || errors >= 0 || input >= 0) && .now < limit {
            var polled = [
                pollfd(fd: input, events: Int16(POLLOUT), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&polled, 3, 50) <= 0 { continue }
            if polled[0].revents != 0 {
                let count = bytes[fed...].withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
                fed += max(count, 0)
                if fed == bytes.count || (count < 0 && errno != EAGAIN) { Child.shut(&input) }
            }
            if polled[1].revents != 0 { Child.take(&output, into: &ended.out, &buffer) }
            if polled[2].revents != 0 { Child.take(&errors, into: &ended.err, &buffer) }
            if slowly { usleep(200) }
        }
        if .now >= limit { kill(pid, SIGKILL) }
        for descriptor in [input, output, errors] where descriptor >= 0 { close(descriptor) }
        (input, output, errors) = (-1, -1, -1)
        let status = wait()
        ended.signal = status & 0x7f == 0 ? nil : status & 0x7f
        ended.code = ended.signal.map { 128 + $0 } ?? (status >> 8) & 0xff
        ended.seconds = Double((ContinuousClock.now - started) / .milliseconds(1)) / 1000
        return ended
    }

    /// One line of stdout, without what comes after it.
    func line() -> String {
        var line = Bytes()
        var byte: UInt8 = 0
        while read(output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    private func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status
    }

    private static func shut(_ descriptor: inout Int32) {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private static func take(_ descriptor: inout Int32, into all: inout Bytes, _ buffer: inout Bytes) {
        let count = read(descriptor, &buffer, buffer.count)
        if count > 0 { all += buffer[..<count] } else if count == 0 || errno != EAGAIN { shut(&descriptor) }
    }
}
