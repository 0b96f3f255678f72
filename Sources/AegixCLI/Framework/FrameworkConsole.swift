// Side effects: writes to stdout and stderr, by raw write: no buffer to flush, no stdio.

import AegixSystem
import Glibc

/// Where aegix itself speaks. With `json`, stdout gets exactly one document.
public final class Console {
    public let json: Bool
    private let output: Int32
    private let errors: Int32
    private var documentWritten = false
    /// Takes a run's secrets out of what aegix itself says.
    var redactor: Redactor?

    public init(json: Bool, output: Int32 = STDOUT_FILENO, errors: Int32 = STDERR_FILENO) {
        self.json = json
        self.output = output
        self.errors = errors
    }

    /// The one document of a `--json` call, canonical and with a newline.
    public func document(_ document: JSON) throws(Failure) { try self.document(canonical: document.canonical) }

    /// The same, canonical already.
    func document(canonical bytes: consuming Bytes) throws(Failure) {
        precondition(!documentWritten, "--json prints one document")
        documentWritten = true
        bytes.append(UInt8(ascii: "\n"))
        try write(bytes)
    }

    /// Text for a person, on stdout. Names from outside have to come through `Bytes.shown`.
    public func print(_ text: String) throws(Failure) { try write(Bytes(text + "\n")) }

    /// Bytes on stdout as they are, such as a policy's text.
    public func write(_ bytes: Bytes) throws(Failure) {
        let code = Console.writeAll(output, bytes)
        if code != 0 { throw Failure("output.closed", "can't write to stdout", SystemError("write", errno: code)) }
    }

    /// One line on stderr, `aegix: …`. A closed stderr is nothing that could be told to anyone.
    public func note(_ line: String) { _ = Console.writeAll(errors, Bytes("aegix: \(shown(line))\n")) }

    private func shown(_ line: String) -> String { (redactor?.redact(Bytes(line)) ?? Bytes(line)).shown }

    /// Tells a failure in the form that was asked for; returns what aegix exits with.
    public func report(_ failure: Failure) -> Int32 {
        if json, !documentWritten {
            documentWritten = true
            let told = redactor.map(failure.redacted) ?? failure
            let code = Console.writeAll(output, Console.document(of: told).canonical + [UInt8(ascii: "\n")])
            if code == 0 { return failure.exitCode }
            note("can't write to stdout: \(Errno.words(code))")
            note(failure.message)
            return 125
        }
        note(failure.message)
        for detail in failure.details {
            _ = Console.writeAll(errors, Bytes("  \(shown(Console.line(of: detail)))\n"))
        }
        return failure.exitCode
    }

    /// `aegix.error/v1`.
    static func document(of failure: Failure) -> JSON {
        let details = failure.details.map { detail -> JSON in
            var members: [String: JSON] = ["message": .string(detail.message)]
            if let file = detail.file { members["file"] = .string(file) }
            if let line = detail.line { members["line"] = .int(line) }
            if let column = detail.column { members["column"] = .int(column) }
            return .object(members)
        }
        var members: [String: JSON] = [
            "schema": "aegix.error/v1", "code": .string(failure.code), "message": .string(failure.message),
            "details": .array(details), "exit_code": .int(Int(failure.exitCode)),
        ]
        if let code = failure.errno { members["errno"] = .string(Errno.name(code)) }
        return .object(members)
    }

    private static func line(of detail: Failure.Detail) -> String {
        guard let file = detail.file else { return detail.message }
        let place = [detail.line, detail.column].compactMap { $0 }.map { ":\($0)" }.joined()
        return "\(file)\(place): \(detail.message)"
    }

    /// 0 or the errno. stdout may be shared with a program that made it non-blocking: then we wait for room.
    private static func writeAll(_ descriptor: Int32, _ bytes: Bytes) -> Int32 {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: done), bytes.count - done)
            }
            let code = errno
            if count >= 0 {
                done += count
            } else if code == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, -1)
            } else if code != EINTR {
                return code
            }
        }
        return 0
    }

    /// A closed 0, 1 or 2 would be the number of the next file that is opened, and our words would end up in it. So
    /// each is filled with /dev/null opened the wrong way round, and using it still fails with EBADF.
    static func fillClosedStandardDescriptors() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is this one: those below have been filled.
            _ = Glibc.open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}

extension Failure {
    fileprivate func redacted(by redactor: Redactor) -> Failure {
        var failure = self
        failure.message = redactor.redact(message)
        for index in details.indices { failure.details[index].message = redactor.redact(details[index].message) }
        return failure
    }
}
